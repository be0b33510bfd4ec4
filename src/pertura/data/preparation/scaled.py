"""Natural logarithms on one target sum, from counts, from other logarithms, or as they are; and the counts beside."""

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Rows, Subset
from pertura.core.seeds import shuffled
from pertura.data.normalise import LogNormalised, log_normalise, sums_of
from pertura.data.preparation.material import Material
from pertura.data.preparation.passes import sparse

CHECKED_CELLS = 512
WHOLE = 0.02
"""A value this near a whole number is that count; float32 logarithms keep about 1e-3 of a count of thousands."""


@dataclass(frozen=True, slots=True, eq=False)
class Relogged:
    """log(1 + factor (b^x - 1)) in natural logarithms, for logarithms x of base b, computed when read."""

    source: Expression
    log_of_base: float
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.source.shape

    def rows(self, index: Rows) -> Float[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order, in float64."""
        block = self.source.rows(index)
        if isinstance(block, np.ndarray):
            return np.log1p(self.factor * np.expm1(block * self.log_of_base))
        data = np.log1p(self.factor * np.expm1(block.data * self.log_of_base))
        return sp.csr_matrix((data, block.indices, block.indptr), shape=block.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Unlogged:
    """exp(x) - 1, computed when read: counts over size factor, for natural logarithms x."""

    logs: Expression

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.logs.shape

    def rows(self, index: Rows) -> Float[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order."""
        block = self.logs.rows(index)
        if isinstance(block, np.ndarray):
            return np.expm1(block)
        return sp.csr_matrix((np.expm1(block.data), block.indices, block.indptr), shape=block.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """The counts behind normalised logarithms whose library sizes and target sum are known."""

    logs: Expression
    per_count: Float[np.ndarray, " cells"]
    """Library size over target sum: what a value before the logarithm is multiplied by."""

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.logs.shape

    def exact(self, index: Rows) -> sp.csr_matrix:
        """Return the products before they are rounded to whole numbers."""
        block = sparse(self.logs.rows(index)).astype(np.float64)
        block.data = np.expm1(block.data) * np.repeat(self.per_count[index], np.diff(block.indptr))
        return block

    def rows(self, index: Rows) -> sp.csr_matrix:
        """Return the rows named by `index`, in its order."""
        block = self.exact(index)
        block.data = np.rint(block.data)
        return block


@dataclass(frozen=True, eq=False)
class Scaled:
    """Cells in natural logarithms, their counts where these are known, and where both come from, in words.

    `factors` are the size factors where the logarithms are computed from the counts, which are then read once.
    """

    cells: Cells
    counts: Expression | None
    factors: Float[np.ndarray, " cells"] | None
    size_factors: str
    counts_from: str

    def take(self, rows: Rows) -> "Scaled":
        """Return these cells, in this order."""
        return replace(
            self,
            cells=self.cells.take(rows),
            counts=None if self.counts is None else Subset(self.counts, rows),
            factors=None if self.factors is None else self.factors[rows],
        )

    def block(self, rows: Rows, columns: Int[np.ndarray, " genes"]) -> tuple[sp.csr_matrix, sp.csr_matrix | None]:
        """Return logarithms and counts of some cells and genes."""
        if self.factors is None or self.counts is None:
            logs = sparse(self.cells.expression.rows(rows)[:, columns])
            return logs, None if self.counts is None else sparse(self.counts.rows(rows)[:, columns])
        counts = sparse(self.counts.rows(rows)[:, columns]).astype(np.float64)
        per_value = np.repeat(self.factors[rows], np.diff(counts.indptr))
        logs = sp.csr_matrix((np.log1p(counts.data * per_value), counts.indices, counts.indptr), shape=counts.shape)
        return logs, counts


def scaled(material: Material, target_sum: float) -> Scaled:
    """Return cells on natural logarithms of counts per `target_sum`; `BadDataError` where size factors are not known.

    Size factors are those of the whole transcriptome: the sum over all genes, stored library sizes, or what the file
    was normalised with already. Logarithms of a panel that was divided by its own sum are never taken: there a
    change of some genes shows up as the opposite change of all others.
    """
    cells = material.cells
    if cells.scale.kind == "counts":
        return _from_counts(cells, cells.expression, target_sum, "X")
    if cells.scale.whole_transcriptome and cells.scale.log_base:
        return _from_logs(material, target_sum)
    if material.counts is not None and cells.library_sizes is not None:
        return _from_counts(cells, material.counts, target_sum, "layers['counts']")
    raise BadDataError(
        f"{cells.name}: {_why(cells.scale)}",
        remedy="give counts with library sizes over all genes (--library-size-column of `pertura inspect`), or say "
        "--whole-transcriptome there if no gene was left out before the values were normalised",
    )


def _why(scale: Scale) -> str:
    if scale.whole_transcriptome is False:
        return "these logarithms were normalised by the sum of the panel alone, and that cannot be undone"
    if not scale.log_base:
        return "the base of these logarithms is not known"
    return "it is not known whether these values were normalised over all genes of a cell"


def sized(cells: Cells) -> Cells:
    """Return cells of counts with library sizes, summed over all genes where none are stored; refused for a panel."""
    log_normalise(cells.take(np.empty(0, dtype=np.int64)))  # refuses a panel in its own words, before anything is read
    return cells if cells.library_sizes is not None else replace(cells, library_sizes=sums_of(cells.expression))


def _from_counts(cells: Cells, counts: Expression, target_sum: float, place: str) -> Scaled:
    whole = replace(cells, expression=counts, scale=replace(cells.scale, kind="counts", target_sum=None, log_base=None))
    made = log_normalise(whole, target_sum=target_sum)
    factors = made.expression.factors if isinstance(made.expression, LogNormalised) else None
    return Scaled(made, counts, factors, "library sizes over all genes", place)


def _from_logs(material: Material, target_sum: float) -> Scaled:
    cells = material.cells
    base, known = float(cells.scale.log_base or math.e), cells.scale.target_sum
    factor = target_sum / known if known else 1.0
    as_it_is = bool(np.isclose(base, math.e) and np.isclose(factor, 1.0))
    said = f"as the file was normalised ({known:,.6g} per cell)" if known else "as the file was normalised"
    scale = replace(cells.scale, log_base=math.e, target_sum=target_sum if known else None)
    logs = cells.expression if as_it_is else Relogged(cells.expression, float(np.log(base)), factor)
    made = replace(cells, expression=logs, scale=scale)
    if material.counts is not None:
        return Scaled(made, material.counts, None, said, "layers['counts']")
    found = _recovered(made)
    words = f"the logarithms times library sizes (whole numbers in {CHECKED_CELLS:,} cells)" if found else ""
    return Scaled(made, found, None, said, words)


def _recovered(cells: Cells) -> Recovered | None:
    """The counts, where library sizes and target sum make whole numbers of the values."""
    if cells.library_sizes is None or not cells.scale.target_sum:
        return None
    made = Recovered(cells.expression, cells.library_sizes / cells.scale.target_sum)
    some = np.sort(shuffled(cells.ids, 0, "counts")[:CHECKED_CELLS])
    values = made.exact(some).data
    return made if bool((np.abs(values - np.rint(values)) <= WHOLE * np.maximum(values / 100, 1)).all()) else None
