from dataclasses import replace

import numpy as np
import pytest
from judged_screens import MADE, observed_of, populated, right_change
from scipy import stats

from pertura.core.expression import InMemory
from pertura.evaluation import resampling
from pertura.evaluation.effort import Effort
from pertura.evaluation.predicted import Predicted, Stacked
from pertura.metrics.significant import directions

FEW = Effort(bootstrap=3, permutations=3, halves=2, effect_permutations=19)


@pytest.fixture(params=MADE, scope="module")
def screen(request):
    return MADE[request.param](noise=1.0)


@pytest.fixture(scope="module")
def observed(screen):
    return observed_of(screen, effort=FEW)


def by_scipy(cells, reference):
    """By scipy, gene by gene."""
    p = stats.mannwhitneyu(cells, reference, method="asymptotic", axis=0).pvalue
    log_change = np.log2(np.expm1(cells.mean(axis=0)) / np.expm1(reference.mean(axis=0)))
    return directions(stats.false_discovery_control(np.clip(p, 0, 1))[None], log_change[None])[0]


def rows_of(screen, side, context):
    return (screen.split.judge_controls if side == 0 else screen.split.model_controls)(screen.cells, context)


def test_observed_calls_are_those_of_scipy_against_judge_side_controls(screen, observed):
    for i, one in enumerate(observed.conditions):
        cells = screen.cells.dense(screen.cells.rows_of(one))
        reference = screen.cells.dense(rows_of(screen, 0, one.context))
        np.testing.assert_array_equal(observed.calls.plain.direction[i], by_scipy(cells, reference))
    assert observed.calls.plain.direction.any()


def test_predicted_calls_are_those_of_scipy_against_model_side_controls(screen, observed):
    made = populated(observed, right_change(observed), size=30, spread=1.0)
    found = Predicted.of(made, observed).calls
    for i, one in enumerate(observed.conditions):
        reference = screen.cells.dense(rows_of(screen, 1, one.context))
        cells = np.asarray(made.cells[one], dtype=np.float32).astype(np.float64)
        np.testing.assert_array_equal(found.direction[i], by_scipy(cells, reference))


def test_redrawn_calls_are_those_of_cells_that_are_copied(screen, observed):
    groups = observed.groups[0]
    parts = [resampling.by_name(screen.cells, screen.cells.rows_of(one)) for one in observed.conditions]
    parts += list(groups.rows)
    copies = resampling.copies(observed.conditions, groups, [len(one) for one in parts], 3, 0)
    ends = np.cumsum([0, *map(len, parts)])
    means = resampling.bootstrap(screen.cells, observed.conditions, groups, 9, 0).means
    for draw in range(3):
        drawn = [
            screen.cells.dense(np.repeat(rows, copies[draw, ends[i] : ends[i + 1]])) for i, rows in enumerate(parts)
        ]
        for i, one in enumerate(observed.conditions):
            np.testing.assert_allclose(drawn[i].mean(axis=0), means[draw, i], rtol=1e-5)
            own = [place for place, (context, _) in enumerate(groups.names) if context == one.context]
            reference = np.concatenate([drawn[len(observed.conditions) + place] for place in own])
            np.testing.assert_array_equal(observed.calls.bootstrap[draw, i], by_scipy(drawn[i], reference))


def test_permuted_and_halved_calls_see_the_cells_that_the_means_see(screen, observed):
    """A gene that marks the cells of one draw is called in that draw."""
    groups, conditions = observed.groups[0], observed.conditions
    rows, codes = resampling.permuted_codes(screen.cells, conditions, groups, 3, 0)
    permuted = resampling.permuted(screen.cells, conditions, groups, 5, 0)
    for draw in range(3):
        for i in range(len(conditions)):
            mean = screen.cells.dense(rows[codes[draw] == i]).mean(axis=0)
            np.testing.assert_allclose(mean, permuted.means[draw, i], rtol=1e-5)
    for side, draws in enumerate(observed.halves):
        taken, coded = observed.tester._half(side, 2)
        for draw in range(2):
            for i in range(len(conditions)):
                mean = screen.cells.dense(taken[coded[draw] == i]).mean(axis=0)
                np.testing.assert_allclose(mean, draws.means[draw, i], rtol=1e-5)
            for group in range(len(observed.groups[side].names)):
                mean = screen.cells.dense(taken[coded[draw] == len(conditions) + group]).mean(axis=0)
                np.testing.assert_allclose(mean, draws.groups[draw, group], rtol=1e-5)


def test_calls_do_not_depend_on_what_else_is_judged_in_redraws(screen, observed):
    few = observed_of(screen, effort=FEW, conditions=screen.asked[1:3])
    for name in ("bootstrap", "first"):
        np.testing.assert_array_equal(getattr(few.calls, name), getattr(observed.calls, name)[:, 1:3])


def test_a_condition_of_one_cell_calls_nothing_and_is_no_error(screen):
    rows = np.setdiff1d(np.arange(len(screen.cells)), screen.cells.rows_of(screen.asked[0])[1:])
    lonely = observed_of(replace(screen, cells=screen.cells.take(rows)), effort=FEW)
    assert not lonely.calls.plain.direction[0].any()
    assert not lonely.calls.first[:, 0].any()


def test_stacked_cells_are_those_of_the_conditions_and_then_of_the_controls(screen, observed):
    made = Predicted.of(populated(observed, right_change(observed)), observed)
    controls = np.concatenate(observed.groups[1].rows)
    stacked = Stacked(made, controls)
    whole = stacked.rows(np.arange(stacked.shape[0]))
    expected = [made.cells(one) for one in observed.conditions] + [screen.cells.dense(controls)]
    np.testing.assert_array_equal(whole, np.concatenate(expected).astype(np.float32))
    order = np.random.default_rng(0).permutation(len(whole))[:50]
    np.testing.assert_array_equal(stacked.rows(order), whole[order])


def test_cells_that_are_not_held_are_read_again_with_the_same_calls(screen, observed):
    held = Predicted.of(populated(observed, right_change(observed), size=30), observed)
    read = replace(held, held={})
    np.testing.assert_array_equal(read.calls.direction, held.calls.direction)
    np.testing.assert_array_equal(read.calls.place, held.calls.place)


def test_logarithms_and_counts_are_compared_each_in_its_own_way(screen):
    counts = np.round(np.expm1(screen.cells.dense(np.arange(len(screen.cells)))))
    cells = replace(screen.cells, expression=InMemory(counts), scale=replace(screen.cells.scale, kind="counts"))
    observed = observed_of(replace(screen, cells=cells), effort=FEW)
    called = observed.calls.plain
    reference = counts[rows_of(screen, 0, observed.conditions[0].context)]
    own = counts[screen.cells.rows_of(observed.conditions[0])]
    geometric = [np.log1p(one).mean(axis=0) for one in (own, reference)]
    np.testing.assert_array_equal(called.sign[0], np.sign(geometric[0] - geometric[1]))
