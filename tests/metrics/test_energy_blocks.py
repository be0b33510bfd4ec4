import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from pertura.evaluation.device import DistancesOnDevice
from pertura.metrics.energy import DistancesTo, rounded_distances, sum_within


def cells(seed, size, genes=60):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, genes)).astype(np.float32)


def near_pairs():
    """Cells of which some stand on both sides and some lie very close to one another."""
    first, second = cells(0, 700), cells(1, 2300)
    first[:50] = second[:50]
    first[50:100] = second[50:100] + np.float32(1e-3)
    return first, second


def exact_sums(first, second):
    return pairwise_distances(first.astype(np.float64), second.astype(np.float64)).sum(axis=1)


@pytest.mark.parametrize("sums", [DistancesTo, lambda fixed: DistancesOnDevice(fixed, "cpu")], ids=["blocks", "torch"])
def test_sums_of_distances_are_those_of_float64(sums):
    first, second = near_pairs()
    np.testing.assert_allclose(sums(second).sums(first), exact_sums(first, second), rtol=2e-7)


@pytest.mark.parametrize("sums", [DistancesTo, lambda fixed: DistancesOnDevice(fixed, "cpu")], ids=["blocks", "torch"])
def test_cells_that_coincide_are_at_no_distance(sums):
    one = np.repeat(cells(2, 1), 5, axis=0)
    np.testing.assert_array_equal(sums(one).sums(one), 0)


def test_threads_change_no_bit():
    first, second = near_pairs()
    np.testing.assert_array_equal(DistancesTo(second, 1).sums(first), DistancesTo(second, 3).sums(first))


def test_distances_within_a_set_in_one_block_or_more():
    some = cells(3, 1100)
    some[:20] = some[20:40]
    assert sum_within(some) == pytest.approx(exact_sums(some, some).sum(), rel=1e-9)
    assert sum_within(np.repeat(some[:1], 1100, axis=0)) == 0


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_rounded_distances_are_those_of_scikit_learn_to_the_last_bit(precision):
    first, second = (side.astype(precision) for side in (cells(4, 90), cells(5, 40)))
    for one, other in ((first, second), (first, first)):
        expected = pairwise_distances(one) if one is other else pairwise_distances(one, other)
        distance = rounded_distances(one, other)
        assert distance.dtype == precision
        # float64 has nothing to round away: products in another order differ in the last places
        np.testing.assert_allclose(distance, expected, rtol=0 if precision == np.float32 else 1e-12, atol=1e-12)
