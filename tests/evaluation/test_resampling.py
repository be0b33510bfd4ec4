from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from judged_screens import MADE

from pertura.core.expression import InMemory
from pertura.evaluation import resampling
from screens import pairs_screen, reordered


@pytest.fixture(params=MADE, scope="module")
def screen(request):
    return MADE[request.param]()


def groups_of(screen, side="judge", conditions=None):
    pick = screen.split.judge_controls if side == "judge" else screen.split.model_controls
    asked = screen.asked if conditions is None else conditions
    controls = {context: pick(screen.cells, context) for context in sorted({one.context for one in asked})}
    return resampling.control_groups(screen.cells, asked, controls)


def every(screen, draws=20, seed=0, conditions=None):
    """Bootstrap, permuted and both halves."""
    asked = screen.asked if conditions is None else conditions
    judge, model = (groups_of(screen, side, asked) for side in ("judge", "model"))
    return (
        resampling.bootstrap(screen.cells, asked, judge, draws, seed),
        resampling.permuted(screen.cells, asked, judge, draws, seed),
        *resampling.halved(screen.cells, asked, (judge, model), draws, seed),
    )


def dense_rows(screen, rows):
    return screen.cells.dense(np.asarray(rows))


def test_group_weights_sum_to_one_over_the_condition_s_own_context(screen):
    groups = groups_of(screen)
    np.testing.assert_allclose(groups.weights.sum(axis=1), 1)
    for row, one in enumerate(screen.asked):
        elsewhere = [place for place, (context, _) in enumerate(groups.names) if context != one.context]
        assert not groups.weights[row, elsewhere].any()
    assert sorted(np.concatenate(groups.rows)) == sorted(
        np.concatenate([screen.split.judge_controls(screen.cells, one) for one in {name for name, _ in groups.names}])
    )


def test_redrawn_means_have_the_mean_and_variance_of_a_mean(screen):
    """Of n cells drawn with replacement the mean has the cells' mean and their (biased) variance over n."""
    draws = resampling.bootstrap(screen.cells, screen.asked, groups_of(screen), 4000, 0)
    for row, one in enumerate(screen.asked[:3]):
        cells = dense_rows(screen, screen.cells.rows_of(one))
        variance = cells.var(axis=0) / len(cells)
        found = draws.means[:, row].astype(np.float64)
        np.testing.assert_allclose(found.mean(axis=0), cells.mean(axis=0), atol=5 * np.sqrt(variance.max() / 4000))
        np.testing.assert_allclose(found.var(axis=0), variance, rtol=0.15)


def test_redrawn_controls_are_redrawn_within_their_group(screen):
    groups = groups_of(screen)
    draws = resampling.bootstrap(screen.cells, screen.asked, groups, 2000, 0)
    for place, rows in enumerate(groups.rows):
        cells = dense_rows(screen, rows)
        found = draws.groups[:, place].astype(np.float64)
        np.testing.assert_allclose(found.var(axis=0), cells.var(axis=0) / len(cells), rtol=0.2)


def test_permuting_labels_keeps_the_sum_over_all_cells(screen):
    groups = groups_of(screen)
    draws = resampling.permuted(screen.cells, screen.asked, groups, 5, 0)
    sizes = [len(screen.cells.rows_of(one)) for one in screen.asked], [len(rows) for rows in groups.rows]
    taken = [*(screen.cells.rows_of(one) for one in screen.asked), *groups.rows]
    total = dense_rows(screen, np.concatenate(taken)).sum(axis=0)
    for draw in range(5):
        found = np.asarray(sizes[0]) @ draws.means[draw] + np.asarray(sizes[1]) @ draws.groups[draw]
        np.testing.assert_allclose(found, total, rtol=1e-5)


def test_labels_are_permuted_only_within_context_and_batch():
    """Where all cells of a stratum are alike, no permutation within strata can change a mean."""
    for made in MADE.values():
        screen = made()
        contexts = np.asarray([screen.cells.conditions[code].context for code in screen.cells.codes])
        _, stratum = np.unique(contexts, return_inverse=True)
        if screen.cells.batch_codes is not None:
            stratum = 10 * stratum + screen.cells.batch_codes
        flat = np.repeat(stratum[:, None].astype(np.float32), len(screen.cells.genes), axis=1)
        alike = replace(screen, cells=replace(screen.cells, expression=InMemory(flat)))
        draws = resampling.permuted(alike.cells, alike.asked, groups_of(alike), 5, 0)
        for row, one in enumerate(alike.asked):
            expected = stratum[alike.cells.rows_of(one)].mean()
            np.testing.assert_allclose(draws.means[:, row], expected, rtol=1e-6)


def test_permuted_means_no_longer_follow_their_condition():
    screen = pairs_screen(batches=0)
    draws = resampling.permuted(screen.cells, screen.asked, groups_of(screen), 300, 0)
    spread = draws.means.mean(axis=0)
    taken = np.concatenate([*(screen.cells.rows_of(one) for one in screen.asked), *groups_of(screen).rows])
    np.testing.assert_allclose(spread, np.tile(dense_rows(screen, taken).mean(axis=0), (len(spread), 1)), atol=0.1)


def test_halves_are_disjoint_and_of_half_the_size():
    """Cell i carries i in gene i and nothing else, so a mean says which cells are in it."""
    screen = pairs_screen(batches=0)
    size = len(screen.cells)
    marked = replace(
        screen.cells, expression=InMemory(sp.identity(size, format="csr")), genes=tuple(f"g{i}" for i in range(size))
    )
    marked_screen = replace(screen, cells=marked)
    _, _, first, second = every(marked_screen, draws=3)
    for draw in range(3):
        for row, one in enumerate(screen.asked):
            sides = [np.flatnonzero(half.means[draw, row]) for half in (first, second)]
            assert not set(sides[0]) & set(sides[1])
            assert all(len(side) == len(screen.cells.rows_of(one)) // 2 for side in sides)
            assert set(np.concatenate(sides)) <= set(screen.cells.rows_of(one))
        judge, model = (np.flatnonzero(half.groups[draw].any(axis=0)) for half in (first, second))
        assert set(judge) <= set(screen.split.judge_controls(screen.cells, "K562"))
        assert set(model) <= set(screen.split.model_controls(screen.cells, "K562"))
        assert len(judge) == len(model) == 15


def test_a_condition_with_one_cell_has_no_halves():
    screen = pairs_screen()
    one = screen.asked[0]
    part = screen.cells.take(np.setdiff1d(np.arange(len(screen.cells)), screen.cells.rows_of(one)[1:]))
    _, _, first, second = every(replace(screen, cells=part), draws=2)
    assert np.isnan(first.means[:, 0]).all()
    assert np.isnan(second.means[:, 0]).all()
    assert np.isfinite(first.means[:, 1:]).all()


def test_draws_do_not_depend_on_the_order_of_cells_and_genes(screen):
    other = replace(screen, cells=reordered(screen.cells))
    columns = [other.cells.genes.index(gene) for gene in screen.cells.genes]
    for first, second in zip(every(screen), every(other)):
        np.testing.assert_allclose(second.means[..., columns], first.means, atol=1e-5)
        np.testing.assert_allclose(second.groups[..., columns], first.groups, atol=1e-5)


def test_redrawn_and_halved_cells_do_not_depend_on_what_else_is_judged(screen):
    whole, few = every(screen), every(screen, conditions=screen.asked[1:3])
    for place in (0, 2, 3):
        assert few[place].means.tobytes() == np.ascontiguousarray(whole[place].means[:, 1:3]).tobytes()


def test_more_draws_begin_with_the_same_permutations(screen):
    few, many = (resampling.permuted(screen.cells, screen.asked, groups_of(screen), draws, 0) for draws in (3, 9))
    np.testing.assert_array_equal(many.means[:3], few.means)


def test_draws_repeat_for_a_seed_and_differ_for_another(screen):
    first, again, other = every(screen, seed=1), every(screen, seed=1), every(screen, seed=2)
    for one, same, different in zip(first, again, other):
        assert one.means.tobytes() == same.means.tobytes()
        assert not np.array_equal(one.means, different.means)


def test_labels_are_permuted_the_same_however_many_draws_are_held_at_a_time(screen, monkeypatch):
    whole = resampling.permuted(screen.cells, screen.asked, groups_of(screen), 5, 0)
    monkeypatch.setattr(resampling, "MOST_SUMS", 1)
    pieces = resampling.permuted(screen.cells, screen.asked, groups_of(screen), 5, 0)
    for name in ("means", "groups", "importance"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))
