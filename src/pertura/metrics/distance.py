"""Distances between populations of cells, and the permutation test built on them."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist


def energy_test(
    first: Float[np.ndarray, "first genes"],
    second: Float[np.ndarray, "second genes"],
    permutations: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return the energy distance of two populations and its permutation p-value.

    E = 2 mean d(x, y) - mean d(x, x') - mean d(y, y') with Euclidean d and self pairs left out (U-statistic), the
    E-test of Peidli et al. 2024. p = (1 + number of permutations with E* >= E) / (1 + permutations).
    """
    size, total = len(first), len(first) + len(second)
    if size < 2 or total - size < 2:
        return float("nan"), float("nan")
    joined = np.concatenate([first, second])
    distance = cdist(joined, joined)
    chosen = np.zeros((total, permutations + 1))
    chosen[:size, 0] = 1.0
    for column in range(1, permutations + 1):
        chosen[rng.permutation(total)[:size], column] = 1.0
    within_first = np.einsum("ib,ib->b", chosen, distance @ chosen)
    to_first = distance.sum(axis=1) @ chosen
    between = to_first - within_first
    within_second = distance.sum() - within_first - 2 * between
    rest = total - size
    energy = 2 * between / (size * rest) - within_first / (size * (size - 1)) - within_second / (rest * (rest - 1))
    # rounding must not turn an exact tie into "smaller"
    at_least = energy[1:] >= energy[0] - 1e-12 * abs(energy[0])
    return float(energy[0]), float((1 + at_least.sum()) / (1 + permutations))
