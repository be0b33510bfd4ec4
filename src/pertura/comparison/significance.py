"""Is one model better than another on the same conditions?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pertura.core.errors import BadDataError
from pertura.evaluation.aggregate import independent_clusters, interval, weighted_mean
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.table import METRICS

Verdict = Literal["beats", "ties with", "loses to"]


@dataclass(frozen=True)
class Difference:
    """Mean paired difference of two models over `conditions` conditions; positive means the first is better."""

    first: str
    second: str
    metric: str
    value: float
    low: float
    high: float
    conditions: int

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
    check_pairable(first, second)
    rule = METRICS[metric]
    sign = 1.0 if rule.higher_is_better else -1.0
    mine = first.among(subset)

    def filled(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
        values, draws = scores.values[scores.row(metric)][mine], scores.bootstrap[scores.row(metric)][:, mine]
        if rule.undefined_as is None:
            return values, draws
        constant = rule.undefined_as
        return np.where(np.isfinite(values), values, constant), np.where(np.isfinite(draws), draws, constant)

    (a, a_draws), (b, b_draws) = filled(first), filled(second)
    gap = sign * (a - b)
    both = np.isfinite(gap)
    if not both.any():
        return Difference(first.model, second.model, metric, float("nan"), float("nan"), float("nan"), 0)
    point = float(gap[both].mean())
    draws = weighted_mean(sign * (a_draws - b_draws)[:, both], first.weights[:, mine][:, both])
    judged = [one for one, taken in zip(first.conditions, mine) if taken]
    low, high = interval(point, draws, "none", independent_clusters(judged))
    return Difference(first.model, second.model, metric, point, low, high, int(both.sum()))


def check_pairable(first: Scores, second: Scores) -> None:
    """Raise `BadDataError` where two models were not judged on the same conditions with the same draws."""
    for what in ("split", "seed", "preset", "conditions"):
        if getattr(first, what) != getattr(second, what):
            raise BadDataError(
                f"{first.model} and {second.model} were judged with different {what}",
                remedy="evaluate both on one split with one seed and preset",
            )
