"""Expression matrices that need not fit in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Num, Shaped

Rows = Int[np.ndarray, " cells"]
BLOCK_CELLS = 2048


@runtime_checkable
class Expression(Protocol):
    """A cells x genes matrix of which rows can be taken; dense, CSR, or on disk."""

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        ...

    def rows(self, index: Rows) -> Num[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order, in memory."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """A dense array or CSR matrix as an `Expression`."""

    matrix: Num[np.ndarray, "cells genes"] | sp.csr_matrix

    def __post_init__(self) -> None:
        matrix = self.matrix
        # scipy copies all indices at every row access where indptr and indices differ in width
        if not isinstance(matrix, np.ndarray) and matrix.indptr.dtype != matrix.indices.dtype:
            width = np.int32 if max(matrix.nnz, *matrix.shape) < np.iinfo(np.int32).max else np.int64
            indices, indptr = matrix.indices.astype(width), matrix.indptr.astype(width)
            same = sp.csr_matrix(matrix.shape, dtype=matrix.dtype)
            same.data, same.indices, same.indptr = matrix.data, indices, indptr
            object.__setattr__(self, "matrix", same)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def rows(self, index: Rows) -> Num[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order."""
        return self.matrix[index]


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """Some rows, and optionally some columns in a new order, of another expression; nothing is copied."""

    source: Expression
    index: Rows
    columns: Int[np.ndarray, " genes"] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return len(self.index), self.source.shape[1] if self.columns is None else len(self.columns)

    def rows(self, index: Rows) -> Num[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order."""
        block = self.source.rows(self.index[index])
        return block if self.columns is None else block[:, self.columns]


def as_expression(matrix: object) -> Expression:
    """Return `matrix` as an `Expression`; sparse formats other than CSR are converted."""
    if isinstance(matrix, np.ndarray):
        return InMemory(matrix)
    if sp.issparse(matrix):
        return InMemory(sp.csr_matrix(matrix))
    if isinstance(matrix, Expression):
        return matrix
    raise TypeError(f"not an expression matrix: {type(matrix).__name__}")


def dense(block: Shaped[np.ndarray, "cells genes"] | sp.csr_matrix) -> Float[np.ndarray, "cells genes"]:
    """Return a block as a float64 array."""
    full = block if isinstance(block, np.ndarray) else block.toarray()
    return np.asarray(full, dtype=np.float64)


def column_sums(
    block: Shaped[np.ndarray, "cells genes"] | sp.csr_matrix,
) -> Float[np.ndarray, " genes"]:
    """Return the sum of each gene over a block, accumulated in float64 without making a sparse block dense."""
    if isinstance(block, np.ndarray):
        return block.sum(axis=0, dtype=np.float64)
    return np.bincount(block.indices, weights=block.data, minlength=block.shape[1]).astype(np.float64, copy=False)


def blocks(expression: Expression, index: Rows, size: int = BLOCK_CELLS) -> Iterator[Float[np.ndarray, "cells genes"]]:
    """Yield the rows named by `index` as dense float64 blocks of at most `size` cells."""
    for start in range(0, len(index), size):
        yield dense(expression.rows(index[start : start + size]))
