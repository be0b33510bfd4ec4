"""The E-test within batches is the E-test where there is one batch; where there are two it is not fooled by them."""

import numpy as np
import pytest

from pertura.metrics.distance import energy_test
from pertura.recipes.quality.energy import energy_test_within


def two_batches(rng: np.random.Generator, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Perturbed cells mostly in the second batch, controls mostly in the first; batches differ by one."""
    first_batch = (rng.random(30) < 0.8).astype(int)
    second_batch = (rng.random(60) < 0.2).astype(int)
    first = rng.normal(size=(30, 10)) + first_batch[:, None] + effect
    second = rng.normal(size=(60, 10)) + second_batch[:, None]
    return first, second, np.concatenate([first_batch, second_batch])


def test_in_one_batch_it_is_the_plain_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(20, 5)) + 0.3, rng.normal(size=(40, 5))
    plain = energy_test(first, second, 999, np.random.default_rng(1))
    within = energy_test_within(first, second, np.zeros(60, dtype=int), 999, np.random.default_rng(1))
    assert within[0] == pytest.approx(plain[0])
    assert within[1] == pytest.approx(plain[1], abs=0.03)


def test_batches_alone_are_no_effect_and_an_effect_is_one():
    rng = np.random.default_rng(0)
    plain, null, seen = [], [], []
    for _ in range(40):
        first, second, batches = two_batches(rng, 0.0)
        plain.append(energy_test(first, second, 99, rng)[1])
        null.append(energy_test_within(first, second, batches, 99, rng)[1])
        first, second, batches = two_batches(rng, 0.6)
        seen.append(energy_test_within(first, second, batches, 99, rng)[1])
    assert np.mean(np.asarray(plain) <= 0.05) > 0.9
    assert np.mean(np.asarray(null) <= 0.05) <= 0.15
    assert 0.3 < np.mean(null) < 0.7
    assert np.mean(np.asarray(seen) <= 0.05) > 0.8


def test_what_cannot_be_compared_is_undefined():
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(6, 3))
    apart = np.asarray([0, 0, 0, 1, 1, 1])
    assert np.isnan(energy_test_within(cells[:3], cells[3:], apart, 19, rng)).all()
    assert np.isnan(energy_test_within(cells[:1], cells[1:], np.zeros(6, dtype=int), 19, rng)).all()
