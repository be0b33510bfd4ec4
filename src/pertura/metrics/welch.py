"""Genes ranked by Welch's t-test of each group of cells against a reference group."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

Genes = Float[np.ndarray, " genes"]
FLAT = 1e-12
"""A variance below this share of the mean square, or a difference below this share of the means, is rounding."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and sample variance of each gene over `cells` cells; variance is NaN for fewer than two."""

    mean: Genes
    variance: Genes
    cells: int


def moments(blocks: Iterable[Float[np.ndarray, "_ genes"]], genes: int) -> Moments:
    """Return the moments of cells that come in blocks; means are NaN where there is no cell."""
    cells, first, second = 0, np.zeros(genes), np.zeros(genes)
    for block in blocks:
        cells += len(block)
        first += block.sum(axis=0)
        second += np.einsum("cg,cg->g", block, block)
    if cells < 2:
        return Moments(first if cells else np.full(genes, np.nan), np.full(genes, np.nan), cells)
    mean = first / cells
    spread = second / cells - mean * mean
    spread[spread <= FLAT * second / cells] = 0.0
    return Moments(mean, spread * cells / (cells - 1), cells)


def t_statistic(group: Moments, reference: Moments) -> Genes:
    """Return Welch's t of each gene; infinite where neither side varies but the means differ, 0 where they do not."""
    difference = group.mean - reference.mean
    same = np.abs(difference) <= FLAT * np.maximum(np.abs(group.mean), np.abs(reference.mean))
    error = np.sqrt(group.variance / group.cells + reference.variance / reference.cells)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = difference / error
    return np.asarray(np.where((error == 0) & same, 0.0, statistic))


def ranked(statistic: Genes, names: tuple[str, ...]) -> Int[np.ndarray, " genes"]:
    """Return the columns of genes by size of their statistic, largest first; equal ones in the order of their names."""
    alphabetic = np.empty(len(names))
    alphabetic[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return np.lexsort((alphabetic, -np.abs(statistic)))
