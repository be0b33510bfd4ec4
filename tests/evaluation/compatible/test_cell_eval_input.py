"""What preset cell-eval-0.8 refuses, and what must not matter to it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from cell_eval_screens import CONTROL, annotated, judged, labelled, logged, random_counts, random_pair

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.data.backed import BackedRows
from pertura.evaluation.compatible import cell_eval_cells
from pertura.evaluation.compatible.cell_eval import METRICS, PROFILES
from pertura.evaluation.compatible.cell_eval_sides import sides_of
from pertura.evaluation.compatible.profile import Options
from pertura.evaluation.compatible.table import COMPATIBLE

FAST = frozenset({"clustering_agreement"})
"""Left out here: its libraries take seconds to load."""


@pytest.fixture(scope="module")
def pair():
    return random_pair(21, perturbations=6, cells=15, genes=60, controls=40)


@pytest.fixture(scope="module")
def result(pair):
    return judged(*pair, skip=FAST)


def same_numbers(one, other):
    assert list(one.columns) == list(other.columns)
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column.values, other.columns[name].values, err_msg=name)


def altered(cells, values=None, **fields):
    changed = cells.copy()
    if values is not None:
        changed.X = values
    return replace(labelled(changed, "predicted"), **fields)


def refused(pair, match, values=None, **fields):
    with pytest.raises(BadDataError, match=match):
        judged(altered(pair[0], values, **fields), pair[1])


def test_genes_in_another_order_are_refused(pair):
    refused(pair, "another order", genes=tuple(reversed(pair[0].var_names)))


def test_other_genes_are_refused(pair):
    refused(pair, r"lacks 1 \(", genes=(*pair[0].var_names[:-1], "other"))


def test_another_set_of_labels_is_refused(pair):
    kept = pair[0].obs["target_gene"] != labelled(pair[0]).targets[0]
    with pytest.raises(BadDataError, match="observed only"):
        judged(pair[0][kept.to_numpy()].copy(), pair[1])


def test_a_control_without_cells_is_refused(pair):
    cells = labelled(pair[0])
    perturbed = np.flatnonzero(cells.codes != cells.labels.index(CONTROL))
    with pytest.raises(BadDataError, match=CONTROL):
        judged(cells.take(perturbed), pair[1])


def test_values_without_logarithm_are_refused(pair):
    refused(pair, "below 15", pair[0].X * 4)


def test_counts_beside_logarithms_in_one_file_are_refused(pair):
    values = pair[0].X.copy()
    values[:5] = np.expm1(values[:5])
    refused(pair, "below 15", values)


@pytest.mark.parametrize("low", [-0.25, -1.0])
def test_negative_values_are_refused(pair, low):
    values = pair[0].X.copy() if low > -1 else np.round(pair[0].X)
    values[3, 4] = low
    refused(pair, "never below 0", values)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_a_value_that_is_no_number_is_named(pair, bad, form):
    values = pair[0].X.copy()
    values[3, 4] = bad
    refused(pair, f"cell c3, gene {pair[0].var_names[4]}", form(values))


def test_a_screen_without_any_count_is_refused(pair):
    refused(pair, "no counts", np.zeros_like(pair[0].X))


def test_counts_on_one_side_only_are_taken_with_a_warning(pair):
    (_, predicted), genes = random_counts(21, perturbations=6, cells=15, genes=60, controls=40)
    found = judged(annotated(predicted[0], predicted[1], genes), pair[1], "cell-eval-0.8/pds")
    assert any("one side came as counts" in one for one in found.warnings)


def test_skipping_what_does_not_exist_is_refused(pair):
    with pytest.raises(UsageError, match="pearson_detla"):
        judged(*pair, skip=frozenset({"pearson_detla"}))


def test_a_device_that_is_not_there_is_refused_before_any_work(pair):
    with pytest.raises(MissingError, match="cuda:99"):
        judged(*pair, "cell-eval-0.8/anndata", device="cuda:99", skip=FAST)
    with pytest.raises(UsageError, match="abacus"):
        judged(*pair, "cell-eval-0.8/anndata", device="abacus", skip=FAST)


@pytest.mark.parametrize("profile", [one for one in PROFILES if one])
def test_a_profile_gives_the_numbers_that_the_full_one_gives(pair, result, profile):
    found = judged(*pair, f"cell-eval-0.8/{profile}", skip=FAST)
    assert list(found.columns) == [one for one in PROFILES[profile] if one not in FAST]
    for name, column in found.columns.items():
        np.testing.assert_array_equal(column.values, result.columns[name].values)
    assert bool(found.tests) == any(METRICS[name].needs == "tests" for name in PROFILES[profile])


def test_every_preset_has_its_metrics_in_the_order_of_its_columns():
    for name, preset in COMPATIBLE.items():
        if name.startswith("cell-eval"):
            assert [one.name for one in preset.metrics] == list(PROFILES[name.partition("/")[2]])
            assert preset.headline in [one.name for one in preset.metrics]


def test_threads_and_memory_change_no_number(pair, result):
    same_numbers(judged(*pair, skip=FAST, threads=2, memory=1 << 20), result)


def test_where_and_how_cells_are_stored_changes_no_number(pair, result, tmp_path):
    """On disk, dense and sparse. Fold changes are means of float32 values, rounded as their storage rounds them."""
    pair[0].write_h5ad(tmp_path / "predicted.h5ad")
    on_disk = replace(labelled(pair[0]), expression=BackedRows(tmp_path / "predicted.h5ad"))
    same_numbers(judged(on_disk, pair[1], skip=FAST), result)
    found = judged(pair[0], altered(pair[1], sp.csr_matrix(pair[1].X)), skip=FAST)
    for name, column in found.columns.items():
        np.testing.assert_allclose(column.values, result.columns[name].values, atol=1e-3, err_msg=name)


def test_the_order_of_cells_changes_no_number(pair):
    """In float64, where sums in another order round to the same figures that decide ranks."""
    sides = [annotated(one.X.astype(np.float64), one.obs["target_gene"].to_numpy(), one.var_names) for one in pair]
    turned = [one[::-1].copy() for one in sides]
    first, second = judged(*sides, skip=FAST), judged(*turned, skip=FAST)
    for name, column in first.columns.items():
        np.testing.assert_allclose(column.values, second.columns[name].values, rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_perfect_prediction_scores_best(pair):
    found = judged(pair[1], pair[1], skip=FAST)
    for name, column in found.columns.items():
        best = METRICS[name].best
        if best is not None and name not in ("pr_auc", "roc_auc"):
            called = found.columns["de_nsig_counts_real"].values > 0
            defined = np.isfinite(column.values) & (called if METRICS[name].needs == "tests" else True)
            np.testing.assert_allclose(column.values[defined], best, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("memory", [4 << 30, 200_000])
def test_energy_distances_by_blocks_are_those_of_whole_matrices(pair, monkeypatch, memory):
    """Also where control cells and labels come in several parts."""
    sides = sides_of(labelled(pair[0]), labelled(pair[1]))
    exact = [cell_eval_cells.energy_distances(side, Options(threads=1)) for side in sides]
    monkeypatch.setattr(cell_eval_cells, "FEW_OPERATIONS", 0)
    for side, expected in zip(sides, exact, strict=True):
        found = cell_eval_cells.energy_distances(side, Options(threads=2, memory=memory))
        np.testing.assert_allclose(found, expected, atol=2e-5)  # of distances about 20, averaged in float32


def test_energy_distances_follow_their_definition(pair):
    (observed, _), genes = random_counts(22, perturbations=2, cells=8, genes=12, controls=9)
    cells = labelled(annotated(logged(observed[0]).astype(np.float64), observed[1], genes))
    side = sides_of(cells, cells)[0]
    values = dict(zip(side.labels, cell_eval_cells.energy_distances(side, Options(threads=1)), strict=True))
    matrix = {one: cells.expression.rows(cells.rows_of(one)) for one in cells.labels}

    def mean_distance(one, other):
        return np.mean([[np.linalg.norm(x - y) for y in matrix[other]] for x in matrix[one]])

    for label, value in values.items():
        within = mean_distance(label, label) + mean_distance(CONTROL, CONTROL)
        assert value == pytest.approx(2 * mean_distance(label, CONTROL) - within)
