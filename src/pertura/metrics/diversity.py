"""Do predictions differ from one another as much as observations do?"""

import numpy as np
from jaxtyping import Float, Int

from pertura.metrics.distance import euclidean

Table = Float[np.ndarray, "conditions genes"]
Values = Float[np.ndarray, " conditions"]


def diversity_ratio(
    predicted: Table, observed: Table, groups: Int[np.ndarray, " conditions"], weights: Values | None = None
) -> Values:
    """Return for each group the mean distance between predictions over that between observations, at each condition.

    0 where one answer is given for all (collapse), 1 where predictions differ as much as observations. `weights` say
    how often each condition counts. NaN where a group has one condition or its observations do not differ.
    """
    ratios = np.full(len(predicted), np.nan)
    share = np.ones(len(predicted)) if weights is None else weights
    known = ~(np.isnan(predicted).any(axis=1) | np.isnan(observed).any(axis=1))
    for group in np.unique(groups):
        rows = np.flatnonzero((groups == group) & known)
        between = _mean_distance(observed[rows], share[rows])
        if between > 0:
            ratios[rows] = _mean_distance(predicted[rows], share[rows]) / between
    return ratios


def _mean_distance(profiles: Table, weights: Values) -> float:
    """The mean Euclidean distance of two different profiles; those nearer than rounding tells are equal."""
    centred = profiles - profiles.mean(axis=0)
    distance = euclidean(centred, centred)
    size = np.sqrt(np.square(profiles).sum(axis=1).max(initial=0.0))
    np.fill_diagonal(distance, 0.0)
    distance[distance <= 1e-9 * size] = 0.0
    pairs = weights.sum() ** 2 - np.square(weights).sum()
    return float(weights @ distance @ weights / pairs) if pairs > 0 else 0.0
