"""Statistics of a goal, their null, and what genes add to them."""

import numpy as np
import pytest

from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.screening.goal import STATISTICS, Goal, expression_bins, without_targets
from screens import perturbed

GENES = tuple(f"G{i}" for i in range(40))


def goal(statistic: str = "weighted-mean", **changes: object) -> Goal:
    weights = np.zeros(40)
    weights[[2, 5, 9]] = [1.0, 2.0, -1.0]
    return Goal("g", GENES, weights, **{"statistic": statistic, **changes})


def deltas(rows: int = 5) -> np.ndarray:
    return generator(0, "deltas").normal(size=(rows, 40))


def test_the_weighted_mean_is_the_weighted_mean():
    found = goal().scores(deltas())
    by_hand = [(row[2] + 2 * row[5] - row[9]) / 4 for row in deltas()]
    np.testing.assert_allclose(found, by_hand)


def test_down_turns_the_gain_and_not_the_score():
    up, down = goal(), goal(direction="down")
    np.testing.assert_array_equal(up.scores(deltas()), down.scores(deltas()))
    np.testing.assert_array_equal(up.gains(deltas()), -down.gains(deltas()))


def test_enrichment_is_one_for_the_last_ranks_and_ignores_the_size_of_changes():
    weights = np.zeros(40)
    weights[:3] = 1.0
    one = Goal("g", GENES, weights, "enrichment")
    change = np.arange(40.0, 0.0, -1.0)[None]
    best = (2 * (40 + 39 + 38) / 3 - 41) / 39
    np.testing.assert_allclose(one.scores(change), [best])
    np.testing.assert_allclose(one.scores(np.exp(change)), [best])
    np.testing.assert_allclose(one.scores(-change), [-best])
    assert one.scores(np.zeros((1, 40)))[0] == 0


def test_distance_is_one_at_the_target_zero_at_rest_and_negative_beyond():
    way = generator(1, "way").normal(size=40)
    one = Goal("g", GENES, way, "distance")
    np.testing.assert_allclose(one.scores(np.asarray([way, 0 * way, 2 * way, 3 * way, 0.5 * way])), [1, 0, 0, -3, 0.75])


@pytest.mark.parametrize("statistic", sorted(STATISTICS))
def test_what_genes_add_sums_to_the_score(statistic):
    one = goal(statistic)
    np.testing.assert_allclose(one.contributions(deltas()).sum(axis=1), one.scores(deltas()), atol=1e-12)


@pytest.mark.parametrize("statistic", sorted(STATISTICS))
def test_the_null_is_that_of_genes_exchanged_within_their_bins(statistic):
    bins = np.repeat([0, 1], [15, 25])
    one, change = goal(statistic, bins=bins), deltas(1)
    rng = generator(2, "permuted")
    draws = np.empty((4000, 40))
    for draw in draws:
        draw[:15], draw[15:] = rng.permutation(change[0, :15]), rng.permutation(change[0, 15:])
    null = one.scores(draws)
    expected = (one.scores(change)[0] - null.mean()) / null.std(ddof=1)
    assert one.specificity(change).z[0] == pytest.approx(expected, abs=0.06)


def test_a_change_that_all_genes_share_is_not_specific():
    found = goal().specificity(np.ones((1, 40)))
    assert np.isnan(found.z[0])


def test_bins_hold_a_tenth_each_and_never_part_equal_means():
    means = np.concatenate([np.zeros(50), np.linspace(1, 2, 50)])
    bins = expression_bins(means)
    assert len(set(bins[:50])) == 1
    assert np.all(np.diff(bins[50:]) >= 0)
    assert bins.max() == 9


def test_the_perturbed_gene_itself_does_not_count():
    kept = without_targets(np.ones((2, 40)), [perturbed("G2+G5"), perturbed("KLF1")], GENES)
    assert kept[0, [2, 5]].tolist() == [0, 0]
    assert kept.sum() == 78


def test_a_goal_without_weights_is_refused():
    with pytest.raises(UsageError, match="no measured gene"):
        Goal("g", GENES, np.zeros(40))
