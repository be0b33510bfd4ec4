import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from pertura.core.errors import UsageError
from pertura.metrics import ranking
from pertura.metrics.ranking import discrimination, distances, within_groups

KINDS = ("l1", "l2", "cosine")
quick = settings(max_examples=40, deadline=None)
# few distinct values, so that ties are common
tables = st.integers(2, 8).flatmap(
    lambda size: arrays(np.float64, (size, size), elements=st.sampled_from([0.5, 1, 2, 3]))
)


def deltas(seed, shape=(9, 20)):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape), rng.standard_normal(shape)


def test_distances_are_the_ones_they_are_called_after():
    first, second = deltas(0)
    difference = first[:, None] - second[None]
    np.testing.assert_allclose(distances(first, second, "l1"), np.abs(difference).sum(axis=2))
    np.testing.assert_allclose(distances(first, second, "l2"), np.sqrt((difference**2).sum(axis=2)))
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)
    np.testing.assert_allclose(distances(first, second, "cosine"), 1 - first @ second.T / lengths, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (8, 300), (9, 301), (20, 2500)])
def test_many_conditions_are_compared_with_the_same_sums(shape, monkeypatch):
    first, second = deltas(3, shape)
    few = distances(first, second, "l1")
    monkeypatch.setattr(ranking, "MANY", 0)
    np.testing.assert_allclose(distances(first, second, "l1"), few, rtol=1e-12)
    second[0, 0] = np.nan
    assert np.isnan(distances(first, second, "l1")).tolist() == np.isnan(first[:, :1] + second[:, 0]).tolist()


def test_one_profile_for_many_conditions_scores_one_half_on_average(monkeypatch):
    monkeypatch.setattr(ranking, "MANY", 0)
    predicted, observed = deltas(4, (11, 70))
    same = np.tile(predicted[0], (11, 1))
    assert discrimination(distances(same, observed, "l1")).mean() == pytest.approx(0.5, abs=1e-12)


def test_no_direction_is_neither_near_nor_far():
    first, second = deltas(0)
    first[3] = 0
    second[5] = 0
    table = distances(first, second, "cosine")
    np.testing.assert_array_equal(table[3], 1)
    np.testing.assert_array_equal(table[:, 5], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_prediction_is_nearest_to_itself(kind):
    _, observed = deltas(1)
    np.testing.assert_array_equal(discrimination(distances(observed, observed, kind)), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_farthest_prediction_scores_zero(kind):
    observed = np.asarray([[1.0, 0.0], [-1.0, 0.1]])
    np.testing.assert_array_equal(discrimination(distances(observed[::-1], observed, kind)), 0)


@given(table=tables)
@quick
def test_the_score_is_the_mid_rank_of_the_own_perturbation(table):
    size = len(table)
    expected = [1 - (rankdata(row)[i] - 1) / (size - 1) for i, row in enumerate(table)]
    np.testing.assert_allclose(discrimination(table), expected, atol=1e-12)


@given(row=arrays(np.float64, st.integers(2, 9), elements=st.sampled_from([0.0, 1.0, 2.0, 2.5])))
@quick
def test_one_prediction_for_all_scores_one_half_on_average(row):
    table = np.tile(row, (len(row), 1))
    assert discrimination(table).mean() == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_one_profile_for_all_scores_one_half_on_average(kind):
    predicted, observed = deltas(2)
    same = np.tile(predicted[0], (len(observed), 1))
    assert discrimination(distances(same, observed, kind)).mean() == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(order=st.permutations(range(9)), genes=st.permutations(range(20)))
@quick
def test_permuting_conditions_permutes_scores_and_permuting_genes_changes_none(kind, order, genes):
    predicted, observed = deltas(3)
    order, genes = np.asarray(order), np.asarray(genes)
    plain = discrimination(distances(predicted, observed, kind))
    turned = discrimination(distances(predicted[order][:, genes], observed[order][:, genes], kind))
    np.testing.assert_allclose(turned, plain[order])


def test_a_tie_that_rounding_hides_is_still_a_tie():
    table = np.asarray([[1.0, 1.0 - 1e-15], [5.0, 1.0]])
    np.testing.assert_array_equal(discrimination(table), [0.5, 1.0])


def test_a_single_perturbation_cannot_be_told_from_others():
    assert np.isnan(discrimination(np.ones((1, 1)))).all()
    assert discrimination(np.ones((0, 0))).shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
def test_random_predictions_score_one_half(kind):
    scores = [discrimination(distances(*deltas(seed), kind)) for seed in range(200)]
    # 1,800 scores, uniform on 0 .. 1 up to their dependence within a screen
    assert abs(np.mean(scores) - 0.5) < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_groups_are_judged_apart(kind):
    predicted, observed = deltas(4)
    groups = np.asarray([0, 1, 0, 1, 1, 0, 2, 0, 1])
    every = np.ones(20, dtype=bool)
    scores = within_groups(predicted, observed, groups, every, kind)
    for group in (0, 1):
        mine = groups == group
        alone = discrimination(distances(predicted[mine], observed[mine], kind))
        np.testing.assert_allclose(scores[mine], alone)
    assert np.isnan(scores[groups == 2]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_genes_that_are_left_out_have_no_influence(kind):
    predicted, observed = deltas(5)
    kept = np.arange(20) >= 5
    groups = np.zeros(9, dtype=np.int64)
    other = predicted.copy()
    other[:, ~kept] = 100 * deltas(6)[0][:, ~kept]
    first, second = (within_groups(one, observed, groups, kept, kind) for one in (predicted, other))
    np.testing.assert_array_equal(first, second)
    assert np.isnan(within_groups(predicted, observed, groups, np.zeros(20, dtype=bool), kind)).all()


def test_knowing_the_target_alone_is_not_rewarded():
    """A prediction that moves only the target of each perturbation: perfect with the targets, chance without."""
    _, observed = deltas(7, (9, 40))
    predicted = np.zeros_like(observed)
    for i in range(9):
        observed[i, i] = predicted[i, i] = 30.0
    groups, every = np.zeros(9, dtype=np.int64), np.ones(40, dtype=bool)
    np.testing.assert_array_equal(within_groups(predicted, observed, groups, every, "l2"), 1)
    without = within_groups(predicted, observed, groups, np.arange(40) >= 9, "l2")
    assert without.mean() == pytest.approx(0.5)


def test_an_unknown_distance_is_refused_with_the_choices(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(UsageError, match="l1, l2, cosine"):
        distances(*deltas(0), "l3")
