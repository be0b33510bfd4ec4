"""Correlation of ranks."""

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata


def spearman(first: Float[np.ndarray, " values"], second: Float[np.ndarray, " values"]) -> float:
    """Return Spearman's correlation with ties at mid-rank; infinite values rank first or last.

    NaN where there are fewer than two values or one side is constant.
    """
    if len(first) < 2:
        return float("nan")
    a, b = rankdata(first), rankdata(second)
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / size, -1.0, 1.0)) if size > 0 else float("nan")
