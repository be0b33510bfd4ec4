"""Genes called significant on either side, and how far the calls agree."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

SIGNIFICANT = 0.05
Values = Float[np.ndarray, " conditions"]
Directions = Int[np.ndarray, "conditions genes"]


@dataclass(frozen=True, eq=False)
class Called:
    """The genes that a rank test calls in each condition.

    `direction` is 1 (up) or -1 (down) for called genes and 0 for the others; `sign` is the sign of every gene's change,
    called or not; `place` orders the called genes by the size of their change, 0 first (others: number of genes).
    """

    direction: Directions
    sign: Directions
    place: Directions

    def at(self, genes: Bool[np.ndarray, " genes"]) -> "Called":
        """Return the calls among some genes, in their order."""
        place = self.place[:, genes]
        order = np.argsort(place, axis=1, kind="stable")
        ranks = np.empty_like(place)
        np.put_along_axis(ranks, order, np.arange(place.shape[1], dtype=place.dtype)[None], axis=1)
        direction = self.direction[:, genes]
        return Called(direction, self.sign[:, genes], np.where(direction != 0, ranks, place.shape[1]))


def called(
    fdr: Float[np.ndarray, "conditions genes"],
    log2_fold_change: Float[np.ndarray, "conditions genes"],
    names: tuple[str, ...],
) -> Called:
    """Return the genes with an FDR below 0.05.

    Changes of equal size are ordered by FDR, then by name, so that the order of genes has no influence.
    """
    size = fdr.shape[1]
    alphabetic = np.empty(size, dtype=np.int64)
    alphabetic[sorted(range(size), key=names.__getitem__)] = np.arange(size)
    place = np.full(fdr.shape, size, dtype=np.int32)
    for row, significant in enumerate(fdr < SIGNIFICANT):
        genes = np.flatnonzero(significant)
        order = np.lexsort((alphabetic[genes], fdr[row, genes], -np.abs(log2_fold_change[row, genes])))
        place[row, genes[order]] = np.arange(len(genes))
    return Called(directions(fdr, log2_fold_change), np.sign(log2_fold_change).astype(np.int8), place)


def directions(
    fdr: Float[np.ndarray, "*lead genes"], log2_fold_change: Float[np.ndarray, "*lead genes"]
) -> Int[np.ndarray, "*lead genes"]:
    """Return 1 or -1 for genes with an FDR below 0.05 that go up or down, 0 for the others."""
    up_or_down = np.where(log2_fold_change < 0, np.int8(-1), np.int8(1))
    return np.where(fdr < SIGNIFICANT, up_or_down, np.int8(0))


def jaccard(predicted: Directions, observed: Directions) -> Values:
    """Return shared called genes over all called genes; NaN where the observed side calls none."""
    first, second = predicted != 0, observed != 0
    shared, union = (first & second).sum(axis=1), (first | second).sum(axis=1)
    return np.where(second.any(axis=1), shared / np.maximum(union, 1), np.nan)


def matthews(predicted: Directions, observed: Directions) -> Values:
    """Return Matthews' correlation of being called on either side, over genes.

    NaN where the observed side calls no gene or all of them; 0 where only the predicted side does.
    """
    first, second = predicted != 0, observed != 0
    genes = float(first.shape[1])
    p, o, both = (one.sum(axis=1).astype(np.float64) for one in (first, second, first & second))
    spread = np.sqrt(p * (genes - p) * o * (genes - o))
    r = np.divide(genes * both - p * o, spread, out=np.zeros(len(p)), where=spread > 0)
    return np.where((o > 0) & (o < genes), r, np.nan)


def overlap_at_n(predicted: Called, observed: Directions) -> Values:
    """Return the share of the N genes called on the observed side among the N largest predicted calls; NaN for N = 0.

    Where fewer than N genes are predicted, the missing ones count as missed.
    """
    wanted = observed != 0
    size = wanted.sum(axis=1)
    shared = (wanted & (predicted.direction != 0) & (predicted.place < size[:, None])).sum(axis=1)
    return _share(shared, size)


def direction_match(predicted: Called, observed: Directions) -> Values:
    """Return the share of genes called on the observed side whose predicted change has their sign; NaN without any."""
    wanted = observed != 0
    return _share((wanted & (predicted.sign == observed)).sum(axis=1), wanted.sum(axis=1))


def count_ratio(predicted: Directions, observed: Directions) -> Values:
    """Return the number of predicted calls over that of observed ones; NaN where there is no observed one."""
    return _share((predicted != 0).sum(axis=1), (observed != 0).sum(axis=1))


def _share(part: Int[np.ndarray, " conditions"], whole: Int[np.ndarray, " conditions"]) -> Values:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
