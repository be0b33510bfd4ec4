"""Which genes vary most: dispersion compared with that of genes of about the same mean.

The published Norman file (5,000 variable genes and the perturbed ones) does not say which flavour chose them; scripts
of its kind call scanpy with its default, which this is. On the same cells it chooses what scanpy chooses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.expression import Expression, column_sums
from pertura.data.preparation.passes import Block, Rows, Told, blocks_of, nobody

BINS = 20
HOW = "dispersion among genes of about the same mean, scanpy's default flavour 'seurat'"
DECIMALS = 9
"""Dispersions that agree to so many decimals are equal: rounding by the order of the cells must not decide."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance of each gene over some cells, on the scale before the logarithm, and how many cells show it."""

    cells: int
    mean: Float[np.ndarray, " genes"]
    variance: Float[np.ndarray, " genes"]
    shown: Int[np.ndarray, " genes"]


def moments(logs: Expression, rows: Rows, told: Told = nobody) -> Moments:
    """Return the moments of exp(x) - 1 over some cells in one pass; the variance is divided by cells - 1."""
    genes = logs.shape[1]
    mean, squares, shown, seen = np.zeros(genes), np.zeros(genes), np.zeros(genes, dtype=np.int64), 0
    for some in blocks_of(rows, genes, "looking for variable genes", told):
        block = _unlogged(logs.rows(some))
        size = len(some)
        own = column_sums(block) / size
        # squares about the mean of the block, joined block by block: no difference of two large sums
        spread = _about(block, own)
        shift, total = own - mean, seen + size
        squares += spread + np.square(shift) * (seen * size / total)
        mean += shift * (size / total)
        shown += np.asarray((block > 0).sum(axis=0)).reshape(-1)
        seen = total
    return Moments(seen, mean, squares / max(seen - 1, 1), shown)


def _unlogged(block: Block) -> Block:
    if isinstance(block, np.ndarray):
        return np.expm1(block.astype(np.float64))
    plain = block.astype(np.float64)
    plain.data = np.expm1(plain.data)
    return plain


def _about(block: Block, mean: Float[np.ndarray, " genes"]) -> Float[np.ndarray, " genes"]:
    """Sums of squares of a block about `mean`; what a sparse block does not store is 0."""
    if isinstance(block, np.ndarray):
        return np.square(block - mean).sum(axis=0)
    stored = np.bincount(block.indices, weights=np.square(block.data - mean[block.indices]), minlength=len(mean))
    absent = block.shape[0] - np.bincount(block.indices, minlength=len(mean))
    return stored + absent * np.square(mean)


def normalised_dispersions(found: Moments) -> Float[np.ndarray, " genes"]:
    """Return log(variance / mean) standardised within bins of log(1 + mean); NaN for a gene that does not vary.

    The bins cut the range of the means into 20 equal parts. A gene alone in its bin gets 1 (Satija et al. 2015).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = np.log(np.where(found.variance > 0, found.variance / found.mean, np.nan))
    bins = _bins(np.log1p(found.mean))
    made = np.full(len(dispersion), np.nan)
    for one in np.unique(bins):
        inside = np.flatnonzero(bins == one)
        defined = inside[np.isfinite(dispersion[inside])]
        values = dispersion[defined]
        if len(values) == 1:
            made[defined] = 1.0
        elif len(values):
            with np.errstate(divide="ignore", invalid="ignore"):
                made[defined] = (values - values.mean()) / values.std(ddof=1)
    return made


def _bins(values: Float[np.ndarray, " genes"]) -> Int[np.ndarray, " genes"]:
    """Equal parts of the range, closed on the right; the lowest value belongs to the first."""
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, BINS + 1)
    return np.clip(np.searchsorted(edges, values, side="left") - 1, 0, BINS - 1)


def most_variable(found: Moments, genes: Sequence[str], number: int, min_cells: int = 0) -> Int[np.ndarray, " chosen"]:
    """Return the places of the `number` most variable genes in their order; fewer where fewer vary.

    A gene that fewer than `min_cells` cells show is not chosen. Equal dispersions are ranked by name.
    """
    dispersion = np.round(normalised_dispersions(found), DECIMALS)
    usable = np.flatnonzero(~np.isnan(dispersion) & (found.shown >= min_cells))
    ranked = sorted(usable.tolist(), key=lambda place: (-dispersion[place], genes[place]))
    return np.sort(np.asarray(ranked[:number], dtype=np.int64))
