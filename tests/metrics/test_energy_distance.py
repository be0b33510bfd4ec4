import numpy as np
import pytest
from scipy import stats

from pertura.metrics.distance import energy_test


def energy(first, second):
    """The definition, pair by pair."""

    def mean_distance(one, other, same):
        pairs = [(i, j) for i in range(len(one)) for j in range(len(other)) if not (same and i == j)]
        return np.mean([np.linalg.norm(one[i] - other[j]) for i, j in pairs])

    return (
        2 * mean_distance(first, second, False)
        - mean_distance(first, first, True)
        - mean_distance(second, second, True)
    )


def populations(seed, sizes=(8, 11), shift=0.0, genes=4):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((sizes[0], genes)) + shift, rng.standard_normal((sizes[1], genes))


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("sizes", [(8, 11), (2, 9), (7, 2)])
def test_energy_and_p_are_those_of_the_definition(sizes, shift):
    first, second = populations(0, sizes, shift)
    value, p = energy_test(first, second, 30, np.random.default_rng(5))
    assert value == pytest.approx(energy(first, second))
    joined, rng = np.concatenate([first, second]), np.random.default_rng(5)
    orders = [rng.permutation(sum(sizes)) for _ in range(30)]
    cuts = [energy(joined[order[: sizes[0]]], joined[order[sizes[0] :]]) for order in orders]
    assert p == pytest.approx((1 + sum(cut >= value - 1e-12 for cut in cuts)) / 31)


def test_equal_cells_are_no_evidence():
    value, p = energy_test(np.ones((5, 3)), np.ones((6, 3)), 50, np.random.default_rng(0))
    assert value == pytest.approx(0.0)
    assert p == 1.0


@pytest.mark.parametrize("sizes", [(1, 9), (9, 1), (0, 9)])
def test_a_single_cell_cannot_be_tested(sizes):
    assert np.isnan(energy_test(*populations(0, sizes), 10, np.random.default_rng(0))).all()


def test_a_shift_is_found():
    _, p = energy_test(*populations(1, (40, 60), shift=1.0), 199, np.random.default_rng(0))
    assert p == 1 / 200


def test_a_change_of_spread_alone_is_found():
    first, second = populations(2, (60, 60))
    _, p = energy_test(3 * first, second, 199, np.random.default_rng(0))
    assert p == 1 / 200


@pytest.mark.parametrize("order", ["genes", "cells", "sides"])
def test_the_energy_does_not_depend_on_order(order):
    first, second = populations(3)
    if order == "genes":
        first, second = first[:, ::-1], second[:, ::-1]
    elif order == "cells":
        first, second = first[::-1], second[::-1]
    else:
        first, second = second, first
    value, _ = energy_test(np.ascontiguousarray(first), np.ascontiguousarray(second), 1, np.random.default_rng(0))
    assert value == pytest.approx(energy_test(*populations(3), 1, np.random.default_rng(0))[0])


def p_values(count, sizes, permutations):
    return np.asarray(
        [energy_test(*populations(seed, sizes), permutations, np.random.default_rng(seed))[1] for seed in range(count)]
    )


def test_p_under_the_null_is_uniform_on_its_grid():
    p = p_values(300, (10, 15), 19)
    counts = np.bincount(np.rint(p * 20).astype(int), minlength=21)[1:]
    assert counts.sum() == 300
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.slow
def test_p_under_the_null_is_uniform_on_a_fine_grid():
    p = p_values(2000, (15, 30), 199)
    for level in (0.01, 0.05, 0.2, 0.5):
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / len(p))
