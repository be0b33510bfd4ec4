"""Counts to logarithms, with size factors from all genes of a cell."""

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError
from pertura.core.expression import BLOCK_CELLS, Expression, Rows


@dataclass(frozen=True, slots=True, eq=False)
class LogNormalised:
    """log(1 + count x factor of the cell), computed for the rows that are asked for."""

    counts: Expression
    factors: Float[np.ndarray, " cells"]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.counts.shape

    def rows(self, index: Rows) -> Float[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order, in float64."""
        block, factors = self.counts.rows(index), self.factors[index]
        if isinstance(block, np.ndarray):
            return np.log1p(block * factors[:, None])
        data = np.log1p(block.data * np.repeat(factors, np.diff(block.indptr)))
        return sp.csr_matrix((data, block.indices, block.indptr), shape=block.shape)


def log_normalise(cells: Cells, *, target_sum: float = 1e4) -> Cells:
    """Return the same cells as log(1 + count x target_sum / library size), natural logarithm, computed when read.

    Library sizes are those of the whole transcriptome; `BadDataError` where only a panel's own sum is there: divided
    by it, a change of a few genes would show up as an opposite change of all others.
    """
    if cells.scale.kind != "counts":
        raise BadDataError(f"{cells.name} holds no counts but {cells.scale.kind} values", remedy="give raw counts")
    sizes = cells.library_sizes
    if sizes is None:
        if not cells.scale.whole_transcriptome:
            raise BadDataError(
                f"{cells.name}: library sizes are not known, and {len(cells.genes):,} genes need not be all there are",
                remedy="name the column that holds total counts per cell with --library-size-column, or say "
                "--whole-transcriptome if no gene was left out",
            )
        sizes = sums_of(cells.expression)
    empty = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)))
    if len(empty):
        raise BadDataError(
            f"{cells.name}: {len(empty):,} cells without any count (first: {cells.ids[empty[0]]})",
            remedy="leave empty cells out",
        )
    scale = Scale(
        "lognormalised",
        target_sum=float(target_sum),
        log_base=math.e,
        whole_transcriptome=True,
        evidence=f"normalised here from counts to {target_sum:,.6g} per cell, natural logarithm",
    )
    expression = LogNormalised(cells.expression, target_sum / sizes)
    return replace(cells, expression=expression, scale=scale, library_sizes=sizes)


def sums_of(expression: Expression) -> Float[np.ndarray, " cells"]:
    """Return the sum of each row, read block by block."""
    sums = np.empty(expression.shape[0])
    for start in range(0, len(sums), BLOCK_CELLS):
        rows = np.arange(start, min(start + BLOCK_CELLS, len(sums)))
        sums[rows] = np.asarray(expression.rows(rows).sum(axis=1), dtype=np.float64).reshape(-1)
    return sums
