"""Input that would give a wrong number is refused, or said, by both families of presets."""

import warnings

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

import pertura
from foreign_screens import CONTROL, GENES, means_frame, prediction, screen
from pertura.core.errors import BadDataError, PerturaError, UsageError
from pertura.data.labelled_file import labelled_from_anndata
from pertura.recipes.foreign.checks import Side, check_sides

PRESETS = ("pertura", "cell-eval-0.8/pds")


@pytest.fixture(scope="module")
def observed():
    return screen()


@pytest.fixture(scope="module")
def made(observed):
    return prediction(observed)


def controls_of(cells):
    return (cells.obs["target_gene"] == CONTROL).to_numpy()


def with_values(cells, values):
    changed = cells.copy()
    changed.X = sp.csr_matrix(values.astype(np.float32))
    return changed


def self_normalised(cells):
    """The panel scaled to 1e4 by its own sum, as if no other gene had been measured."""
    before = np.expm1(cells.X.toarray())
    return with_values(cells, np.log1p(before / before.sum(axis=1, keepdims=True) * 1e4))


def another_gene(cells):
    changed = cells.copy()
    changed.var_names = ["ELSE", *changed.var_names[1:]]
    return changed


def with_nan(cells):
    changed = cells.copy()
    changed.X[3, changed.X[3].indices[0]] = np.nan
    return changed


def repeated_genes(cells):
    changed = cells.copy()
    changed.var_names = [changed.var_names[1], *changed.var_names[1:]]
    return changed


def one_control(cells):
    return cells[np.r_[np.flatnonzero(~controls_of(cells)), np.flatnonzero(controls_of(cells))[:1]]].copy()


def not_filled(cells):
    values = cells.X.toarray()
    values[(cells.obs["target_gene"] == "GENE02").to_numpy()] = 0
    return with_values(cells, values)


def as_counts(cells):
    return prediction(screen(scale="counts"), scale="counts")


def unknown_label(cells):
    changed = cells.copy()
    changed.obs["target_gene"] = changed.obs["target_gene"].astype(str).replace("GENE04", "GENE05").astype("category")
    return changed


REFUSED = {
    "other genes": (another_gene, r"of the genes, 1 are missing \(first: GENE00\) and 1 are not observed"),
    "another order": (lambda cells: cells[:, ::-1].copy(), "the genes are not in the order of the observed cells"),
    "no control": (lambda cells: cells[~controls_of(cells)].copy(), "control"),
    "one control": (one_control, "1 predicted control cell"),
    "counts beside logarithms": (as_counts, "predicted cells are counts, observed ones lognormalised"),
    "self-normalised beside full": (self_normalised, "normalised over other genes than the observed cells"),
    "nan": (with_nan, "1 NaN values"),
    "negative": (lambda cells: with_values(cells, cells.X.toarray() - 0.5), "negative values"),
    "repeated genes": (repeated_genes, "gene names repeat"),
    "not filled in": (not_filled, r"all values are zero for 1 of 5 predicted labels \(GENE02"),
    "unknown label": (unknown_label, r"predicted but not observed: 1 \(GENE05\)"),
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_misjudged_is_refused(case, preset, observed, made):
    change, message = REFUSED[case]
    with pytest.raises(PerturaError, match=message) as refused:
        pertura.evaluate(change(made), observed, preset=preset)
    assert refused.value.exit_code in (2, 3)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_observed_side_is_looked_at_as_hard(preset, observed, made):
    for change, message in (
        (with_nan, "1 NaN values"),
        (self_normalised, "normalised over other genes|adds up to"),
        (one_control, "1 observed control cell"),
    ):
        with pytest.raises(PerturaError, match=message):
            pertura.evaluate(made, change(observed), preset=preset)


def sides(predicted, observed):
    both = [labelled_from_anndata(one, name=name) for one, name in ((predicted, "predicted"), (observed, "observed"))]
    return check_sides(*(Side.of_labelled(one.cells, one.cells.name) for one in both), tuple(one.whole for one in both))


def test_one_predicted_cell_is_counted(observed, made):
    rows = np.flatnonzero((made.obs["target_gene"] == "GENE01").to_numpy())[1:]
    fewer = made[np.setdiff1d(np.arange(made.n_obs), rows)].copy()
    assert sides(fewer, observed) == ("1 labels have one predicted cell only, so no test and no spread: GENE01",)


def test_what_is_in_order_is_not_warned_of(observed, made):
    assert sides(made, observed) == ()


def test_a_mean_profile_repeated_is_no_self_normalised_panel(observed, made):
    """All copies of one profile add up to the same, whatever was done to them."""
    values = made.X.toarray()
    perturbed = ~controls_of(made)
    values[perturbed] = values[perturbed].mean(axis=0)
    assert sides(with_values(made, values), observed) == ()


def test_smoothed_cells_beside_a_whole_transcriptome_are_allowed():
    """Every observed cell adds up to 1e4 where all genes are there; predicted means need not."""
    observed = screen(whole=True)
    assert np.ptp(np.expm1(observed.X.toarray()).sum(axis=1)) < 1
    made = prediction(observed, whole=True)
    values = made.X.toarray()
    values[~controls_of(made)] *= 0.9
    assert sides(with_values(made, values), observed) == ()


def test_another_total_is_another_scale():
    observed = screen(whole=True)
    made = prediction(observed, whole=True)
    with pytest.raises(BadDataError, match="control cells add up to 100,000, observed ones to 10,000"):
        sides(with_values(made, np.log1p(np.expm1(made.X.toarray()) * 10)), observed)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_table_of_means_is_looked_at_too(preset, observed, made):
    frame = means_frame(made)
    missing, unknown, nan, large = frame.iloc[1:], frame.rename(columns={"GENE04": "GENE05"}), frame.copy(), frame * 20
    nan.iloc[2, 2] = np.nan
    for table, message in (
        (missing, f"1 of {GENES} observed genes are missing from its rows"),
        (unknown, "predicted but not observed: 1"),
        (nan, "1 values are not finite"),
        (large, "so no means of logarithms"),
        (frame.loc[frame.index.repeat(2)], "names of rows repeat"),
    ):
        with pytest.raises(BadDataError, match=message):
            pertura.evaluate(table, observed, preset=preset)


def test_repeated_cell_names_of_a_prediction_are_counted(observed, made):
    again = made.copy()
    again.obs_names = ["same", "same", *again.obs_names[2:]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pertura.evaluate(again, observed, preset="cell-eval-0.8/pds", effort="less", threads=1)
    assert any("1 cell names repeat; the cells are told apart by their order" in str(one.message) for one in caught)
    with pytest.raises(BadDataError, match="cell names repeat"):
        pertura.evaluate(again, observed, preset="pertura")


@pytest.mark.parametrize("preset", PRESETS)
def test_columns_that_are_not_clear_are_asked_for(preset, observed, made):
    unclear = made.copy()
    unclear.obs["gene"] = unclear.obs["target_gene"].astype(str).replace("GENE01", "GENE00").astype("category")
    with pytest.raises(UsageError, match=r"two columns may hold the perturbations.*--perturbation-column"):
        pertura.evaluate(unclear, observed, preset=preset)
    renamed = anndata.AnnData(made.X, obs=made.obs.rename(columns={"target_gene": "what"}), var=made.var)
    with pytest.raises(UsageError, match="no column of a known name"):
        pertura.evaluate(renamed, observed, preset=preset)
    with pytest.raises(PerturaError, match=r"no cell.* labelled 'DMSO'|no cell of obs.* is labelled so"):
        pertura.evaluate(made, observed, preset=preset, perturbation_column="target_gene", control="DMSO")
