from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core import Condition, Perturbation
from pertura.core.errors import ContextError
from pertura.core.expression import BLOCK_CELLS, InMemory, as_expression
from pertura.data.pseudobulk import batch_weights, mean_of, pseudobulk, training_pseudobulk
from screens import contexts_screen, pairs_screen, reordered, with_nan

batch_lists = st.lists(st.integers(0, 3), min_size=1, max_size=15)


def with_batches(perturbed, controls):
    """A screen whose first cells are controls, with these batches of controls and of one condition's cells."""
    cells = pairs_screen(batches=4).cells
    one = cells.perturbed[0]
    mine, theirs = cells.control_rows("K562")[: len(controls)], cells.rows_of(one)[: len(perturbed)]
    part = cells.take(np.concatenate([mine, theirs]))
    codes = np.asarray([*controls, *perturbed], dtype=np.int64)
    return replace(part, batch_codes=codes), np.arange(len(mine), len(part)), np.arange(len(mine))


@given(perturbed=batch_lists, controls=batch_lists)
@settings(max_examples=50, deadline=None)
def test_batch_weights_sum_to_one_and_match_the_batches_of_the_cells(perturbed, controls):
    cells, rows, control_rows = with_batches(perturbed, controls)
    weights, unmatched = batch_weights(cells, rows, control_rows)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert unmatched == sum(batch not in controls for batch in perturbed)
    if not unmatched:
        share = np.bincount(perturbed, minlength=4) / len(perturbed)
        np.testing.assert_allclose(np.bincount(controls, weights=weights, minlength=4), share, atol=1e-12)


def test_batch_weights_of_a_small_example():
    """Three of four cells in batch 0 (two controls), one in batch 1 (one control), none in batch 2 (one control)."""
    cells, rows, control_rows = with_batches([0, 0, 0, 1], [0, 0, 1, 2])
    weights, unmatched = batch_weights(cells, rows, control_rows)
    np.testing.assert_allclose(weights, [3 / 8, 3 / 8, 1 / 4, 0])
    assert unmatched == 0


def test_cells_of_a_batch_without_controls_are_spread_over_all_controls():
    """Two cells in batch 0 (one control), two in batch 3 (no control): half of the weight is even over three."""
    cells, rows, control_rows = with_batches([0, 0, 3, 3], [0, 1, 1])
    weights, unmatched = batch_weights(cells, rows, control_rows)
    np.testing.assert_allclose(weights, [1 / 2 + 1 / 6, 1 / 6, 1 / 6])
    assert unmatched == 2


def test_without_batches_all_controls_weigh_the_same():
    cells = contexts_screen().cells
    weights, unmatched = batch_weights(cells, np.arange(3), np.arange(10, 15))
    np.testing.assert_array_equal(weights, np.full(5, 0.2))
    assert unmatched == 0


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
def test_means_are_those_of_numpy(kind):
    cells = pairs_screen().cells
    dense = cells.dense(np.arange(len(cells)))
    same = replace(cells, expression=as_expression(kind(dense)))
    controls = cells.control_rows("K562")
    bulk = pseudobulk(same, cells.perturbed, {"K562": controls})
    for row, one in enumerate(bulk.conditions):
        mine = cells.rows_of(one)
        weights, _ = batch_weights(cells, mine, controls)
        np.testing.assert_allclose(bulk.means[row], dense[mine].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(bulk.controls[row], weights @ dense[controls], rtol=1e-12)
        np.testing.assert_allclose(bulk.deltas[row], bulk.means[row] - bulk.controls[row])
        assert bulk.counts[row] == len(mine)


def test_without_batches_the_control_mean_is_the_plain_mean():
    cells = contexts_screen().cells
    bulk = pseudobulk(cells, cells.perturbed, {one: cells.control_rows(one) for one in cells.contexts})
    for row, one in enumerate(bulk.conditions):
        expected = cells.dense(cells.control_rows(one.context)).mean(axis=0)
        np.testing.assert_allclose(bulk.controls[row], expected, rtol=1e-12)


def test_a_batch_shift_cancels_where_batches_are_matched():
    """A condition and its controls from the same batch: what the batch adds is in neither delta."""
    screen = pairs_screen(noise=0.0, batches=2)
    cells = screen.cells
    one = screen.asked[0]
    skewed = cells.rows_of(one)[cells.batch_codes[cells.rows_of(one)] == 1]
    part = cells.take(np.concatenate([cells.control_rows("K562"), skewed]))
    shift = np.where(part.batch_codes == 1, 2.0, 0.0)[:, None]
    moved = replace(part, expression=InMemory(part.dense(np.arange(len(part))) + shift))
    bulk = pseudobulk(moved, [one], {"K562": part.control_rows("K562")})
    np.testing.assert_allclose(bulk.deltas[0], screen.deltas[one], atol=1e-6)


def test_values_of_other_cells_never_touch_a_mean():
    screen = pairs_screen()
    cells = screen.cells
    asked, controls = screen.asked[:2], split_controls(screen)
    used = np.concatenate([*(cells.rows_of(one) for one in asked), controls])
    poisoned = with_nan(cells, np.setdiff1d(np.arange(len(cells)), used))
    clean, other = (pseudobulk(one, asked, {"K562": controls}) for one in (cells, poisoned))
    assert clean.means.tobytes() == other.means.tobytes()
    assert clean.controls.tobytes() == other.controls.tobytes()


def split_controls(screen):
    return screen.split.model_controls(screen.cells, "K562")


@pytest.mark.parametrize("made", [pairs_screen, contexts_screen])
def test_training_sees_train_conditions_and_model_side_controls_alone(made):
    screen = made()
    cells, split = screen.cells, screen.split
    used = [cells.rows_of(one) for one in split.train] + [split.model_controls(cells, one) for one in cells.contexts]
    poisoned = with_nan(cells, np.setdiff1d(np.arange(len(cells)), np.concatenate(used)))
    clean, other = training_pseudobulk(cells, split), training_pseudobulk(poisoned, split)
    assert set(clean.conditions) == split.train
    assert clean.deltas.tobytes() == other.deltas.tobytes()


@pytest.mark.parametrize("made", [pairs_screen, contexts_screen])
def test_the_order_of_the_file_changes_nothing_beyond_rounding(made):
    screen = made()
    other = reordered(screen.cells)
    first, second = training_pseudobulk(screen.cells, screen.split), training_pseudobulk(other, screen.split)
    assert first.conditions == second.conditions
    columns = [other.genes.index(gene) for gene in screen.cells.genes]
    np.testing.assert_allclose(second.deltas[:, columns], first.deltas, rtol=1e-9, atol=1e-9)


def test_a_mean_over_many_blocks_is_the_mean():
    matrix = np.random.default_rng(0).random((2 * BLOCK_CELLS + 3, 2))
    rows = np.arange(len(matrix))
    np.testing.assert_allclose(mean_of(InMemory(matrix), rows), matrix.mean(axis=0), rtol=1e-12)
    assert np.isnan(mean_of(InMemory(matrix), rows[:0])).all()


@pytest.mark.parametrize("controls", [{}, {"K562": np.empty(0, dtype=np.int64)}], ids=["none given", "none there"])
def test_a_context_without_controls_is_refused(controls):
    screen = pairs_screen()
    with pytest.raises(ContextError, match="no control cells"):
        pseudobulk(screen.cells, screen.asked, controls)


def test_cells_without_a_matching_control_are_counted_by_condition():
    screen = pairs_screen(batches=2)
    cells = screen.cells
    controls = cells.control_rows("K562")
    bulk = pseudobulk(cells, screen.asked, {"K562": controls[cells.batch_codes[controls] == 0]})
    assert bulk.unmatched == {one: int((cells.batch_codes[cells.rows_of(one)] == 1).sum()) for one in screen.asked}
    whole = pseudobulk(cells, screen.asked, {"K562": controls})
    assert not whole.unmatched


def test_a_condition_without_cells_has_no_mean_and_no_count():
    screen = pairs_screen()
    nobody = Condition(Perturbation.of("G14"), "K562")
    bulk = pseudobulk(screen.cells, [nobody], {"K562": split_controls(screen)})
    assert bulk.counts.tolist() == [0]
    assert np.isnan(bulk.means).all()
