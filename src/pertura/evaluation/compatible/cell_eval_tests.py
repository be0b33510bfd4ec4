"""The columns of cell-eval 0.8 that compare differential expression."""

import math
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
from jaxtyping import Bool, Float, Float32

from pertura.evaluation.compatible.profile import Column
from pertura.metrics.classification import average_precision, roc_area
from pertura.metrics.differential import DifferentialExpression
from pertura.metrics.overlap import ranks_among, shared_tops
from pertura.metrics.rank_correlation import spearman

LEVEL = np.float32(0.05)
DEPTHS = (None, 50, 100, 200, 500)
TOPS = tuple(f"{kind}_at_{depth or 'N'}" for kind in ("overlap", "precision") for depth in DEPTHS)
Table = Float32[np.ndarray, "labels genes"]
Mask = Bool[np.ndarray, "labels genes"]
Values = Float[np.ndarray, " labels"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Tests of both sides in float32, in which the original compares and ranks them."""

    predicted: DifferentialExpression
    observed: DifferentialExpression

    @cached_property
    def called(self) -> Mask:
        """Significant genes of the observed side."""
        return self.observed.fdr.astype(np.float32) < LEVEL

    @cached_property
    def predicted_called(self) -> Mask:
        """Significant genes of the predicted side."""
        return self.predicted.fdr.astype(np.float32) < LEVEL

    @cached_property
    def change(self) -> Table:
        """Observed log2 fold changes."""
        return self.observed.log2_fold_change.astype(np.float32)

    @cached_property
    def predicted_change(self) -> Table:
        """Predicted log2 fold changes."""
        return self.predicted.log2_fold_change.astype(np.float32)

    @cached_property
    def confidence(self) -> Table:
        """-log10 of the predicted false discovery rate, cut at 1e-10, rounded as single precision has it."""
        rates = np.clip(self.predicted.fdr.astype(np.float32), np.float32(1e-10), np.float32(1.0))
        return negative_log10(rates.reshape(-1)).reshape(rates.shape)

    @cached_property
    def tops(self) -> Float[np.ndarray, "labels tops"]:
        """The columns `TOPS`: largest changes among significant genes, shared by both sides."""
        return np.asarray([self._tops(row) for row in range(len(self.called))]).reshape(-1, len(TOPS))

    def _tops(self, row: int) -> list[float]:
        first = ranks_among(np.abs(self.change[row]), self.called[row])
        second = ranks_among(np.abs(self.predicted_change[row]), self.predicted_called[row])
        most = int(self.called[row].sum()), int(self.predicted_called[row].sum())
        return shared_tops(first, second, [min(depth or size, size) for size in most for depth in DEPTHS])

    def each(self, value: Callable[[int], float]) -> Column:
        """A value for each label that has a significant observed gene; the others have no entry."""
        present = np.asarray(self.called.any(axis=1))
        values = [value(row) if present[row] else np.nan for row in range(len(present))]
        return Column(np.asarray(values, dtype=np.float64), absent=~present)


def tests_column(name: str, comparison: Comparison) -> Column:
    """Return the column called `name`."""
    if name in TOPS:
        return Column(comparison.tops[:, TOPS.index(name)].copy())
    return _COLUMNS[name](comparison)


def _counts_correlation(comparison: Comparison) -> Column:
    """One value: how the numbers of significant genes go together, over labels that have any; 1 where none has."""
    counts, predicted = comparison.called.sum(axis=1), comparison.predicted_called.sum(axis=1)
    some = counts > 0
    value = spearman(counts[some].astype(np.float64), predicted[some].astype(np.float64)) if some.any() else 1.0
    return Column(np.full(len(counts), value), whole_screen=True)


def _direction(comparison: Comparison) -> Column:
    same = np.sign(comparison.change) == np.sign(comparison.predicted_change)
    return comparison.each(lambda row: float(same[row, comparison.called[row]].mean()))


def _change_correlation(comparison: Comparison) -> Column:
    def value(row: int) -> float:
        called = comparison.called[row]
        return spearman(comparison.change[row, called], comparison.predicted_change[row, called])

    return comparison.each(value)


def _recall(comparison: Comparison) -> Column:
    return comparison.each(lambda row: float(comparison.predicted_called[row, comparison.called[row]].mean()))


def _areas(
    area: Callable[[Bool[np.ndarray, " genes"], Float[np.ndarray, " genes"]], float],
) -> Callable[[Comparison], Column]:
    def column(comparison: Comparison) -> Column:
        pairs = zip(comparison.called, comparison.confidence, strict=True)
        return Column(np.asarray([area(called, scores) for called, scores in pairs], dtype=np.float64))

    return column


def _observed_count(comparison: Comparison) -> Column:
    return Column(comparison.called.sum(axis=1).astype(np.float64))


def _predicted_count(comparison: Comparison) -> Column:
    return Column(comparison.predicted_called.sum(axis=1).astype(np.float64))


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def negative_log10(rates: np.ndarray) -> np.ndarray:
    """Return -ln(rate) / ln(10), each step rounded to float32: which rates tie depends on that."""
    out = np.empty_like(rates)
    ten = np.float32(math.log(np.float32(10.0)))
    for i in range(len(rates)):
        out[i] = -(math.log(rates[i]) / ten)
    return out


_COLUMNS: dict[str, Callable[[Comparison], Column]] = {
    "de_spearman_sig": _counts_correlation,
    "de_direction_match": _direction,
    "de_spearman_lfc_sig": _change_correlation,
    "de_sig_genes_recall": _recall,
    "de_nsig_counts_real": _observed_count,
    "de_nsig_counts_pred": _predicted_count,
    "pr_auc": _areas(average_precision),
    "roc_auc": _areas(roc_area),
}
