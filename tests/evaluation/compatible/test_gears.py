"""GEARS' metrics: against their definitions in plain numpy and scipy, genes ranked by scanpy."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from count_screens import dense_matrix, label_of, labelled
from scipy.stats import pearsonr

from pertura.core.errors import BadDataError
from pertura.evaluation.compatible import gears
from pertura.evaluation.compatible.gears import by_stratum
from pertura.evaluation.compatible.profile import Options

CONTROL = "ctrl"


def screen(seed=0, *, genes=70, cells=18, controls=40, labels=("A+ctrl", "B+ctrl", "A+B"), sparse=False):
    """Log-normalised cells with dropouts; some genes are silent everywhere, some in one label."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(1.0, 1.0, genes)
    base[:5] = 0.0
    sides = []
    for name, own in (("predicted", 0.5), ("observed", 1.0)):
        rows, of_cells = [], []
        for i, label in enumerate([*labels, CONTROL]):
            shift = np.random.default_rng([seed, i]).normal(0, 1, genes) * (label != CONTROL) * own
            mean = base * np.exp(shift)
            mean[6 + i] = 0.0
            size = controls if label == CONTROL else cells + i
            rows.append(np.log1p(rng.poisson(np.tile(mean, (size, 1)))))
            of_cells += [label] * size
        matrix = np.vstack(rows).astype(np.float32)
        if name == "predicted":  # a regression answers with smooth values
            matrix = np.maximum(matrix + 0.05 * rng.normal(size=matrix.shape), 0).astype(np.float32)
        names = [f"g{i:02d}" for i in range(genes)]
        stored = sp.csr_matrix(matrix) if sparse else matrix
        sides.append(labelled(stored, np.asarray(of_cells), names, name, CONTROL))
    return tuple(sides)


def ranking(observed):
    """All genes of each label, as the original has scanpy rank them."""
    obs = pd.DataFrame({"condition": label_of(observed)}, index=observed.ids.astype(str))
    data = ad.AnnData(dense_matrix(observed), obs=obs, var=pd.DataFrame(index=list(observed.genes)))
    sc.tl.rank_genes_groups(
        data, "condition", reference=CONTROL, rankby_abs=True, n_genes=data.n_vars, use_raw=False, method="t-test"
    )
    names = pd.DataFrame(data.uns["rank_genes_groups"]["names"])
    return {one: [observed.genes.index(gene) for gene in names[one]] for one in names}


def correlation(first, second):
    value = pearsonr(first, second)[0]
    return 0.0 if np.isnan(value) else value


def error(first, second):
    return float(np.mean((first - second) ** 2))


def directions(predicted, observed, control, apart):
    return np.abs(np.sign(predicted - control) - np.sign(observed - control)) == apart


def written_out(predicted, observed):
    order = ranking(observed)
    p, o = (
        {one: dense_matrix(side)[label_of(side) == one].astype(np.float64) for one in side.labels}
        for side in (predicted, observed)
    )
    control = o[CONTROL].mean(axis=0)
    rows = {CONTROL: {"mse": error(p[CONTROL].mean(0), control), "pearson": correlation(p[CONTROL].mean(0), control)}}
    for label in order:
        x, y, cells = p[label].mean(axis=0), o[label].mean(axis=0), o[label]
        top = order[label][:20]
        alive = (y != 0) | (control == 0)
        quiet = [i for i in order[label] if alive[i]][:20]
        some = [i for i in quiet if cells[:, i].max() != 0]
        quantiles = {q: np.quantile(cells[:, some], q, axis=0) for q in (0, 0.25, 0.4, 0.45, 0.55, 0.6, 0.75, 1)}
        spread = cells[:, quiet].std(axis=0)
        varies = spread > 0
        sigma = np.abs(x - y)[quiet][varies] / spread[varies]
        within = {
            f"frac_in_range{name}_non_dropout": np.mean((x[some] >= quantiles[low]) & (x[some] <= quantiles[high]))
            for name, low, high in (("", 0, 1), ("_45_55", 0.45, 0.55), ("_40_60", 0.4, 0.6), ("_25_75", 0.25, 0.75))
        }
        rows[label] = {
            "mse": error(x, y),
            "pearson": correlation(x, y),
            "mse_de": error(x[top], y[top]),
            "pearson_de": correlation(x[top], y[top]),
            "pearson_delta": correlation(x - control, y - control),
            "pearson_delta_de": correlation((x - control)[top], (y - control)[top]),
            "frac_correct_direction_all": directions(x, y, control, 0).mean(),
            "frac_correct_direction_20": directions(x, y, control, 0)[top].sum() / 20,
            "mse_top20_de_non_dropout": error(x[quiet], y[quiet]),
            "pearson_top20_de_non_dropout": correlation(x[quiet], y[quiet]),
            "pearson_delta_top20_de_non_dropout": correlation((x - control)[quiet], (y - control)[quiet]),
            "frac_correct_direction_top20_non_dropout": directions(x, y, control, 0)[quiet].mean(),
            "frac_opposite_direction_top20_non_dropout": directions(x, y, control, 2)[quiet].mean(),
            "frac_0/1_direction_top20_non_dropout": directions(x, y, control, 1)[quiet].mean(),
            "frac_correct_direction_non_zero": directions(x, y, control, 0)[y != 0].mean(),
            "frac_correct_direction_non_dropout": directions(x, y, control, 0)[alive].mean(),
            **within,
            "mean_sigma_non_dropout": sigma.mean(),
            "std_sigma_non_dropout": sigma.std(),
            "frac_sigma_below_1_non_dropout": 1 - np.mean(sigma > 1),
            "frac_sigma_below_2_non_dropout": 1 - np.mean(sigma > 2),
        }
    return rows


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sparse", [False, True])
def test_every_column_is_its_definition(seed, sparse):
    predicted, observed = screen(seed, sparse=sparse)
    found = gears.judge(predicted, observed, Options())
    expected = written_out(predicted, observed)
    assert found.labels == tuple(sorted(expected))
    assert list(found.columns) == [metric.name for metric in gears.METRICS]
    for name, column in found.columns.items():
        values = [expected[one].get(name, np.nan) for one in found.labels]
        np.testing.assert_allclose(column.values, values, rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_array_equal(column.absent, np.isnan(values))


def test_control_is_one_more_row_of_mse_and_pearson_and_its_weight_is_told():
    predicted, observed = screen()
    found = gears.judge(predicted, observed, Options())
    alone = gears.judge_without_control(predicted, observed, Options())
    assert set(found.labels) - set(alone.labels) == {CONTROL}
    values = found.columns["mse"].values
    others = np.asarray([one != CONTROL for one in found.labels])
    assert f"mse {values.mean():.6g} with, {values[others].mean():.6g} without" in found.warnings[-1]
    np.testing.assert_array_equal(alone.columns["mse"].values, values[others])
    without = predicted.take(np.flatnonzero(label_of(predicted) != CONTROL))
    assert gears.judge(without, observed, Options()).labels == alone.labels


def test_a_correlation_that_is_not_defined_counts_as_0():
    predicted, observed = screen()
    matrix = dense_matrix(predicted).copy()
    matrix[label_of(predicted) == "A+B"] = 1.0
    found = gears.judge(labelled(matrix, label_of(predicted), predicted.genes, control=CONTROL), observed, Options())
    row = found.labels.index("A+B")
    assert found.columns["pearson"].values[row] == found.columns["pearson_de"].values[row] == 0.0


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_the_control_mean_as_a_prediction_changes_nothing_in_any_precision(precision):
    predicted, observed = screen()
    control = dense_matrix(observed)[label_of(observed) == CONTROL].mean(axis=0, dtype=np.float64)
    matrix = np.tile(control, (len(predicted.codes), 1)).astype(precision)
    found = gears.judge(labelled(matrix, label_of(predicted), predicted.genes, control=CONTROL), observed, Options())
    for name in ("pearson_delta", "pearson_delta_de", "frac_opposite_direction_top20_non_dropout"):
        values = found.columns[name].values
        np.testing.assert_array_equal(values[~np.isnan(values)], 0.0, err_msg=name)


def test_the_observed_cells_as_their_own_prediction_are_perfect():
    _, observed = screen()
    found = gears.judge(observed, observed, Options())
    for metric in gears.METRICS:
        values = found.columns[metric.name].values
        if metric.best is not None:
            np.testing.assert_allclose(values[~np.isnan(values)], metric.best, atol=1e-12, err_msg=metric.name)


def test_the_order_of_cells_and_genes_changes_nothing():
    predicted, observed = screen()
    found = gears.judge(predicted, observed, Options())
    rng = np.random.default_rng(0)
    order = rng.permutation(len(observed.genes))
    turned = []
    for one in (predicted, observed):
        cells = rng.permutation(len(one.codes))
        names = [one.genes[i] for i in order]
        turned.append(labelled(dense_matrix(one)[cells][:, order], label_of(one)[cells], names, control=CONTROL))
    again = gears.judge(*turned, Options())
    for name, column in found.columns.items():
        np.testing.assert_allclose(again.columns[name].values, column.values, rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_metric_left_out_changes_no_other():
    predicted, observed = screen()
    found = gears.judge(predicted, observed, Options())
    again = gears.judge(predicted, observed, Options(skip=frozenset({"mse_de", "mse"})))
    assert set(again.undone) == {"mse_de", "mse"}
    for name, column in again.columns.items():
        np.testing.assert_array_equal(column.values, found.columns[name].values)


def test_a_label_of_one_cell_has_means_but_no_differential_genes():
    predicted, observed = screen()
    single = np.flatnonzero((label_of(observed) != "A+B") | (np.cumsum(label_of(observed) == "A+B") == 1))
    found = gears.judge(predicted, observed.take(single), Options())
    row = found.labels.index("A+B")
    assert np.isfinite(found.columns["mse"].values[row])
    assert found.columns["mse_de"].absent[row]
    assert not found.columns["mse_de"].absent[found.labels.index("A+ctrl")]
    assert any("A+B" in one for one in found.warnings)


def test_cells_without_any_expression_give_no_sigma_and_no_error():
    predicted, observed = screen(labels=("A", "B"))
    empty = dense_matrix(observed).copy()
    empty[label_of(observed) == "B"] = 0
    found = gears.judge(predicted, labelled(empty, label_of(observed), observed.genes, control=CONTROL), Options())
    row = found.labels.index("B")
    assert found.columns["pearson"].values[row] == 0.0
    assert np.isnan(found.columns["mean_sigma_non_dropout"].values[row])
    assert np.isfinite(found.columns["mse"].values).all()


def test_labels_of_one_side_are_named():
    predicted, observed = screen()
    fewer = predicted.take(np.flatnonzero(label_of(predicted) != "A+B"))
    found = gears.judge(fewer, observed, Options())
    assert "A+B" not in found.labels
    assert "observed only, not judged: 1 (A+B)" in found.warnings
    other = labelled(dense_matrix(fewer), np.char.add(label_of(fewer), "x"), fewer.genes, control="ctrlx")
    with pytest.raises(BadDataError, match="control"):
        gears.judge(other, observed, Options())


def test_strata_have_their_own_means_and_missing_labels_are_counted():
    predicted, observed = screen()
    found = gears.judge(predicted, observed, Options())
    strata = {"single": frozenset({"A+ctrl", "B+ctrl"}), "pair": frozenset({"A+B", "C+D"}), "none": frozenset()}
    table = by_stratum(found, strata).set_index("stratum")
    place = [found.labels.index(one) for one in ("A+ctrl", "B+ctrl")]
    for name, column in found.columns.items():
        assert table.loc["single", name] == pytest.approx(column.values[place].mean())
    assert table.loc["pair", ["labels", "missing"]].tolist() == [1, 1]
    assert np.isnan(table.loc["none", "mse"])
