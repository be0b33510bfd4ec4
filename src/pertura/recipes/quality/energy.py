"""The permutation E-test within batches: labels trade places only with cells of their own batch."""

import numpy as np
from jaxtyping import Float, Int

from pertura.metrics.distance import euclidean, pairwise


def energy_test_within(
    first: Float[np.ndarray, "first genes"],
    second: Float[np.ndarray, "second genes"],
    batches: Int[np.ndarray, " cells"],
    permutations: int,
    rng: np.random.Generator,
    among_second: Float[np.ndarray, "second second"] | None = None,
) -> tuple[float, float]:
    """Return the energy distance of two populations and its p-value when labels are permuted within batches.

    `batches` are those of the cells of `first`, then of `second`. The distance is the U-statistic of
    `metrics.distance.energy_test`; with one batch both tests are the same test. A difference between batches cannot
    make p small: it is in every permutation. NaN where a side has < 2 cells, or where no batch holds cells of both.
    """
    size, total = len(first), len(first) + len(second)
    if size < 2 or total - size < 2 or not set(batches[:size].tolist()) & set(batches[size:].tolist()):
        return float("nan"), float("nan")
    across = euclidean(first, second)
    own = pairwise(second) if among_second is None else among_second
    distance = np.block([[pairwise(first), across], [across.T, own]])
    chosen = np.zeros((total, permutations + 1))
    chosen[:size] = 1.0
    for batch in np.unique(batches):
        inside = np.flatnonzero(batches == batch)
        labels = chosen[inside, 0].copy()
        for column in range(1, permutations + 1):
            chosen[inside, column] = rng.permutation(labels)
    energy = _energies(distance, chosen, size)
    # rounding must not turn an exact tie into "smaller"
    at_least = energy[1:] >= energy[0] - 1e-12 * abs(energy[0])
    return float(energy[0]), float((1 + at_least.sum()) / (1 + permutations))


def _energies(
    distance: Float[np.ndarray, "cells cells"], chosen: Float[np.ndarray, "cells draws"], size: int
) -> Float[np.ndarray, " draws"]:
    within = np.einsum("ib,ib->b", chosen, distance @ chosen)
    between = distance.sum(axis=1) @ chosen - within
    others = distance.sum() - within - 2 * between
    rest = len(distance) - size
    return np.asarray(2 * between / (size * rest) - within / (size * (size - 1)) - others / (rest * (rest - 1)))
