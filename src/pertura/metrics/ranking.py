"""Does a prediction resemble its own perturbation more than the others?"""

from typing import Literal, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist

from pertura.core.errors import UsageError
from pertura.metrics.distance import euclidean

DISTANCES = ("l1", "l2", "cosine")
MANY = 1e7
Deltas = Float[np.ndarray, "conditions genes"]


def distances(
    predicted: Float[np.ndarray, "predicted genes"],
    observed: Float[np.ndarray, "observed genes"],
    metric: Literal["l1", "l2", "cosine"],
) -> Float[np.ndarray, "predicted observed"]:
    """Return the distance of each predicted delta (rows) to each observed one (columns).

    The cosine distance to a delta of zeros is 1: no direction is neither near nor far.
    """
    if metric not in DISTANCES:
        raise UsageError(f"no distance {metric!r}; there are {', '.join(DISTANCES)}")
    if metric == "l1":
        if len(predicted) * observed.size < MANY:
            return cdist(predicted, observed, "cityblock")
        return _cityblock(np.ascontiguousarray(predicted), np.ascontiguousarray(observed))
    if metric == "l2":
        return euclidean(predicted, observed)
    return 1.0 - _unit(predicted) @ _unit(observed).T


def discrimination(distance: Float[np.ndarray, "conditions conditions"]) -> Float[np.ndarray, " conditions"]:
    """Return 1 - rank / (N - 1) of each prediction's own perturbation among all N by distance, ties at mid-rank.

    1 where the own perturbation is nearest, 0 where it is farthest, 0.5 on average for one and the same prediction for
    all. NaN where there is one perturbation only.
    """
    size = len(distance)
    if size < 2:
        return np.full(size, np.nan)
    own = np.diag(distance)[:, None]
    slack = 1e-9 * np.abs(own)  # equal distances may differ by rounding; a tie must stay a tie
    nearer = (distance < own - slack).sum(axis=1)
    ties = (np.abs(distance - own) <= slack).sum(axis=1) - 1
    return np.asarray(1.0 - (nearer + 0.5 * ties) / (size - 1), dtype=np.float64)


def within_groups(
    predicted: Deltas,
    observed: Deltas,
    groups: Int[np.ndarray, " conditions"],
    kept: Bool[np.ndarray, " genes"],
    metric: Literal["l1", "l2", "cosine"],
) -> Float[np.ndarray, " conditions"]:
    """Return `discrimination` among conditions of the same group (context); NaN where no gene is kept."""
    scores = np.full(len(predicted), np.nan)
    if not kept.any():
        return scores
    if not kept.all():
        predicted, observed = predicted[:, kept], observed[:, kept]
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        own = slice(None) if len(rows) == len(groups) else rows
        scores[rows] = discrimination(distances(predicted[own], observed[own], metric))
    return scores


def _unit(deltas: Deltas) -> Deltas:
    size = np.sqrt(np.square(deltas).sum(axis=1, keepdims=True))
    return np.divide(deltas, size, out=np.zeros_like(deltas), where=size > 0)


@numba.njit(cache=True, parallel=True, fastmath={"reassoc", "contract"})
@no_type_check
def _cityblock(predicted: Deltas, observed: Deltas) -> np.ndarray:
    """The same sums on all cores, a few rows at a time that stay in cache: twice as fast for many conditions.

    Each sum is taken by one core alone, so the number of cores changes no bit.
    """
    size, genes = predicted.shape
    table = np.empty((size, len(observed)))
    for block in numba.prange((size + 7) // 8):
        for j in range(len(observed)):
            for i in range(8 * block, min(8 * block + 8, size)):
                total = 0.0
                for gene in range(genes):
                    total += abs(predicted[i, gene] - observed[j, gene])
                table[i, j] = total
    return table
