"""Means of groups of cells, gene by gene, and the change between them.

Means are taken in the type of the data and in the order of the cells, as numpy and scipy take the mean of a dense and
of a CSR matrix: fold changes near a tie then rank as they do there. Values of CSR are divided by the number of cells
before they are added, those of a dense matrix after.
"""

import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from pertura.core.geneblocks import GeneBlock
from pertura.metrics.threads import each

Kind = Literal["geometric", "arithmetic"]
CHUNK_CELLS = 1024
"""Cells of a sparse matrix that are transformed at a time."""

GroupMeans = Float[np.ndarray, "groups genes"]
PerGroup = Int[np.ndarray, " groups"]


def group_means(
    block: GeneBlock, codes: Int[np.ndarray, " cells"], sizes: PerGroup, kind: Kind, logged: bool, threads: int = 1
) -> GroupMeans:
    """Return the mean of each group in the space of counts; NaN for a group without cells.

    Cell i belongs to group `codes[i]`. The geometric mean is expm1(mean(log1p(counts))), the arithmetic one
    mean(counts), where `logged` data are log1p(counts).
    """
    change = None if (kind == "geometric") == logged else ("log1p" if kind == "geometric" else "expm1")
    order = np.argsort(codes, kind="stable")
    sums = _Sums(block, block.rows[order], codes[order], sizes, change)
    each(sums.add, _shares(sizes, threads), threads)
    means = sums.means()
    return expm1(means) if kind == "geometric" else means


def _shares(sizes: PerGroup, parts: int) -> list[tuple[int, int]]:
    """Cut cells sorted by group into about `parts` stretches of whole groups."""
    ends = np.cumsum(sizes)
    goals = np.linspace(0, ends[-1], parts + 1)[1:]
    stops = np.unique(ends[np.minimum(np.searchsorted(ends, goals), len(ends) - 1)])
    return list(zip([0, *stops[:-1].tolist()], stops.tolist()))


class _Sums:
    """Sums of groups; cells come sorted by group."""

    def __init__(
        self,
        block: GeneBlock,
        rows: Int[np.ndarray, " cells"],
        codes: Int[np.ndarray, " cells"],
        sizes: PerGroup,
        change: str | None,
    ) -> None:
        self.matrix, self.rows, self.codes, self.sizes, self.change = block.matrix, rows, codes, sizes, change
        self.dense = isinstance(block.matrix, np.ndarray)
        # a dense matrix is transformed in float64, a sparse one in its own type
        kind = np.float64 if self.dense and change is not None else block.matrix.dtype
        self.total = np.zeros((len(sizes), block.stop - block.start), dtype=kind)
        self.shares = (1.0 / np.maximum(sizes, 1)).astype(block.matrix.dtype)

    def add(self, stretch: tuple[int, int]) -> None:
        """Add the cells of a stretch."""
        rows, codes = self.rows[slice(*stretch)], self.codes[slice(*stretch)]
        if isinstance(self.matrix, np.ndarray):
            _DENSE[self.change](self.matrix, rows, codes, self.total)
        elif self.change is None:
            self._add_sparse(self.matrix, rows, codes)
        else:
            for at in range(0, len(rows), CHUNK_CELLS):
                part = self.matrix[rows[at : at + CHUNK_CELLS]]
                part.data = _SPARSE[self.change](part.data)
                self._add_sparse(part, np.arange(part.shape[0]), codes[at : at + CHUNK_CELLS])

    def _add_sparse(
        self, matrix: sp.csr_matrix, rows: Int[np.ndarray, " part"], codes: Int[np.ndarray, " part"]
    ) -> None:
        pointers = matrix.indptr.astype(np.int64, copy=False)
        _add_sparse((matrix.data, matrix.indices, pointers), rows, codes, self.shares, self.total)

    def means(self) -> GroupMeans:
        """Return the means of all groups."""
        means = (self.total / self.sizes.clip(1)[:, None]).astype(self.total.dtype) if self.dense else self.total
        means[self.sizes == 0] = np.nan
        return means


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _add_sparse(matrix: tuple, rows: np.ndarray, codes: np.ndarray, shares: np.ndarray, total: np.ndarray) -> None:
    data, indices, indptr = matrix
    for i in range(len(rows)):
        share, goal = shares[codes[i]], total[codes[i]]
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            goal[indices[k]] += data[k] * share


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _add_dense(matrix: np.ndarray, rows: np.ndarray, codes: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(rows)):
        goal, row = total[codes[i]], matrix[rows[i]]
        for j in range(len(row)):
            goal[j] += row[j]


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _add_dense_expm1(matrix: np.ndarray, rows: np.ndarray, codes: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(rows)):
        goal, row = total[codes[i]], matrix[rows[i]]
        for j in range(len(row)):
            goal[j] += np.expm1(np.float64(row[j]))


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _add_dense_log1p(matrix: np.ndarray, rows: np.ndarray, codes: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(rows)):
        goal, row = total[codes[i]], matrix[rows[i]]
        for j in range(len(row)):
            goal[j] += np.log1p(np.float64(row[j]))


_DENSE: dict[str | None, Callable[..., None]] = {
    None: _add_dense,
    "expm1": _add_dense_expm1,
    "log1p": _add_dense_log1p,
}
_SPARSE: dict[str, Callable[..., np.ndarray]] = {"expm1": np.expm1, "log1p": np.log1p}


def expm1(means: GroupMeans) -> GroupMeans:
    """Return exp(x) - 1 in the type of the means."""
    return _expm1(means)


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _expm1(means: np.ndarray) -> np.ndarray:
    out = np.empty_like(means)
    for i in range(means.shape[0]):
        for j in range(means.shape[1]):
            out[i, j] = np.expm1(means[i, j])
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """How far means lie from those of a reference."""

    log2: Float[np.ndarray, "groups genes"]
    percent: Float[np.ndarray, "groups genes"]


def fold_changes(means: GroupMeans, reference: Float[np.ndarray, " genes"], epsilon: float) -> Changes:
    """Return log2((x + e) / (r + e)) and (x - r) / (r + e) in float64.

    What has no value, as 0 / 0 or the log of a negative number, is no change: 0. An empty group has NaN.
    """
    changes = Changes(np.empty(means.shape), np.empty(means.shape))
    _compare(means, reference, epsilon, changes.log2, changes.percent)
    return changes


@numba.njit(cache=True, nogil=True, error_model="numpy")
@typing.no_type_check
def _compare(means: np.ndarray, reference: np.ndarray, epsilon: float, log2: np.ndarray, percent: np.ndarray) -> None:
    for i in range(means.shape[0]):
        for j in range(means.shape[1]):
            one, base = means[i, j], reference[j] + epsilon
            empty = np.isnan(one) or np.isnan(base)
            up, share = np.log2((one + epsilon) / base), (one - reference[j]) / base
            log2[i, j] = 0.0 if np.isnan(up) and not empty else up
            percent[i, j] = 0.0 if np.isnan(share) and not empty else share


def per_million(means: GroupMeans) -> GroupMeans:
    """Return each group's arithmetic means as parts of a million; zero for a group without counts."""
    total = np.asarray([float(row.sum()) for row in means])
    total[total == 0.0] = 1.0
    return np.stack([row / one * 1e6 for row, one in zip(means, total.tolist())])
