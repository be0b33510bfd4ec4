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


def blocks(expression: Expression, index: Rows, size: int = BLOCK_CELLS) -> Iterator[Float[np.ndarray, "cells genes"]]:
    """Yield the rows named by `index` as dense float64 blocks of at most `size` cells."""
    for start in range(0, len(index), size):
        yield dense(expression.rows(index[start : start + size]))
