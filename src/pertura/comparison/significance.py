"""Is one model better than another on the same conditions?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import special

from pertura.core.errors import BadDataError
from pertura.evaluation.aggregate import COVERAGE, independent_clusters, interval, weighted_mean
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.table import METRICS

Verdict = Literal["beats", "ties with", "loses to"]


@dataclass(frozen=True)
class Difference:
    """Mean paired difference of two models over `conditions` conditions; positive means the first is better.

    `p` is two-sided, see `two_sided_p`; NaN where the interval cannot tell.
    """

    first: str
    second: str
    metric: str
    value: float
    low: float
    high: float
    conditions: int
    p: float = float("nan")

    @property
    def verdict(self) -> Verdict:
        """What the interval allows to say; one that holds zero, or no interval, is a tie."""
        if self.low > 0:
            return "beats"
        return "loses to" if self.high < 0 else "ties with"


def difference(first: Scores, second: Scores, metric: str, subset: str = "detectable") -> Difference:
    """Return the paired difference of two models on a metric, oriented so that more is better.

    Both must have been judged on the same conditions with the same draws: the difference is taken within each draw, so
    what both share (the noise of the observed cells, hard conditions) cancels. Otherwise `BadDataError`.
    """
    return difference_from_mean(first, (second,), metric, subset, name=second.model)


def difference_from_mean(
    first: Scores, others: Sequence[Scores], metric: str, subset: str = "detectable", *, name: str
) -> Difference:
    """Return the paired difference of a model from the mean of several, which goes by `name`.

    The mean is taken within each condition and draw; a condition that any of them has no score for is left out. Where
    one of them was not judged by the metric, nothing can be said and `conditions` is 0.
    """
    for one in others:
        check_pairable(first, one)
    if any(metric not in one.metrics for one in (first, *others)):
        return Difference(first.model, name, metric, float("nan"), float("nan"), float("nan"), 0)
    mine = first.among(subset)
    a, a_draws = _filled(first, metric, subset)
    sides = [_filled(one, metric, subset) for one in others]
    gap = a - sum(values for values, _ in sides) / len(sides)
    both = np.isfinite(gap)
    if not both.any():
        return Difference(first.model, name, metric, float("nan"), float("nan"), float("nan"), 0)
    point = float(gap[both].mean())
    apart = a_draws - sum(draws for _, draws in sides) / len(sides)
    draws = weighted_mean(apart[:, both], first.weights[:, mine][:, both])
    clusters = independent_clusters([one for one, taken in zip(first.conditions, mine) if taken])
    low, high = interval(point, draws, "none", clusters)
    return Difference(
        first.model, name, metric, point, low, high, int(both.sum()), two_sided_p(point, low, high, clusters)
    )


def two_sided_p(point: float, low: float, high: float, clusters: int) -> float:
    """Return the chance of a difference this far from zero, were there none: below 0.05 where zero is outside.

    The half of the interval that faces zero is as long as Student's t quantile with clusters - 1 degrees of freedom,
    times a standard error (see `pertura.evaluation.aggregate.interval`). That standard error is taken back out of it,
    and |point| in its units is looked up in the same distribution. So p and interval never contradict each other, and
    small p do not end at one over the number of draws. NaN below two clusters or without an interval.
    """
    half = point - low if point > 0 else high - point
    if clusters < 2 or not np.isfinite(half):
        return float("nan")
    if point == 0:
        return 1.0
    if half == 0:
        return 0.0
    freedom = clusters - 1
    # the distribution function itself: the wrapper around it takes ten times as long
    return float(2 * special.stdtr(freedom, -_quantile(freedom) * abs(point) / half))


@lru_cache(maxsize=1024)
def _quantile(freedom: int) -> float:
    return float(special.stdtrit(freedom, (1 + COVERAGE) / 2))


def holm(p_values: Float[np.ndarray, " hypotheses"]) -> Float[np.ndarray, " hypotheses"]:
    """Return p-values that hold for all hypotheses together (Holm 1979); NaN stays NaN and counts for none.

    The i-th smallest of m is multiplied by m - i + 1, made no smaller than those before it, and cut at 1.
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def _filled(
    scores: Scores, metric: str, subset: str
) -> tuple[Float[np.ndarray, " conditions"], Float[np.ndarray, "draws conditions"]]:
    """Return scores and draws of a subset, more being better; what is undefined counts as the metric states."""
    rule, row, mine = METRICS[metric], scores.row(metric), scores.among(subset)
    values, draws = scores.values[row][mine], scores.bootstrap[row][:, mine]
    if rule.undefined_as is not None:
        values, draws = (np.where(np.isfinite(one), one, rule.undefined_as) for one in (values, draws))
    return rule.merit(values), rule.merit(draws)


def check_pairable(first: Scores, second: Scores) -> None:
    """Raise `BadDataError` where two models were not judged on the same conditions with the same draws."""
    for what in ("split", "seed", "preset", "conditions"):
        if getattr(first, what) != getattr(second, what):
            raise BadDataError(
                f"{first.model} and {second.model} were judged with different {what}",
                remedy="evaluate both on one split with one seed and preset",
            )
