import numpy as np
import pytest

from pertura.metrics.diversity import diversity_ratio


def profiles(seed, shape=(8, 30)):
    return np.random.default_rng(seed).standard_normal(shape)


def mean_distance(table, weights=None):
    """The definition, pair by pair."""
    size = len(table)
    share = np.ones(size) if weights is None else weights
    pairs = [(i, j) for i in range(size) for j in range(size) if i != j]
    mass = np.asarray([share[i] * share[j] for i, j in pairs])
    return np.average([np.linalg.norm(table[i] - table[j]) for i, j in pairs], weights=mass)


@pytest.mark.parametrize("weights", [None, np.random.default_rng(1).exponential(size=8)], ids=["plain", "weighted"])
def test_the_ratio_is_that_of_mean_distances_between_pairs(weights):
    predicted, observed = profiles(0), profiles(1)
    found = diversity_ratio(predicted, observed, np.zeros(8, int), weights)
    np.testing.assert_allclose(found, mean_distance(predicted, weights) / mean_distance(observed, weights))


def test_groups_are_judged_apart():
    predicted, observed, groups = profiles(2), profiles(3), np.asarray([0, 0, 0, 1, 1, 1, 1, 2])
    found = diversity_ratio(predicted, observed, groups)
    for group in (0, 1):
        mine = groups == group
        np.testing.assert_allclose(found[mine], mean_distance(predicted[mine]) / mean_distance(observed[mine]))
    assert np.isnan(found[7])


@pytest.mark.parametrize("height", [0.0, 0.1, 1e3])
def test_one_answer_for_all_has_no_diversity_and_a_scaled_one_its_scale(height):
    observed = profiles(4)
    same = np.tile(profiles(5)[:1] + height, (8, 1))
    np.testing.assert_array_equal(diversity_ratio(same, observed, np.zeros(8, int)), 0.0)
    np.testing.assert_allclose(diversity_ratio(0.3 * observed + height, observed, np.zeros(8, int)), 0.3)


def test_a_condition_that_is_not_known_is_not_seen_by_the_others():
    predicted, observed = profiles(6), profiles(7)
    observed[2] = np.nan
    found = diversity_ratio(predicted, observed, np.zeros(8, int))
    others = np.arange(8) != 2
    assert np.isnan(found[2])
    np.testing.assert_allclose(found[others], mean_distance(predicted[others]) / mean_distance(observed[others]))
    assert np.isnan(diversity_ratio(predicted, np.ones((8, 30)), np.zeros(8, int))).all()
