"""Expression by blocks of genes: all cells of some genes at once, under a bound on memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Num

from pertura.core.expression import BLOCK_CELLS, Expression, InMemory, Rows, Subset

SCAN_BYTES = 32 << 20
"""How much is read at a time while rows go by."""
MARGIN = 0.9
"""A block of sparse genes is cut to this share of its bound, so that rows still to come rarely cut it again."""

Columns = Int[np.ndarray, " genes"] | None


@dataclass(frozen=True, slots=True, eq=False)
class GeneBlock:
    """All cells of genes `start`..`stop`-1: cell i of the expression is row `rows[i]` of `matrix`.

    `matrix` is float32 or float64, either dense in C order or CSR with sorted indices and no duplicates. It may be
    the very matrix that the expression holds: nobody writes to it.
    """

    start: int
    stop: int
    matrix: Float[np.ndarray, "rows genes"] | sp.csr_matrix
    rows: Rows


def gene_blocks(expression: Expression, memory: int) -> Iterator[GeneBlock]:
    """Yield blocks of genes, in order, that together hold all genes; each block holds all cells.

    A float matrix in memory comes as one block without a copy. Anything else is scanned once for each block, rows in
    the order of the source, and no block and what it takes to read it exceed `memory` bytes (one gene at the least).
    """
    source, rows, columns = resolved(expression)
    if isinstance(source, InMemory) and columns is None and _ready(source.matrix):
        matrix = source.matrix
        yield GeneBlock(0, matrix.shape[1], matrix if isinstance(matrix, np.ndarray) else canonical(matrix), rows)
        return
    read, back = np.unique(rows, return_inverse=True)
    scan = _Scan(source, read, columns, max(memory, 1))
    start = 0
    while start < scan.genes:
        matrix = scan.block(start)
        yield GeneBlock(start, start + matrix.shape[1], matrix, back.astype(np.int64, copy=False))
        start += matrix.shape[1]


def resolved(expression: Expression) -> tuple[Expression, Rows, Columns]:
    """Return the expression at the bottom of nested subsets, with the rows and columns of it that are meant."""
    rows: Rows = np.arange(expression.shape[0], dtype=np.int64)
    columns: Columns = None
    while isinstance(expression, Subset):
        rows = np.asarray(expression.index, dtype=np.int64)[rows]
        if expression.columns is not None:
            columns = expression.columns if columns is None else expression.columns[columns]
        expression = expression.source
    cells = expression.shape[0]
    if len(rows) and (rows.min() < 0 or rows.max() >= cells):
        raise IndexError(f"row {rows.min() if rows.min() < 0 else rows.max()} of {cells}")
    return expression, rows, columns


def working(dtype: "np.dtype") -> "np.dtype":
    """Return the float type in which values are taken: float16 and float32 as float32, all else as float64."""
    return np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)


def canonical(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return `matrix` itself where its indices are sorted and single, else such a copy."""
    if matrix.has_canonical_format:
        return matrix
    same = matrix.copy()
    same.sum_duplicates()
    return same


def _ready(matrix: Num[np.ndarray, "cells genes"] | sp.csr_matrix) -> bool:
    in_order = matrix.flags.c_contiguous if isinstance(matrix, np.ndarray) else True
    return in_order and matrix.dtype == working(matrix.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """Reads blocks of genes by letting all rows go by."""

    source: Expression
    read: Rows
    columns: Columns
    memory: int

    @property
    def genes(self) -> int:
        return self.source.shape[1] if self.columns is None else len(self.columns)

    def block(self, start: int) -> Float[np.ndarray, "rows genes"] | sp.csr_matrix:
        first = self.source.rows(self.read[:1])
        kind = working(first.dtype)
        return self._dense(start, kind) if isinstance(first, np.ndarray) else self._sparse(start, kind)

    def _pieces(self) -> Iterator[Num[np.ndarray, "cells genes"] | sp.csr_matrix]:
        size = max(min(SCAN_BYTES, self.memory // 8) // max(8 * self.source.shape[1], 1), 1)
        for at in range(0, len(self.read), size):
            yield self.source.rows(self.read[at : at + size])

    def _cut(self, start: int, stop: int) -> "slice | Int[np.ndarray, ' genes']":
        return slice(start, stop) if self.columns is None else self.columns[start:stop]

    def _dense(self, start: int, kind: "np.dtype") -> Float[np.ndarray, "rows genes"]:
        most = max(self.memory * 3 // 4 // max(len(self.read) * kind.itemsize, 1), 1)
        left = self.genes - start
        width = -(-left // -(-left // most))
        block = np.empty((len(self.read), width), dtype=kind)
        at = 0
        for piece in self._pieces():
            block[at : at + len(piece)] = piece[:, self._cut(start, start + width)]
            at += len(piece)
        return block

    def _sparse(self, start: int, kind: "np.dtype") -> sp.csr_matrix:
        width = self.genes - start
        most = max(int(self.memory * 3 // 4) // (kind.itemsize + 4), 1)
        pile = _Pile(np.empty(most, dtype=kind), np.empty(most, dtype=np.int32))
        for whole in self._pieces():
            piece = canonical(sp.csr_matrix(whole[:, self._cut(start, start + width)], dtype=kind))
            share = len(self.read) / (len(pile.lengths) + piece.shape[0])
            if (pile.filled + piece.nnz) * share > most and width > 1:
                expected = np.cumsum(pile.counts(width) + np.bincount(piece.indices, minlength=width)) * share
                width = max(int(np.searchsorted(expected, MARGIN * most, side="right")), 1)
                pile.narrow(width)
                piece = piece[:, :width]
            pile.add(piece)
        return pile.matrix(width)


@dataclass(slots=True, eq=False)
class _Pile:
    """Rows of a CSR matrix put one after another into arrays that are there from the beginning."""

    data: Float[np.ndarray, " room"]
    indices: Int[np.ndarray, " room"]
    lengths: list[int] = field(default_factory=list)
    filled: int = 0

    def add(self, piece: sp.csr_matrix) -> None:
        """Put rows on top."""
        stop = self.filled + piece.nnz
        if stop > len(self.data):
            self.data, self.indices = np.resize(self.data, 2 * stop), np.resize(self.indices, 2 * stop)
        self.data[self.filled : stop], self.indices[self.filled : stop] = piece.data, piece.indices
        self.filled = stop
        self.lengths.extend(np.diff(piece.indptr).tolist())

    def counts(self, width: int) -> Int[np.ndarray, " genes"]:
        """Return how many values each column has."""
        total = np.zeros(width, dtype=np.int64)
        for first in range(0, self.filled, SCAN_BYTES // 8):
            total += np.bincount(self.indices[first : min(first + SCAN_BYTES // 8, self.filled)], minlength=width)
        return total

    def narrow(self, width: int) -> None:
        """Leave out the columns from `width` on, a stretch of rows at a time."""
        ends = np.cumsum([0, *self.lengths])
        goal = 0
        for first in range(0, len(self.lengths), BLOCK_CELLS):
            last = min(first + BLOCK_CELLS, len(self.lengths))
            here = slice(ends[first], ends[last])
            kept = self.indices[here] < width
            row = np.repeat(np.arange(last - first), self.lengths[first:last])
            self.lengths[first:last] = np.bincount(row[kept], minlength=last - first).tolist()
            stop = goal + int(kept.sum())
            self.data[goal:stop], self.indices[goal:stop] = self.data[here][kept], self.indices[here][kept]
            goal = stop
        self.filled = goal

    def matrix(self, width: int) -> sp.csr_matrix:
        """Return all rows as a matrix of `width` columns; the arrays are not copied."""
        indptr = np.cumsum([0, *self.lengths], dtype=np.int64)
        stored = sp.csr_matrix((len(self.lengths), width), dtype=self.data.dtype)
        stored.data, stored.indices, stored.indptr = self.data[: self.filled], self.indices[: self.filled], indptr
        stored.has_canonical_format = True
        return stored
