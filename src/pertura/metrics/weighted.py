"""Errors in which a gene counts as much as it sets one perturbation apart from the others."""

import numpy as np
from jaxtyping import Float, Int

Table = Float[np.ndarray, "conditions genes"]
Values = Float[np.ndarray, " conditions"]


def scores_against_rest(
    counts: Int[np.ndarray, " conditions"], means: Table, mean_squares: Table, groups: Int[np.ndarray, " conditions"]
) -> Table:
    """Return Welch's t of the cells of each condition against those of all others of its group, gene by gene.

    From the number of cells, the mean and the mean square of each condition. NaN where a condition has no cells, or no
    other with cells beside it. A gene without spread on either side has t = 0 where the means agree, otherwise the
    largest t of its row.
    """
    scores = np.full(means.shape, np.nan)
    for group in np.unique(groups):
        rows = np.flatnonzero((groups == group) & (counts > 0))
        if len(rows) > 1:
            scores[rows] = _welch(counts[rows].astype(np.float64)[:, None], means[rows], mean_squares[rows])
    return scores


def _welch(size: Float[np.ndarray, "conditions 1"], means: Table, mean_squares: Table) -> Table:
    sums, squares = size * means, size * mean_squares
    rest = size.sum() - size
    rest_means = (sums.sum(axis=0) - sums) / rest
    rest_squares = (squares.sum(axis=0) - squares) / rest
    gap = means - rest_means
    gap[np.abs(gap) <= 1e-12 * np.abs(means)] = 0.0  # rounding sets nothing apart
    error = _error(size, means, mean_squares) + _error(rest, rest_means, rest_squares)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = gap / np.sqrt(error)
    t = np.where(gap == 0, 0.0, t)
    largest = np.abs(np.where(np.isfinite(t), t, 0.0)).max(axis=1, keepdims=True)
    return np.where(np.isinf(t), np.sign(t) * np.maximum(largest, 1.0), t)


def _error(size: Float[np.ndarray, "conditions 1"], means: Table, mean_squares: Table) -> Table:
    """Squared standard error of a mean; what rounding leaves of no spread is none."""
    spread = mean_squares - np.square(means)
    spread = np.where(spread > 1e-12 * mean_squares, spread, 0.0)
    return spread / np.maximum(size - 1, 1)


def importance(scores: Table) -> Table:
    """Return the weight of each gene in each condition: |score| from 0 to 1 over its genes, squared, summing to one.

    Mejia et al. 2025 (weighted MSE). Genes weigh the same where no score differs from another; NaN where there is none.
    """
    size = np.abs(scores)
    low, high = size.min(axis=1, keepdims=True), size.max(axis=1, keepdims=True)
    flat = high <= low
    share = np.where(flat, 1.0, (size - low) / np.where(flat, 1.0, high - low))
    squared = np.where(np.isnan(high), np.nan, np.square(share))
    return squared / squared.sum(axis=1, keepdims=True)


def squared_error(first: Table, second: Table, weights: Table) -> Values:
    """Return the weighted mean over genes of the squared difference; weights of a condition sum to one."""
    gap = first - second
    return np.einsum("cg,cg,cg->c", weights, gap, gap)


def r_squared(error: Values, observed: Table, weights: Table) -> Values:
    """Return 1 - weighted squared error / weighted variance of the observed changes over genes.

    1 where every weighted gene is met, 0 for a prediction as good as one and the same change of all genes. NaN where
    the observed changes do not vary.
    """
    centre = np.einsum("cg,cg->c", weights, observed)
    gap = observed - centre[:, None]
    variance = np.einsum("cg,cg,cg->c", weights, gap, gap)
    scale = np.einsum("cg,cg,cg->c", weights, observed, observed)
    known = variance > 1e-12 * scale
    return 1.0 - np.divide(error, variance, out=np.full(len(error), np.nan), where=known)
