"""Which perturbations a baseline solves already, and which resist all baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from pertura.comparison.significance import check_pairable
from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.table import METRICS

SOLVED, RESISTANT = 0.8, 0.2
Stratum = Literal["solved by a baseline", "in between", "resistant", "no range"]
STRATA: tuple[Stratum, ...] = ("solved by a baseline", "in between", "resistant", "no range")


@dataclass(frozen=True)
class Saturation:
    """How far the best of several baselines comes from the floor (0) to the ceiling (1) in each condition.

    `share` is NaN where the ceiling is no better than the floor: nothing can be told of such a condition.
    """

    metric: str
    baselines: tuple[str, ...]
    conditions: tuple[Condition, ...]
    share: Float[np.ndarray, " conditions"]

    @property
    def strata(self) -> Mapping[Stratum, frozenset[Condition]]:
        """The conditions of each stratum: solved from 0.8 on, resistant up to 0.2."""
        named = [_stratum(float(one)) for one in self.share]
        return {name: frozenset(c for c, own in zip(self.conditions, named) if own == name) for name in STRATA}


def saturation(baselines: Sequence[Scores], metric: str) -> Saturation:
    """Return how far baselines come: s = (baseline - floor) / (ceiling - floor), the best of them, by condition.

    The formula of "baseline saturation", with the floor (no change, or chance) as the control. All scores must be of
    one screen. A score that is undefined counts as the metric states.
    """
    if not baselines:
        raise UsageError("saturation needs the scores of a baseline")
    for one in baselines[1:]:
        check_pairable(baselines[0], one)
    first, rule = baselines[0], METRICS[metric]
    row = first.row(metric)
    low, high = rule.merit(first.floor[row]), rule.merit(first.ceiling[row])
    best = np.max([_counted(one, metric) for one in baselines], axis=0)
    spread = high - low
    known = np.isfinite(spread) & (spread > 0)
    share = np.divide(best - low, spread, out=np.full(len(best), np.nan), where=known)
    return Saturation(metric, tuple(one.model for one in baselines), first.conditions, share)


def _counted(scores: Scores, metric: str) -> Float[np.ndarray, " conditions"]:
    rule, values = METRICS[metric], scores.values[scores.row(metric)]
    filled = values if rule.undefined_as is None else np.where(np.isfinite(values), values, rule.undefined_as)
    return rule.merit(filled)


def _stratum(share: float) -> Stratum:
    if not np.isfinite(share):
        return "no range"
    if share >= SOLVED:
        return "solved by a baseline"
    return "resistant" if share <= RESISTANT else "in between"
