"""Distances between populations of cells, and the permutation test built on them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

KERNEL_WIDTHS = (0.5, 1.0, 2.0)
Gaps = Float[np.ndarray, "first second"]


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


@dataclass(frozen=True, eq=False)
class Spreads:
    """A mean over pairs of cells, for each condition: within the first population, the second, and across."""

    first: Float[np.ndarray, " conditions"]
    second: Float[np.ndarray, " conditions"]
    across: Float[np.ndarray, " conditions"]


def energy_distance(distances: Spreads) -> Float[np.ndarray, " conditions"]:
    """Return 2 mean d(x, y) - mean d(x, x') - mean d(y, y') with self pairs counted in (V-statistic).

    Never below 0, and 0 for the same cells on both sides. Of n and m cells of one law it is (1/n + 1/m) E d on average.
    """
    return np.maximum(2 * distances.across - distances.first - distances.second, 0.0)


def discrepancy(kernels: Spreads) -> Float[np.ndarray, " conditions"]:
    """Return the squared maximum mean discrepancy mean k(x, x') + mean k(y, y') - 2 mean k(x, y), self pairs included.

    Never below 0, and 0 for the same cells on both sides.
    """
    return np.maximum(kernels.first + kernels.second - 2 * kernels.across, 0.0)


def gaps(first: Float[np.ndarray, "first genes"], second: Float[np.ndarray, "second genes"]) -> Gaps:
    """Return Euclidean distances; exactly zero where rounding cannot tell two cells apart."""
    lengths = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)
    squares = lengths - 2 * first @ second.T
    return np.sqrt(np.where(squares > 1e-13 * lengths, squares, 0.0))


def kernel(distances: Gaps, width: float) -> Gaps:
    """Return the mean of Gaussian kernels exp(-d^2 / (factor * width)) for the factors 0.5, 1 and 2.

    `width` is a squared distance, such as the median one between control cells, so that no unit matters.
    """
    scaled = np.square(distances) / -width
    return np.asarray(np.mean([np.exp(scaled / factor) for factor in KERNEL_WIDTHS], axis=0))
