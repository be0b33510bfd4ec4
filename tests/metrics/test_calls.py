"""Called genes against called genes: small cases by hand, larger ones against plain loops."""

import numpy as np
import pytest

from pertura.metrics.calls import agreeing, change_gap, confidence_order, fidelity_yield, reach


def case(seed, conditions=5, genes=40):
    rng = np.random.default_rng(seed)
    p = [rng.random((conditions, genes)) ** 3 for _ in range(2)]
    changes = [np.round(rng.normal(size=(conditions, genes)), 1) for _ in range(2)]
    return p, changes, tuple(f"g{rng.integers(10**6)}-{i}" for i in range(genes))


@pytest.mark.parametrize("seed", range(4))
def test_fidelity_yield_counts_right_calls_over_the_larger_set(seed):
    p, (predicted, observed), _ = case(seed)
    calls = [one < 0.05 for one in p]
    found = fidelity_yield(calls[0], calls[1], predicted, observed)
    for row, value in enumerate(found):
        judged = [i for i in np.flatnonzero(calls[0][row]) if observed[row, i] != 0]
        right = [i for i in judged if predicted[row, i] * observed[row, i] > 0]
        larger = max(len(judged), calls[1][row].sum())
        assert value == pytest.approx(len(right) / larger) if larger else np.isnan(value)


@pytest.mark.parametrize("seed", range(4))
def test_reach_is_the_deepest_prefix_that_is_pure(seed):
    p, (predicted, observed), names = case(seed, genes=120)
    called = [one < 0.05 for one in p]
    order = confidence_order(called[0], p[0], p[0], predicted, names)
    right = agreeing(predicted, observed)
    judged = called[1] & (observed != 0)
    found = reach(order, called[1], right, judged, purity=0.6)
    for row, value in enumerate(found):
        genes = [i for i in np.argsort(order[row]) if called[1][row, i]]
        depth = 0
        for stop in range(1, len(genes) + 1):
            head = [i for i in genes[:stop] if judged[row, i]]
            if head and sum(right[row, i] for i in head) / len(head) >= 0.6:
                depth = len(head)
        assert value == pytest.approx(depth / len(genes))


def test_confidence_puts_calls_first_then_small_p_then_large_changes_then_names():
    called = np.asarray([[False, True, True, True, True]])
    fdr = np.asarray([[0.0, 0.02, 0.01, 0.01, 0.01]])
    p = np.asarray([[0.0, 0.5, 0.2, 0.2, 0.1]])
    change = np.asarray([[9.0, 9.0, 1.0, -1.0, 0.1]])
    order = confidence_order(called, fdr, p, change, ("e", "d", "c", "b", "a"))
    assert np.argsort(order[0]).tolist() == [4, 3, 2, 1, 0]


def test_unknown_p_comes_last():
    called, fdr = np.zeros((1, 2), dtype=bool), np.asarray([[np.nan, 0.9]])
    order = confidence_order(called, fdr, fdr, np.zeros((1, 2)), ("a", "b"))
    assert np.argsort(order[0]).tolist() == [1, 0]


def test_without_calls_there_is_nothing_to_reach_or_yield():
    none, change = np.zeros((1, 3), dtype=bool), np.ones((1, 3))
    assert np.isnan(fidelity_yield(none, none, change, change)).all()
    assert np.isnan(reach(np.arange(3.0)[None], none, ~none, ~none)).all()
    some = ~none
    assert fidelity_yield(none, some, change, change)[0] == 0.0
    assert reach(np.arange(3.0)[None], some, none, some)[0] == 0.0


def test_an_infinite_change_has_a_direction_and_zero_has_none():
    first = np.asarray([[np.inf, -np.inf, 0.0, np.nan, 1.0]])
    second = np.asarray([[2.0, 1.0, 0.0, 1.0, 1.0]])
    np.testing.assert_array_equal(agreeing(first, second), [[True, False, False, False, True]])


def test_the_gap_of_no_change_is_1_and_of_the_truth_0():
    _, (_, observed), _ = case(1)
    gate = np.ones(observed.shape, dtype=bool)
    np.testing.assert_allclose(change_gap(np.zeros_like(observed), observed, observed, gate), 1.0)
    np.testing.assert_array_equal(change_gap(observed, observed, observed, gate), 0.0)


def test_the_gap_ignores_what_is_not_finite_and_needs_enough_genes():
    observed = np.tile([1.0, -1.0], (2, 6))
    predicted = observed.copy()
    predicted[0, 0] = np.inf
    observed[1, :3] = np.nan
    gate = np.ones(observed.shape, dtype=bool)
    found = change_gap(predicted, observed, observed, gate)
    assert found[0] == pytest.approx(1 / 12)  # one change of size 1 is taken for none
    assert np.isnan(found[1])  # nine genes are left
    assert np.isnan(change_gap(predicted, np.zeros_like(observed), np.zeros_like(observed), gate)).all()
