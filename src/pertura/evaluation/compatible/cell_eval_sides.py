"""Cells as cell-eval 0.8 takes them: its checks of scale, its normalisation of counts, its means."""

import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numba
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Num

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Rows
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.pairing import control_rows, same_genes, same_labels
from pertura.metrics.threads import ranges

FRACTION = 1e-3
"""A value with a larger fraction than this shows that values are no counts."""
HIGHEST_LOGARITHM = 15.0
BLOCK_BYTES = 64 << 20
Block: TypeAlias = Num[np.ndarray, "cells genes"] | sp.csr_matrix


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison, its values log-normalised floats.

    `codes[i]` is the place of cell i's label in `labels`; control has the place after the last. `means` have float32
    rounding where the values have it, since that decides ties.
    """

    cells: Labelled
    labels: tuple[str, ...]
    codes: Int[np.ndarray, " cells"]
    counts: Int[np.ndarray, " labels_and_control"]
    means: Float[np.ndarray, "labels_and_control genes"]
    from_counts: bool

    @property
    def expression(self) -> Expression:
        """Values of all cells."""
        return self.cells.expression

    @property
    def deltas(self) -> Float[np.ndarray, "labels genes"]:
        """Mean of each label minus the mean of this side's own control."""
        return self.means[:-1] - self.means[-1]


@dataclass(frozen=True, slots=True, eq=False)
class AsFloat32:
    """Half-precision or whole numbers as float32, cast when read."""

    source: Expression

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.source.shape

    def rows(self, index: Rows) -> Block:
        """Return the rows named by `index`, in its order."""
        return self.source.rows(index).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class MedianNormalised:
    """Counts divided by the cell's total over the median total, then log1p; in the precision of the counts."""

    source: Expression
    divisors: Float[np.ndarray, " cells"]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.source.shape

    def rows(self, index: Rows) -> Block:
        """Return the rows named by `index`, in its order."""
        block, divisors = self.source.rows(index), self.divisors[index]
        if isinstance(block, np.ndarray):
            return np.log1p(block / divisors[:, None])
        data = np.log1p(block.data / np.repeat(divisors, np.diff(block.indptr)))
        return sp.csr_matrix((data, block.indices, block.indptr), shape=block.shape)


@dataclass(eq=False)
class _Survey:
    """What one pass over all cells finds."""

    sums: Float[np.ndarray, "labels_and_control genes"]
    totals: Float[np.ndarray, " cells"]
    lowest: float = np.inf
    highest: float = -np.inf
    fractions: int = 0


def sides_of(predicted: Labelled, observed: Labelled) -> tuple[Side, Side]:
    """Return both sides, checked against one another as cell-eval does: same genes in order, same labels, control."""
    same_genes(predicted, observed)
    labels = same_labels(predicted, observed)
    return side_of(predicted, labels), side_of(observed, labels)


def side_of(cells: Labelled, labels: tuple[str, ...]) -> Side:
    """Return one side; raise `BadDataError` where its values are neither counts nor log-normalised."""
    control_rows(cells)
    places = {one: place for place, one in enumerate((*labels, cells.control))}
    codes = np.asarray([places.get(one, -1) for one in cells.labels], dtype=np.int64)[cells.codes]
    counts = np.bincount(codes, minlength=len(places))
    floats = replace(cells, expression=_as_floats(cells.expression))
    found = _surveyed(floats, codes, len(places))
    from_counts = _are_counts(found, cells)
    if from_counts:
        floats = replace(floats, expression=_normalised(floats.expression, found.totals, cells))
        found = _surveyed(floats, codes, len(places))
    means = found.sums / counts[:, None]
    return Side(floats, labels, codes, counts, means.astype(_precision(floats.expression)), from_counts)


def _as_floats(expression: Expression) -> Expression:
    return expression if _precision(expression) in (np.float32, np.float64) else AsFloat32(expression)


def _precision(expression: Expression) -> np.dtype:
    return np.dtype(expression.rows(np.arange(min(1, expression.shape[0]))).dtype)


def _surveyed(cells: Labelled, codes: Int[np.ndarray, " cells"], places: int) -> _Survey:
    found = _Survey(np.zeros((places, len(cells.genes))), np.zeros(len(codes)))
    for rows, block in _blocks(cells.expression):
        precise = np.array(FRACTION, dtype=block.dtype)[()]
        totals = found.totals[rows[0] : rows[-1] + 1]
        if isinstance(block, np.ndarray):
            low, high, fractions = _survey_dense(block, codes[rows], precise, found.sums, totals)
        else:
            arrays = block.data, block.indices, block.indptr
            low, high, fractions = _survey_sparse(arrays, codes[rows], precise, found.sums, totals)
        if not np.isfinite(totals).all():
            raise _not_finite(cells, rows, block)
        found.lowest, found.highest = min(found.lowest, low), max(found.highest, high)
        found.fractions += fractions
    return found


def _blocks(expression: Expression) -> Iterator[tuple[Rows, Block]]:
    size = max(BLOCK_BYTES // (8 * max(expression.shape[1], 1)), 1)
    for start, stop in ranges(expression.shape[0], size):
        rows = np.arange(start, stop)
        yield rows, expression.rows(rows)


def _not_finite(cells: Labelled, rows: Rows, block: Block) -> BadDataError:
    for i, row in enumerate(rows):
        values = block[i] if isinstance(block, np.ndarray) else block[[i]].toarray()[0]
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            where = f"cell {cells.ids[row]}, gene {cells.genes[bad[0]]}"
            return BadDataError(f"{values[bad[0]]} is no expression", file=cells.name, place=where)
    return BadDataError("values too large to be summed", file=cells.name)


def _are_counts(found: _Survey, cells: Labelled) -> bool:
    """Whether values are whole numbers; refuse what is neither counts nor a logarithm of normalised counts."""
    if found.lowest < 0:
        raise BadDataError(
            f"values down to {found.lowest:.4g}: expression is never below 0",
            file=cells.name,
            remedy="cell-eval's preset takes counts or log1p of normalised counts; clip predictions at 0",
        )
    if found.fractions and found.highest >= HIGHEST_LOGARITHM:
        raise BadDataError(
            f"fractions beside values up to {found.highest:.4g}: neither counts nor logarithms below 15",
            file=cells.name,
            remedy="give log1p of normalised counts; counts beside logarithms, or no logarithm, look like this",
        )
    return not found.fractions


def _normalised(expression: Expression, totals: Float[np.ndarray, " cells"], cells: Labelled) -> MedianNormalised:
    """Counts scaled to the median total: of all cells where stored sparsely, of cells with counts where dense."""
    block = expression.rows(np.arange(1))
    exact = totals.astype(block.dtype)
    median = np.median(exact[exact > 0] if isinstance(block, np.ndarray) and exact.any() else exact)
    if median == 0:
        raise BadDataError("most cells have no counts at all", file=cells.name, remedy="leave empty cells out")
    divisors = exact / median
    return MedianNormalised(expression, divisors + (divisors == 0))


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _survey_dense(
    block: np.ndarray, codes: np.ndarray, fraction: float, sums: np.ndarray, totals: np.ndarray
) -> tuple[float, float, int]:
    low, high, fractions = np.inf, -np.inf, 0
    for i in range(len(codes)):
        row, into, total = block[i], sums[codes[i]], 0.0
        for g in range(len(row)):
            value = row[g]
            into[g] += value
            total += value
            low, high = min(low, value), max(high, value)
            fractions += value - np.trunc(value) > fraction
        totals[i] = total
    return low, high, fractions


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _survey_sparse(
    stored: tuple[np.ndarray, np.ndarray, np.ndarray],
    codes: np.ndarray,
    fraction: float,
    sums: np.ndarray,
    totals: np.ndarray,
) -> tuple[float, float, int]:
    data, indices, indptr = stored
    low, high, fractions = np.inf, -np.inf, 0
    for i in range(len(codes)):
        into, total = sums[codes[i]], 0.0
        for k in range(indptr[i], indptr[i + 1]):
            value = data[k]
            into[indices[k]] += value
            total += value
            low, high = min(low, value), max(high, value)
            fractions += value - np.trunc(value) > fraction
        totals[i] = total
    return low, high, fractions
