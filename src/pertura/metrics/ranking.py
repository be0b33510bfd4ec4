"""Does a prediction resemble its own perturbation more than the others?"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist

from pertura.core.errors import UsageError
from pertura.metrics.distance import euclidean

DISTANCES = ("l1", "l2", "cosine")
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
        return cdist(predicted, observed, "cityblock")
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


def discrimination_cell_eval(
    predicted: Deltas,
    observed: Deltas,
    target_columns: Int[np.ndarray, " conditions"],
    metric: Literal["l1", "l2", "cosine"],
) -> Float[np.ndarray, " conditions"]:
    """Return cell-eval's discrimination score: 1 - rank / N, ties by position, each row without its own target gene.

    `target_columns[i]` is the column of the target of row i, -1 where it is not measured (cell-eval 0.8.2,
    `discrimination_score_{l1,l2,cosine}`). A random prediction scores 0.5 + 1 / (2N), the worst 1 / N.
    """
    size = len(predicted)
    scores = np.empty(size)
    for i, column in enumerate(target_columns):
        keep = np.arange(predicted.shape[1]) != column
        row = distances(predicted[i : i + 1, keep], observed[:, keep], metric)[0]
        scores[i] = 1.0 - np.flatnonzero(np.argsort(row) == i)[0] / size
    return scores


def within_groups(
    predicted: Deltas,
    observed: Deltas,
    groups: Int[np.ndarray, " conditions"],
    kept: Bool[np.ndarray, " genes"],
    metric: Literal["l1", "l2", "cosine"],
) -> Float[np.ndarray, " conditions"]:
    """Return `discrimination` among conditions of the same group (context); NaN where no gene is kept."""
    scores = np.full(len(predicted), np.nan)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        if not kept.any():
            continue
        own = np.ix_(rows, np.flatnonzero(kept))
        scores[rows] = discrimination(distances(predicted[own], observed[own], metric))
    return scores


def _unit(deltas: Deltas) -> Deltas:
    size = np.sqrt(np.square(deltas).sum(axis=1, keepdims=True))
    return np.divide(deltas, size, out=np.zeros_like(deltas), where=size > 0)
