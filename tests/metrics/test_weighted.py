import numpy as np
import pytest
from scipy import stats

from pertura.metrics.weighted import importance, r_squared, scores_against_rest, squared_error


def cells(seed, sizes=(9, 14, 6, 20), genes=25):
    """Cells of several conditions, each with a shift of its own in a few genes."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((size, genes)) + 2 * (rng.random(genes) < 0.2) for size in sizes]


def scored(groups, labels=None):
    counts = np.asarray([len(one) for one in groups])
    means = np.asarray([one.mean(axis=0) for one in groups])
    squares = np.asarray([np.square(one).mean(axis=0) for one in groups])
    return scores_against_rest(counts, means, squares, np.zeros(len(groups), int) if labels is None else labels)


def test_scores_are_welchs_t_against_all_other_cells():
    groups = cells(0)
    for i, t in enumerate(scored(groups)):
        rest = np.concatenate([one for j, one in enumerate(groups) if j != i])
        np.testing.assert_allclose(t, stats.ttest_ind(groups[i], rest, equal_var=False).statistic, rtol=1e-9)


def test_others_are_those_of_the_same_group_that_have_cells():
    groups, labels = cells(1), np.asarray([0, 1, 0, 1])
    both = scored(groups, labels)
    np.testing.assert_allclose(both[[0, 2]], scored([groups[0], groups[2]]))
    np.testing.assert_allclose(both[[1, 3]], scored([groups[1], groups[3]]))
    assert np.isnan(scored(groups, np.asarray([0, 1, 1, 1]))[0]).all()
    means = np.asarray([one.mean(axis=0) for one in groups])
    squares = np.asarray([np.square(one).mean(axis=0) for one in groups])
    means[1], squares[1] = np.nan, np.nan
    empty = scores_against_rest(np.asarray([9, 0, 6, 20]), means, squares, np.zeros(4, int))
    assert np.isnan(empty[1]).all()
    np.testing.assert_allclose(empty[[0, 2, 3]], scored([groups[i] for i in (0, 2, 3)]))


def test_a_gene_without_spread_has_no_score_or_the_largest():
    groups = cells(2)
    for one in groups:
        one[:, 0] = 0.1
        one[:, 1] = 0.1
    groups[0][:, 1] = 0.7
    t = scored(groups)
    np.testing.assert_array_equal(t[:, 0], 0.0)
    assert t[0, 1] == np.abs(t[0]).max()
    assert np.isfinite(t).all()


def test_weights_are_squares_of_the_scores_from_none_to_all_and_sum_to_one():
    t = np.asarray([[0.0, -1.0, 3.0, 5.0]])
    np.testing.assert_allclose(importance(t)[0] * 35 / 25, np.asarray([0, 0.04, 0.36, 1.0]))
    np.testing.assert_allclose(importance(-7 * t), importance(t))
    np.testing.assert_allclose(importance(np.full((1, 4), -2.0)), 0.25)
    assert np.isnan(importance(np.full((1, 4), np.nan))).all()


def test_equal_weights_give_the_plain_error_and_the_plain_r_squared():
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal((2, 6, 30))
    even = np.full((6, 30), 1 / 30)
    error = squared_error(first, second, even)
    np.testing.assert_allclose(error, np.square(first - second).mean(axis=1))
    expected = 1 - np.square(first - second).sum(axis=1) / (30 * second.var(axis=1))
    np.testing.assert_allclose(r_squared(error, second, even), expected)


def test_what_has_no_weight_cannot_count():
    rng = np.random.default_rng(4)
    first, second, weights = rng.random((3, 5, 20))
    weights[:, 10:] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    moved = np.where(np.arange(20) < 10, first, 99.0)
    np.testing.assert_allclose(squared_error(moved, second, weights), squared_error(first, second, weights))


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_an_observed_change_that_does_not_vary_has_no_r_squared(value):
    weights = np.full((2, 10), 0.1)
    assert np.isnan(r_squared(np.ones(2), np.full((2, 10), value), weights)).all()
