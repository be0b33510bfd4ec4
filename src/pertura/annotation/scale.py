"""All cells on one scale: natural logarithms of counts per so many, whatever the file holds."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Num

from pertura.annotation.source import Source
from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Rows
from pertura.data.normalise import LogNormalised, sums_of
from pertura.data.scale import WHOLE_GENES, library_sizes

TARGET_SUM = 1e4
NEAR = 0.02
"""Target sums nearer than this count as the same."""


@dataclass(frozen=True)
class Trained:
    """The scale that an annotator learnt on: what the file held, its target sum (None: not known), size factors.

    `whole` says whether the size factors came from all genes of a cell.
    """

    kind: str
    target_sum: float | None
    whole: bool | None
    genes: int


@dataclass(frozen=True, slots=True, eq=False)
class Relogged:
    """Logarithms brought to base e, and to another target sum where `factor` is not 1."""

    source: Expression
    scale: float = 1.0
    factor: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.source.shape

    def rows(self, index: Rows) -> Num[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order."""
        block = self.source.rows(index)
        if isinstance(block, np.ndarray):
            return self._of(block.astype(np.float64))
        return sp.csr_matrix((self._of(block.data.astype(np.float64)), block.indices, block.indptr), shape=block.shape)

    def _of(self, values: Num[np.ndarray, "*shape"]) -> Num[np.ndarray, "*shape"]:
        natural = values * self.scale
        return natural if self.factor == 1.0 else np.log1p(np.expm1(natural) * self.factor)


@dataclass(frozen=True, eq=False)
class Logged:
    """Expression on the common scale, what that scale is, and what had to be done or assumed for it."""

    expression: Expression
    trained: Trained
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def logged(source: Source) -> Logged:
    """Return the cells of a reference as natural logarithms; counts become counts per 10,000."""
    scale = source.measured.scale
    if scale.kind == "counts":
        return _of_counts(source, TARGET_SUM)
    trained = Trained("lognormalised", scale.target_sum, scale.whole_transcriptome, len(source.genes))
    base = _base(source)
    warnings = () if scale.log_base else ("the base of the logarithm is not known; e is assumed",)
    expression = source.expression if base == 1.0 else Relogged(source.expression, base)
    return Logged(expression, trained, (scale.evidence,), warnings)


def logged_like(source: Source, trained: Trained) -> Logged:
    """Return the cells of a query on the scale of the training cells; every difference is a warning.

    Raises `BadDataError` for counts of a panel where size factors came from all genes: they cannot be brought there.
    """
    scale = source.measured.scale
    target = trained.target_sum or TARGET_SUM
    if scale.kind == "counts":
        made = _of_counts(source, target)
        if trained.kind == "counts":
            return made
        _refuse_panel(source, trained)
        known = "" if trained.target_sum else " (the reference's target sum is not known; 10,000 is assumed)"
        said = f"{len(source):,} cells hold counts where the reference held logarithms: normalised to {target:,g} each"
        return replace(made, warnings=(said + known, *made.warnings))
    mine = logged(source)
    found = mine.trained.target_sum
    if found is None or trained.target_sum is None:
        if found is None and trained.target_sum is None:
            return mine
        which = "query's" if found is None else "reference's"
        told = f"the {which} target sum is not known, so a difference in scale would go unseen"
        return replace(mine, warnings=(*mine.warnings, told))
    if abs(found / target - 1) < NEAR:
        return mine
    said = (
        f"{len(source):,} cells were scaled to {found:,g} counts, the reference to {target:,g}: brought to the latter"
    )
    expression = Relogged(source.expression, _base(source), target / found)
    return replace(mine, expression=expression, warnings=(*mine.warnings, said))


def _base(source: Source) -> float:
    base = source.measured.scale.log_base
    return 1.0 if base is None else float(np.log(base))


def _refuse_panel(source: Source, trained: Trained) -> None:
    few = len(source.genes) < WHOLE_GENES and len(source.genes) < trained.genes
    small = len(source.genes) < WHOLE_GENES and trained.whole and not source.measured.library_column
    if few or small:
        raise BadDataError(
            f"counts of {len(source.genes):,} genes, but the reference holds logarithms whose size factors came from "
            "more genes: the two cannot be brought to one scale",
            file=source.name,
            place=source.place,
            remedy="normalise the query with all its genes (scanpy.pp.normalize_total, log1p) and give that",
        )


def _of_counts(source: Source, target: float) -> Logged:
    column = source.measured.library_column
    sizes = library_sizes(source.obs, column)
    own = sizes is None
    totals = sums_of(source.expression) if sizes is None else sizes
    empty = int((totals <= 0).sum())
    factors = np.divide(target, totals, out=np.zeros(len(totals)), where=totals > 0)
    notes = [f"counts, normalised here to {target:,g} per cell, natural logarithm"]
    warnings = []
    if own and len(source.genes) < WHOLE_GENES:
        warnings.append(
            f"counts of {len(source.genes):,} genes are normalised by their own sum: a whole transcriptome has more"
        )
    elif not own:
        notes.append(f"size factors from obs[{column!r}]")
    if empty:
        warnings.append(f"{empty:,} cells without any count: nothing can be said of them")
    trained = Trained("counts", target, not own or len(source.genes) >= WHOLE_GENES, len(source.genes))
    return Logged(LogNormalised(source.expression, factors), trained, tuple(notes), tuple(warnings))
