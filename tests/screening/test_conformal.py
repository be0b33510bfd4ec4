"""Intervals hold as often as they say."""

import numpy as np
import pytest

from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.screening.conformal import POOLED, calibrated, calibrations


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heavy-tailed errors whose size the spread knows only in part."""
    rng = generator(seed, "conformal")
    spread = rng.uniform(0.1, 1.0, count)
    predicted = rng.normal(size=count)
    return predicted, spread, predicted + spread * rng.standard_t(3, count)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_new_conditions_are_covered_at_the_level_whatever_the_errors(level):
    inside = []
    for seed in range(300):
        calibration = calibrated(*drawn(40, seed), level)
        predicted, spread, observed = drawn(20, seed + 1000)
        low, high = calibration.intervals(predicted, spread)
        inside.append(((low <= observed) & (observed <= high)).mean())
    rank = int(np.ceil(41 * level - 1e-12))
    assert np.mean(inside) == pytest.approx(rank / 41, abs=0.015)


def test_the_coverage_of_one_calibration_lies_where_it_is_expected():
    beyond = 0
    for seed in range(200):
        calibration = calibrated(*drawn(40, seed), 0.8)
        low, high = calibration.expected
        predicted, spread, observed = drawn(2000, seed + 5000)
        ends = calibration.intervals(predicted, spread)
        coverage = ((ends[0] <= observed) & (observed <= ends[1])).mean()
        beyond += not low <= coverage <= high
    assert 6 <= beyond <= 40  # a tenth of 200, and sampling error of both


def test_leaving_one_out_covers_about_the_level():
    assert calibrated(*drawn(200, 3), 0.8).coverage == pytest.approx(0.8, abs=0.02)


def test_too_few_conditions_give_unbounded_intervals():
    calibration = calibrated(*drawn(8, 0), 0.9)
    assert calibration.half == np.inf
    assert calibration.expected == (1.0, 1.0)


def test_an_ensemble_of_one_has_intervals_of_one_width():
    predicted, _, observed = drawn(30, 0)
    low, high = calibrated(predicted, np.zeros(30), observed, 0.9).intervals(predicted, np.zeros(30))
    np.testing.assert_allclose(high - low, (high - low)[0])


def test_each_kind_with_enough_conditions_is_calibrated_alone():
    predicted, spread, observed = drawn(30, 0)
    observed[:20] = predicted[:20] + 0.01
    found = calibrations(predicted, spread, observed, ["single"] * 20 + ["pair"] * 5 + ["other"] * 5, 0.9)
    assert set(found.by_kind) == {POOLED, "single"}
    low, high = found.intervals(np.zeros(2), np.zeros(2), ["single", "pair"])
    assert (high - low)[0] < (high - low)[1]


def test_a_level_outside_zero_and_one_is_refused():
    with pytest.raises(UsageError):
        calibrated(*drawn(10, 0), 1.0)
