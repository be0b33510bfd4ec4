"""Recall, enrichment and regret of rankings, and their intervals against a known truth."""

import numpy as np
import pytest

from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.screening.backtest import (
    NEAREST,
    Hiding,
    backtest,
    places_for,
    recall_at,
    regret_at,
    top_weights,
)


def test_ties_at_the_edge_share_what_is_left():
    np.testing.assert_allclose(top_weights(np.asarray([[3.0, 1.0, 1.0, 1.0]]), 2), [[1, 1 / 3, 1 / 3, 1 / 3]])


def test_a_constant_ranking_has_what_chance_has():
    best = generator(0, "best").normal(size=40)
    assert recall_at(np.zeros((1, 40)), best[None], 4)[0] == pytest.approx(0.1)


def test_the_regret_of_ties_is_that_of_a_random_choice():
    best = np.asarray([5.0, 4.0, 1.0, 0.0, 0.0])
    predicted = np.asarray([1.0, 1.0, 1.0, 0.0, 0.0])
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([5.0 - max(best[i] for i in pair) for pair in pairs]) / (5.0 - best.mean())
    assert regret_at(predicted[None], best[None], 2)[0] == pytest.approx(expected)


def test_the_right_order_has_all_and_the_reverse_nothing():
    best = generator(0, "best").normal(size=100)
    hiding = Hiding("singles", best, np.full(100, 1e-9), {"right": best, "reverse": -best, NEAREST: -best})
    right, reverse, nearest = backtest(hiding, resamples=50)
    assert [at.recall.value for at in right.at] == [1, 1, 1]
    assert [at.enrichment.value for at in right.at] == pytest.approx([100, 20, 10])
    assert [at.regret.value for at in right.at] == [0, 0, 0]
    assert right.at[2].over_nearest.value == 1
    assert right.spearman.value == pytest.approx(1)
    assert [at.recall.value for at in reverse.at] == [0, 0, 0]
    assert nearest.at[0].over_nearest.value == 0


def test_a_share_is_at_least_one_condition():
    assert [places_for(share, 30) for share in (0.01, 0.05, 0.1)] == [1, 2, 3]


def test_intervals_hold_the_recall_against_the_truth():
    """Effects are known; what was measured of them is noisy; so is what a model predicts."""
    inside, width = [], []
    for seed in range(20):
        rng = generator(seed, "truth")
        truth = rng.normal(size=120)
        errors = np.full(120, 0.3)
        predicted = truth + rng.normal(0, 0.8, 120)
        (verdict,) = backtest(
            Hiding("singles", truth + errors * rng.normal(size=120), errors, {"model": predicted}), resamples=80
        )
        at = verdict.at[2]
        inside.append(at.recall.low <= recall_at(predicted[None], truth[None], 12)[0] <= at.recall.high)
        width.append(at.recall.high - at.recall.low)
    assert np.mean(inside) >= 0.9
    assert np.mean(width) < 0.7


def test_rankings_of_other_conditions_are_refused():
    with pytest.raises(UsageError, match="every ranking"):
        Hiding("singles", np.zeros(5), np.zeros(5), {"model": np.zeros(4)})
