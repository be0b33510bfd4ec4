"""cell-eval's discrimination score: the rank of a prediction's own perturbation, each row without its target gene.

One matrix of distances serves all rows: the term of a row's target gene is taken out afterwards. A row in which other
distances come so near to its own that rounding decides is done again in the precision and with the sort of the
original, so that its order of near-ties holds too.
"""

import typing
from collections.abc import Callable
from typing import Literal

import numba
import numpy as np
from jaxtyping import Float, Int

Kind = Literal["l1", "l2", "cosine"]
Deltas = Float[np.ndarray, "conditions genes"]
Table = Float[np.ndarray, "conditions conditions"]
NEAR = 2e-6
"""Distances this near, relative to what they are computed from, may change order by float32 rounding."""
LOST = 1e-6
"""Where so little of a length is left without the target gene, the difference holds too few digits."""


def discrimination_cell_eval(
    predicted: Deltas, observed: Deltas, target_columns: Int[np.ndarray, " conditions"], metric: Kind
) -> Float[np.ndarray, " conditions"]:
    """Return 1 - rank / N of each prediction's own perturbation among all N, ties by position.

    `target_columns[i]` is the column of the target of row i, -1 where it is not measured (cell-eval 0.8.2,
    `discrimination_score_{l1,l2,cosine}`). A random prediction scores 0.5 + 1 / (2N), the worst 1 / N. float32 deltas
    are compared in float32 where the original does so.
    """
    size = len(predicted)
    distance, slack = _DISTANCES[metric](predicted.astype(np.float64), observed.astype(np.float64), target_columns)
    own = np.diag(distance)[:, None]
    near = np.abs(distance - own) <= slack
    np.fill_diagonal(near, False)
    ranks = (distance < own).sum(axis=1)
    for row in np.flatnonzero(near.any(axis=1) | ~np.isfinite(distance).all(axis=1)):
        ranks[row] = _rank_as_original(predicted[row], observed, int(target_columns[row]), metric, int(row))
    return 1.0 - ranks / size


def _rank_as_original(
    predicted: Float[np.ndarray, " genes"], observed: Deltas, column: int, metric: Kind, row: int
) -> int:
    from sklearn.metrics import pairwise_distances

    kept = np.flatnonzero(np.arange(observed.shape[1]) != column)
    if metric == "cosine" and not predicted[kept].any():
        distance = np.ones(len(observed), dtype=observed.dtype)  # as a direction of zeros has it, without the products
    else:
        distance = pairwise_distances(observed[:, kept], predicted[kept].reshape(1, -1), metric=metric).reshape(-1)
    return int(np.flatnonzero(np.argsort(distance) == row)[0])


def _columns_of(table: Deltas, columns: Int[np.ndarray, " conditions"]) -> Table:
    """Entry (i, j): row j of the table in the target column of row i, 0 where that is not measured."""
    return np.where(columns[:, None] >= 0, table[:, columns].T, 0.0)


def _own_column(table: Deltas, columns: Int[np.ndarray, " conditions"]) -> Float[np.ndarray, "conditions 1"]:
    return np.where(columns >= 0, table[np.arange(len(table)), columns], 0.0)[:, None]


def _manhattan(predicted: Deltas, observed: Deltas, columns: Int[np.ndarray, " conditions"]) -> tuple[Table, Table]:
    whole = np.zeros((len(predicted), len(observed)))
    add_absolute_differences(predicted, observed, whole)
    without = whole - np.abs(_own_column(predicted, columns) - _columns_of(observed, columns))
    return without, NEAR * 1e-3 * whole  # the original sums in float64


def _euclidean(predicted: Deltas, observed: Deltas, columns: Int[np.ndarray, " conditions"]) -> tuple[Table, Table]:
    """Squared distances, which have the same order."""
    lengths = np.square(predicted).sum(axis=1)[:, None] + np.square(observed).sum(axis=1)
    squares = lengths - 2 * predicted @ observed.T
    without = squares - np.square(_own_column(predicted, columns) - _columns_of(observed, columns))
    return without, NEAR * np.abs(without) + 1e-12 * lengths


def _cosine(predicted: Deltas, observed: Deltas, columns: Int[np.ndarray, " conditions"]) -> tuple[Table, Table]:
    own, others = _own_column(predicted, columns), _columns_of(observed, columns)
    whole_first = np.square(predicted).sum(axis=1)[:, None]
    whole_second = np.square(observed).sum(axis=1)
    first, second = whole_first - own**2, whole_second - others**2
    vanishing = (first <= LOST * whole_first) | (second <= LOST * whole_second)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (predicted @ observed.T - own * others) / np.sqrt(first * second)
    distance = np.where(vanishing, np.nan, 1.0 - cosine)
    return distance, np.full_like(distance, 2 * NEAR)


@numba.njit(cache=True, nogil=True, fastmath=True)
@typing.no_type_check
def add_absolute_differences(first: np.ndarray, second: np.ndarray, total: np.ndarray) -> None:
    """Add to total[i, j] the summed absolute difference of row i of `first` and row j of `second`."""
    block = 1024  # stretches of two rows stay in the fastest cache
    for start in range(0, first.shape[1], block):
        for i in range(first.shape[0]):
            one = first[i, start : start + block]
            for j in range(second.shape[0]):
                other = second[j, start : start + block]
                part = 0.0
                for g in range(len(one)):
                    part += abs(one[g] - other[g])
                total[i, j] += part


_DISTANCES: dict[str, Callable[[Deltas, Deltas, Int[np.ndarray, " conditions"]], tuple[Table, Table]]] = {
    "l1": _manhattan,
    "l2": _euclidean,
    "cosine": _cosine,
}
