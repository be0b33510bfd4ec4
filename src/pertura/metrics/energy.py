"""Mean distances between many cells, by matrix products in blocks: for energy distances of a whole screen.

A squared distance is |x|^2 + |y|^2 - 2 x y. In float32 that is exact enough but where two cells nearly coincide, which
copied or constant predictions bring about; those few pairs are taken again from their differences. Threads each take
blocks of their own: callers hold the linear algebra library itself to one thread.
"""

import typing
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numba
import numpy as np
from jaxtyping import Float

from pertura.metrics.threads import each, ranges

BLOCK_FIRST, BLOCK_SECOND, BLOCK_WITHIN = 512, 2048, 1024
NEARLY_SAME = 1e-2
"""Squared distances below this share of the squared lengths are taken again in float32 cells."""
NEARLY_SAME_DOUBLE = 1e-10
"""The same for float64."""
Cells = Float[np.ndarray, "_ genes"]
Sums = Float[np.ndarray, " _"]
Squares = tuple[Sums, Sums]
Products = Float[np.ndarray, "_ _"]


@runtime_checkable
class Distances(Protocol):
    """Sums of distances to a set of cells that stays."""

    def sums(self, cells: Cells) -> Sums:
        """Return for each cell the sum of its Euclidean distances to all cells of the set."""
        ...


@dataclass(frozen=True, eq=False)
class DistancesTo:
    """Sums of distances to `fixed`; cells on both sides should be centred, and float32 for speed."""

    fixed: Float[np.ndarray, "fixed genes"]
    threads: int = 1
    squares: Float[np.ndarray, " fixed"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "squares", squared_lengths(self.fixed))

    def sums(self, cells: Cells) -> Sums:
        """Return for each cell the sum of its Euclidean distances to `fixed`, in float64.

        Equal numbers for any number of threads: each block of cells is one thread's work.
        """
        total, squares = np.zeros(len(cells)), squared_lengths(cells)

        def work(block: tuple[int, int]) -> None:
            rows = slice(*block)
            for start, stop in ranges(len(self.fixed), BLOCK_SECOND):
                other = self.fixed[start:stop]
                products = cells[rows] @ other.T
                add_distances(products, (squares[rows], self.squares[start:stop]), cells[rows], other, total[rows])

        each(work, ranges(len(cells), BLOCK_FIRST), self.threads)
        return total


def sum_within(cells: Cells) -> float:
    """Return the sum of Euclidean distances over all ordered pairs of some cells; exactly 0 for equal cells."""
    total = 0.0
    for block in ranges(len(cells), BLOCK_WITHIN):
        one, squares = _shifted(cells, block)
        for other in ranges(len(cells), BLOCK_WITHIN):
            if other >= block:
                second, second_squares = (one, squares) if other == block else _shifted(cells, other)
                part = np.zeros(len(one))
                add_distances(one @ second.T, (squares, second_squares), one, second, part)
                total += float(part.sum()) * (1 if other == block else 2)
    return total


def _shifted(cells: Cells, block: tuple[int, int]) -> tuple[Cells, Sums]:
    moved = cells[slice(*block)].astype(np.float64) - cells[0]
    return moved, squared_lengths(moved)


def rounded_distances(first: Cells, second: Cells, threads: int = 1) -> Float[np.ndarray, "first second"]:
    """Return Euclidean distances computed in float64, rounded to the type of the cells before and after the root.

    That is how scikit-learn rounds them; from a set to itself the diagonal is exactly 0.
    """
    distance = np.empty((len(first), len(second)), dtype=first.dtype)

    def work(block: tuple[int, int]) -> None:
        one, squares = _doubled(first, block)
        for start, stop in ranges(len(second), BLOCK_SECOND):
            other, other_squares = _doubled(second, (start, stop))
            _fill_rounded(one @ other.T, (squares, other_squares), distance[slice(*block), start:stop])

    each(work, ranges(len(first), BLOCK_SECOND), threads)
    if first is second:
        np.fill_diagonal(distance, 0)
    return distance


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _fill_rounded(products: np.ndarray, squares: tuple[np.ndarray, np.ndarray], distance: np.ndarray) -> None:
    """Fill `distance` with the roots of squared distances that were rounded to its type."""
    first_squares, second_squares = squares
    for i in range(products.shape[0]):
        row = distance[i]
        for j in range(products.shape[1]):
            row[j] = max(-2.0 * products[i, j] + first_squares[i] + second_squares[j], 0.0)
        for j in range(len(row)):
            row[j] = np.sqrt(row[j])


def _doubled(cells: Cells, block: tuple[int, int]) -> tuple[Cells, Sums]:
    double = cells[slice(*block)].astype(np.float64)
    return double, squared_lengths(double)


def squared_lengths(cells: Cells) -> Sums:
    """Return the squared length of each cell, summed in float64."""
    return np.einsum("ij,ij->i", cells, cells, dtype=np.float64)


def add_distances(products: Products, squares: Squares, first: Cells, second: Cells, total: Sums) -> None:
    """Add to `total` the distances of each cell of `first` to all of `second`.

    `products` are those of all pairs, `squares` the squared lengths of both.
    """
    share = NEARLY_SAME if first.dtype == np.float32 else NEARLY_SAME_DOUBLE
    if _add_roots(products, squares, share, total):
        _mend_near_pairs(products, squares, share, (first, second), total)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
@typing.no_type_check
def _add_roots(products: np.ndarray, squares: tuple[np.ndarray, np.ndarray], share: float, total: np.ndarray) -> int:
    first_squares, second_squares = squares
    near = 0
    for i in range(len(total)):
        row, one, part = products[i], first_squares[i], 0.0
        for j in range(len(row)):
            lengths = one + second_squares[j]
            square = lengths - 2.0 * row[j]
            near += square < share * lengths
            part += np.sqrt(max(square, 0.0))
        total[i] += part
    return near


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _mend_near_pairs(
    products: np.ndarray,
    squares: tuple[np.ndarray, np.ndarray],
    share: float,
    cells: tuple[np.ndarray, np.ndarray],
    total: np.ndarray,
) -> None:
    first, second = cells
    for i in range(len(first)):
        for j in range(len(second)):
            lengths = squares[0][i] + squares[1][j]
            square = lengths - 2.0 * products[i, j]
            if square < share * lengths:
                exact = 0.0
                for g in range(first.shape[1]):
                    difference = np.float64(first[i, g]) - np.float64(second[j, g])
                    exact += difference * difference
                total[i] += np.sqrt(exact) - np.sqrt(max(square, 0.0))
