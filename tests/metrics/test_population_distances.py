import numpy as np
import pytest

from pertura.metrics.distance import Spreads, discrepancy, energy_distance, euclidean, gaps, kernel


def populations(seed, sizes=(12, 17), shift=0.0, genes=6):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((sizes[0], genes)) + shift, rng.standard_normal((sizes[1], genes))


def means(first, second, of):
    return Spreads(*(np.asarray([of(a, b).mean()]) for a, b in ((first, first), (second, second), (first, second))))


def test_distances_are_euclidean_and_exactly_zero_for_equal_cells():
    first, second = populations(0)
    np.testing.assert_allclose(gaps(first, second), euclidean(first, second))
    np.testing.assert_array_equal(np.diag(gaps(100 + first, 100 + first)), 0.0)


def test_the_same_cells_have_no_distance():
    first, _ = populations(1)
    assert energy_distance(means(first, first.copy(), gaps))[0] == pytest.approx(0.0, abs=1e-12)
    assert discrepancy(means(first, first.copy(), lambda a, b: kernel(gaps(a, b), 4.0)))[0] == pytest.approx(
        0, abs=1e-12
    )


def test_of_two_samples_of_one_law_the_energy_is_what_theory_says():
    """(1/n + 1/m) E d(x, x'), which halves where both double: what the ceiling is corrected by."""
    found = {size: [] for size in (10, 20)}
    apart = np.mean([gaps(*populations(seed, (1, 1)))[0, 0] for seed in range(4000)])
    for size, values in found.items():
        for seed in range(300):
            values.append(energy_distance(means(*populations(seed, (size, 2 * size)), gaps))[0])
        assert np.mean(values) == pytest.approx((1 / size + 1 / (2 * size)) * apart, rel=0.05)
    assert np.mean(found[10]) == pytest.approx(2 * np.mean(found[20]), rel=0.05)


def test_a_change_of_spread_alone_is_seen():
    """Which twice the squared distance of the means cannot see."""
    first, second = populations(2, (300, 300))
    second = second - second.mean(axis=0) + first.mean(axis=0)
    alike, wide = (means(scale * (first - first.mean(0)) + first.mean(0), second, gaps) for scale in (1, 3))
    assert energy_distance(wide)[0] > 20 * energy_distance(alike)[0]


def test_kernels_know_no_unit():
    first, second = populations(3)
    np.testing.assert_allclose(kernel(7 * gaps(first, second), 49 * 3.0), kernel(gaps(first, second), 3.0))
    expected = np.mean([np.exp(-np.square(gaps(first, second)) / (factor * 3.0)) for factor in (0.5, 1, 2)], axis=0)
    np.testing.assert_allclose(kernel(gaps(first, second), 3.0), expected)
