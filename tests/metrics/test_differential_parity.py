"""The numbers of pdex 0.3.0: stored ones, and run live on random screens (needs the extra `parity`)."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from pertura.core.expression import as_expression
from pertura.metrics.differential import Tests, differential_expression
from rank_screens import SIZES, codes_of, laid_out, values

PLAIN = Tests()
FIELDS = ("target_mean", "log2_fold_change", "percent_change", "p_value", "statistic", "fdr")
FOLDER = Path(__file__).parents[1] / "reference" / "pdex"


def assert_equal(found, expected):
    """Bit for bit, and of the same types; what the peer drops is NaN."""
    kept = ~np.isnan(expected["p_value"])
    for name in FIELDS:
        own, other = getattr(found, name), expected[name]
        assert own.dtype == other.dtype, name
        if name != "target_mean":
            np.testing.assert_array_equal(np.isnan(own), ~kept, err_msg=name)
        np.testing.assert_array_equal(own[kept], other[kept], err_msg=name)
    np.testing.assert_array_equal(np.broadcast_to(found.reference_mean, kept.shape)[kept], expected["ref_mean"][kept])


@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("plain", PLAIN), ("filtered", Tests(means="arithmetic", epsilon=1e-9, cpm_filter=20_000.0))],
)
def test_stored_numbers_of_the_peer(layout, name, options):
    with np.load(FOLDER / f"{layout}.npz") as stored:
        full, codes = stored["values"], stored["codes"]
        expected = {field: stored[f"{name}.{field}"] for field in (*FIELDS, "ref_mean")}
    found = differential_expression(as_expression(laid_out(full, layout)), codes, 3, options=options)
    assert_equal(found, expected)


@pytest.fixture(scope="module")
def peer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pdex").pdex


def by_peer(peer, matrix, codes, targets, options):
    """What pdex finds, as tables targets x genes; what it drops is NaN."""
    import anndata
    import pandas as pd

    labels = np.asarray([f"t{one:04d}" for one in range(targets)] + ["reference"])[codes]
    obs = pd.DataFrame({"label": pd.Categorical(labels)}, index=[str(i) for i in range(len(codes))])
    cells = anndata.AnnData(matrix, obs=obs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = peer(
            cells,
            groupby="label",
            reference="reference",
            threads=1,
            is_log1p=options.logged,
            geometric_mean=options.means == "geometric",
            epsilon=options.epsilon,
            cpm_filter=options.cpm_filter,
        )
    rows = np.asarray([int(one[1:]) for one in frame["target"].to_list()], dtype=int)
    columns = frame["feature"].to_numpy().astype(int)
    tables = {}
    for name in (*FIELDS, "ref_mean"):
        tables[name] = np.full((targets, matrix.shape[1]), np.nan, dtype=frame[name].to_numpy().dtype)
        tables[name][rows, columns] = frame[name].to_numpy()
    return tables


def assert_parity(peer, matrix, codes, targets, options=PLAIN):
    found = differential_expression(as_expression(matrix), codes, targets, options=options)
    assert_equal(found, by_peer(peer, matrix, codes, targets, options))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_every_column_is_bit_for_bit_that_of_the_peer(peer, layout, dtype, seed):
    codes = codes_of(seed=seed)
    matrix = laid_out(values(len(codes), seed=seed, dtype=dtype), layout)
    assert_parity(peer, matrix, codes, len(SIZES) - 1)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("means", ["geometric", "arithmetic"])
@pytest.mark.parametrize("logged", [True, False])
def test_means_filters_and_pseudocounts_are_those_of_the_peer(peer, layout, dtype, means, logged):
    codes = codes_of((12, 1, 7, 40))
    full = values(len(codes), seed=5, dtype=dtype, scale="log" if logged else "counts")
    for epsilon, cpm_filter in [(0.0, None), (1e-9, 20_000.0), (0.5, 45_000.0), (0.0, 1e9)]:
        options = Tests(means=means, logged=logged, epsilon=epsilon, cpm_filter=cpm_filter)
        assert_parity(peer, laid_out(full, layout), codes, 3, options)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_negative_values_of_a_dense_matrix_are_ranked_as_the_peer_ranks_them(peer, dtype):
    codes = codes_of()
    full = values(len(codes), seed=2, dtype=dtype, negative=True)
    assert_parity(peer, full, codes, len(SIZES) - 1)


@pytest.mark.slow
def test_predictions_without_a_zero_and_with_little_spread(peer):
    rng = np.random.default_rng(4)
    codes = codes_of((30, 30, 200))
    full = np.clip(values(260, genes=60) * 0.02 + rng.normal(1.0, 0.02, (260, 60)), 0, None).astype(np.float32)
    full[codes == 1] = full[codes == 1].mean(axis=0)
    assert_parity(peer, full, codes, 2)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["csr", "dense"])
def test_a_screen_of_some_size(peer, layout):
    codes = codes_of((*np.random.default_rng(0).integers(1, 120, 25).tolist(), 3000), seed=1)
    matrix = laid_out(values(len(codes), genes=400, seed=9), layout)
    assert_parity(peer, matrix, codes, 25)
