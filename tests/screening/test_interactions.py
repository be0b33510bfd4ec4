"""Pairs are called at the stated false discovery rate, and never without a null."""

import numpy as np
import pytest

from pertura.core.seeds import generator
from pertura.screening.interactions import departures, observed_calls, predicted_calls


def trials(seed: int, *, pairs: int, heavy: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which pairs interact, what a model with errors predicts, and its errors on held-out pairs."""
    rng = generator(seed, "pairs")
    draw = (lambda n: rng.standard_t(4, n)) if heavy else rng.standard_normal
    interacts = rng.random(400) < 0.3
    truth = np.where(interacts, rng.normal(0, 6, 400), 0.0)
    return interacts, truth + draw(400), draw(pairs)


def rates(heavy: bool, pairs: int) -> tuple[float, float]:
    false, found = [], []
    for seed in range(60):
        interacts, predicted, errors = trials(seed, pairs=pairs, heavy=heavy)
        calls = predicted_calls(predicted, errors, fdr=0.1, direction=1)
        false.append((calls.called & ~interacts).sum() / max(calls.called.sum(), 1))
        found.append((calls.called & interacts).sum() / interacts.sum())
    return float(np.mean(false)), float(np.mean(found))


@pytest.mark.parametrize(("heavy", "pairs"), [(False, 40), (False, 150), (True, 150)])
def test_predicted_interactions_are_called_at_their_rate(heavy, pairs):
    false, found = rates(heavy, pairs)
    assert false <= 0.1
    assert found > 0.25


def test_measured_interactions_are_called_at_their_rate():
    false = []
    for seed in range(100):
        rng = generator(seed, "measured")
        interacts = rng.random(200) < 0.3
        errors = rng.uniform(0.5, 1.5, 200)
        values = np.where(interacts, rng.normal(0, 4, 200), 0.0) + errors * rng.standard_normal(200)
        calls = observed_calls(values, errors, fdr=0.1, direction=1, draws=200)
        false.append((calls.called & ~interacts).sum() / max(calls.called.sum(), 1))
    assert 0.04 < np.mean(false) <= 0.1


def test_nothing_is_called_without_enough_held_out_pairs():
    calls = predicted_calls(np.full(5, 100.0), np.ones(9), fdr=0.1, direction=1)
    assert calls.names == ["neither"] * 5
    assert np.isnan(calls.p).all()


def test_a_model_whose_errors_are_as_large_as_its_departures_calls_nothing():
    rng = generator(0, "errors")
    assert not predicted_calls(rng.normal(size=200), rng.normal(size=60), fdr=0.1, direction=1).called.any()


def test_a_pair_of_which_nothing_is_predicted_is_never_called():
    calls = predicted_calls(np.asarray([np.nan, 50.0]), np.linspace(-1, 1, 40), fdr=0.1, direction=1)
    assert calls.names == ["neither", "synergistic"]
    assert np.isnan(calls.p[0])


def test_synergy_is_what_the_goal_wants():
    errors = generator(0, "errors").normal(size=50)
    both = np.asarray([40.0, -40.0])
    assert predicted_calls(both, errors, fdr=0.1, direction=1).names == ["synergistic", "antagonistic"]
    assert predicted_calls(both, errors, fdr=0.1, direction=-1).names == ["antagonistic", "synergistic"]


def test_a_pair_that_adds_up_departs_by_nothing():
    rng = generator(0, "adds")
    first, second = rng.normal(size=(2, 5, 7))
    assert np.allclose(departures(first + second, first, second, lambda deltas: deltas.mean(axis=1)), 0)
