"""Counts as the rules of 2026 take them: whole numbers, scaled per cell for tests, summed per label for the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Num

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, blocks, column_sums
from pertura.data.labelled import Labelled

MILLION = 1e6
"""Cells are scaled to this total for the tests; no cell may hold more counts than this."""
WHOLE = 1e-6
"""A value this near to a whole number is one."""
BLOCK = 2048


@dataclass(frozen=True, eq=False)
class Counted:
    """The total of each cell and the sum of each label, in the order of `labels`, over all genes."""

    totals: Float[np.ndarray, " cells"]
    sums: Float[np.ndarray, "labels genes"]


@dataclass(frozen=True, slots=True, eq=False)
class LogPerMillion:
    """Counts as an expression of log1p of counts per million of each cell; a cell without counts stays all zero."""

    source: Expression
    totals: Float[np.ndarray, " cells"]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.source.shape

    def rows(self, index: Int[np.ndarray, " cells"]) -> Float[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order, scaled and logged."""
        block = per_million(self.source.rows(index), self.totals[index])
        if isinstance(block, np.ndarray):
            return np.log1p(block)
        np.log1p(block.data, out=block.data)
        return block


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """The cells of one expression above those of another, over the same genes; nothing is copied."""

    upper: Expression
    lower: Expression

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.upper.shape[0] + self.lower.shape[0], self.upper.shape[1]

    def rows(self, index: Int[np.ndarray, " cells"]) -> Num[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order; dense where one of the two is."""
        edge = self.upper.shape[0]
        above = np.flatnonzero(index < edge)
        below = np.flatnonzero(index >= edge)
        if not len(below):
            return self.upper.rows(index)
        if not len(above):
            return self.lower.rows(index - edge)
        parts = [self.upper.rows(index[above]), self.lower.rows(index[below] - edge)]
        back = np.argsort(np.concatenate([above, below]), kind="stable")
        if any(isinstance(part, np.ndarray) for part in parts):
            return np.vstack([part if isinstance(part, np.ndarray) else part.toarray() for part in parts])[back]
        return sp.csr_matrix(sp.vstack(parts, format="csr")[back])


def per_million(
    block: Num[np.ndarray, "cells genes"] | sp.csr_matrix, totals: Float[np.ndarray, " cells"]
) -> Float[np.ndarray, "cells genes"] | sp.csr_matrix:
    """Return a block scaled to a million counts per cell, as a new float64 block."""
    size = totals / MILLION  # divided in this order: equal proportions of two cells must stay exact ties
    size[size == 0] = 1.0
    if isinstance(block, np.ndarray):
        return block.astype(np.float64) / size[:, None]
    scaled = sp.csr_matrix(block, dtype=np.float64, copy=True)
    scaled.data /= np.repeat(size, np.diff(scaled.indptr))
    return scaled


def counted(cells: Labelled, fractions: bool = False) -> Counted:
    """Return totals and sums; raise where a value is no count. `fractions` are let through on request."""
    totals = np.empty(len(cells.codes))
    sums = np.zeros((len(cells.labels), len(cells.genes)))
    for index, block in _in_order(cells.expression, len(totals)):
        _check(cells, index, block, fractions)
        totals[index] = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
        codes, place = np.unique(cells.codes[index], return_inverse=True)
        members = sp.csr_matrix((np.ones(len(index)), (place, np.arange(len(index)))))
        of_block = members @ block
        sums[codes] += of_block if isinstance(of_block, np.ndarray) else of_block.toarray()
    if len(totals) and totals.max() > MILLION:
        raise _refused(cells, int(totals.argmax()), f"a cell of {totals.max():,.0f} counts, more than {MILLION:,.0f}")
    return Counted(totals, sums)


def mean_per_million(
    cells: Labelled, rows: Int[np.ndarray, " chosen"], totals: Float[np.ndarray, " cells"]
) -> Float[np.ndarray, " genes"]:
    """Return the mean over these cells of each gene's counts per million of the cell."""
    total = np.zeros(len(cells.genes))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        total += column_sums(per_million(cells.expression.rows(part), totals[part]))
    return total / len(rows)


def cell_blocks(cells: Labelled, label: str, memory: int) -> Iterator[Float[np.ndarray, "cells genes"]]:
    """Yield the cells of a label as dense blocks of which some four fit in `memory` bytes."""
    size = int(np.clip(memory // (32 * max(len(cells.genes), 1)), 1, BLOCK))
    return blocks(cells.expression, cells.rows_of(label), size)


def _in_order(
    expression: Expression, cells: int
) -> Iterator[tuple[Int[np.ndarray, " cells"], Num[np.ndarray, "cells genes"] | sp.csr_matrix]]:
    for start in range(0, cells, BLOCK):
        index = np.arange(start, min(start + BLOCK, cells))
        yield index, expression.rows(index)


def _check(
    cells: Labelled,
    index: Int[np.ndarray, " cells"],
    block: Num[np.ndarray, "cells genes"] | sp.csr_matrix,
    fractions: bool,
) -> None:
    data = block if isinstance(block, np.ndarray) else block.data
    if data.dtype.kind in "ub" or not data.size:
        return
    wrong = ~(np.isfinite(data) & (data >= 0))
    problem = "a negative value or one that is not finite"
    if not wrong.any() and not fractions:
        wrong, problem = np.abs(data - np.rint(data)) > WHOLE, "values that are not whole numbers"
    if wrong.any():
        raise _refused(cells, int(index[_row_of(block, int(np.flatnonzero(wrong.ravel())[0]))]), problem)


def _row_of(block: Num[np.ndarray, "cells genes"] | sp.csr_matrix, entry: int) -> int:
    if isinstance(block, np.ndarray):
        return entry // block.shape[1]
    return int(np.searchsorted(block.indptr, entry, side="right")) - 1


def _refused(cells: Labelled, row: int, problem: str) -> BadDataError:
    remedy = "this preset judges counts; `vcc2026/from-log` turns logarithms of counts into counts, and says how"
    return BadDataError(problem, file=cells.name, place=f"cell {cells.ids[row]}", remedy=remedy)
