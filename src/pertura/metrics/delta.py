"""Scores of one mean profile or delta against another; the last axis is genes, leading axes are kept."""

import numpy as np
from jaxtyping import Float

Profiles = Float[np.ndarray, "*lead genes"]
Values = Float[np.ndarray, "*lead"]


def pearson(first: Profiles, second: Profiles) -> Values:
    """Return the Pearson correlation over genes; NaN where either side is constant.

    With deltas from control this is `pearson_delta` of cell-eval. Rounding can leave a constant side with a spread of
    some units in the last place: a spread below 1e-12 of the values' own size counts as none.
    """
    a = first - first.mean(axis=-1, keepdims=True)
    b = second - second.mean(axis=-1, keepdims=True)
    spread_a, spread_b = np.sqrt((a * a).sum(axis=-1)), np.sqrt((b * b).sum(axis=-1))
    flat = (spread_a <= 1e-12 * _size(first)) | (spread_b <= 1e-12 * _size(second))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = (a * b).sum(axis=-1) / (spread_a * spread_b)
    return np.asarray(np.where(flat, np.nan, np.clip(correlation, -1.0, 1.0)), dtype=np.float64)


def mean_squared_error(first: Profiles, second: Profiles) -> Values:
    """Return the mean over genes of the squared difference, in squared units of expression."""
    return np.asarray(np.square(first - second).mean(axis=-1), dtype=np.float64)


def mean_absolute_error(first: Profiles, second: Profiles) -> Values:
    """Return the mean over genes of the absolute difference, in units of expression."""
    return np.asarray(np.abs(first - second).mean(axis=-1), dtype=np.float64)


def _size(values: Profiles) -> Values:
    return np.asarray(np.sqrt(np.square(values).sum(axis=-1)), dtype=np.float64)
