"""Distances between populations of cells, and the permutation test built on them."""

import numpy as np
from jaxtyping import Float


def euclidean(
    first: Float[np.ndarray, "first genes"], second: Float[np.ndarray, "second genes"]
) -> Float[np.ndarray, "first second"]:
    """Return Euclidean distances through one matrix product: the floor of the arithmetic, for many genes.

    Absolute error about 1e-8 of the vectors' lengths where two vectors are nearly equal.
    """
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0.0))


def pairwise(cells: Float[np.ndarray, "cells genes"]) -> Float[np.ndarray, "cells cells"]:
    """Return the Euclidean distances of cells to one another; exactly zero to themselves."""
    distance = euclidean(cells, cells)
    np.fill_diagonal(distance, 0.0)
    return distance


def energy_test(
    first: Float[np.ndarray, "first genes"],
    second: Float[np.ndarray, "second genes"],
    permutations: int,
    rng: np.random.Generator,
    among_second: Float[np.ndarray, "second second"] | None = None,
) -> tuple[float, float]:
    """Return the energy distance of two populations and its permutation p-value.

    E = 2 mean d(x, y) - mean d(x, x') - mean d(y, y') with Euclidean d and self pairs left out (U-statistic), the
    E-test of Peidli et al. 2024. p = (1 + number of permutations with E* >= E) / (1 + permutations). `among_second`
    may hold `pairwise(second)`, which many tests against one set of controls share. NaN where a side has < 2 cells.
    """
    size, total = len(first), len(first) + len(second)
    if size < 2 or total - size < 2:
        return float("nan"), float("nan")
    across = euclidean(first, second)
    own = pairwise(second) if among_second is None else among_second
    distance = np.block([[pairwise(first), across], [across.T, own]])
    chosen = np.zeros((total, permutations + 1))
    chosen[:size, 0] = 1.0
    for column in range(1, permutations + 1):
        chosen[rng.permutation(total)[:size], column] = 1.0
    within_first = np.einsum("ib,ib->b", chosen, distance @ chosen)
    between = distance.sum(axis=1) @ chosen - within_first
    within_second = distance.sum() - within_first - 2 * between
    rest = total - size
    energy = 2 * between / (size * rest) - within_first / (size * (size - 1)) - within_second / (rest * (rest - 1))
    # rounding must not turn an exact tie into "smaller"
    at_least = energy[1:] >= energy[0] - 1e-12 * abs(energy[0])
    return float(energy[0]), float((1 + at_least.sum()) / (1 + permutations))
