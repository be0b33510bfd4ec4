"""From scores per condition to one number with an interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from pertura.core.perturbation import Condition
from pertura.core.seeds import generator

COVERAGE = 0.95
Link = Literal["fisher", "log", "unit", "skill", "ratio", "none"]
Change = Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]]


def _same(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return values


# the scale on which an interval is formed, and the way back; the ends are kept finite
LINKS: dict[str, tuple[Change, Change]] = {
    "fisher": (lambda r: np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)), np.tanh),
    "log": (lambda error: np.log(np.maximum(error, 1e-300)), np.exp),
    "unit": (_same, lambda share: np.clip(share, 0.0, 1.0)),
    # 1 - an error in units of another: the logarithm of that error, turned so that more stays more
    "skill": (lambda r: -np.log(np.maximum(1 - r, 1e-300)), lambda u: 1 - np.exp(-u)),
    "ratio": (_same, lambda r: np.maximum(r, 0.0)),
    "none": (_same, _same),
}


@dataclass(frozen=True)
class Summary:
    """Mean of a metric over conditions, its interval, and how many conditions gave a number.

    `low` and `high` are NaN where there is nothing to resample. `undefined` conditions are left out, or counted as the
    metric's stated value; `valid + undefined == conditions` either way.
    """

    value: float
    low: float
    high: float
    conditions: int
    valid: int
    undefined: int


def condition_weights(
    conditions: tuple[Condition, ...], draws: int, seed: int
) -> Float[np.ndarray, "draws conditions"]:
    """Return bootstrap weights of conditions that move together where they share a perturbed gene.

    Each gene draws a weight from Exp(1); a condition weighs the product over its genes (the pigeonhole bootstrap for
    crossed effects, Owen & Eckles 2012). Contexts of one perturbation share the weight. Pairs with a gene in common
    are not independent, and counting them as if they were would make intervals too narrow.
    """
    genes = sorted({gene for one in conditions for gene in one.genes})
    drawn = {gene: generator(seed, "condition weights", gene).exponential(size=draws) for gene in genes}
    weights = np.ones((draws, len(conditions)))
    for i, condition in enumerate(conditions):
        for gene in condition.genes:
            weights[:, i] *= drawn[gene]
    return weights


def weighted_mean(
    values: Float[np.ndarray, "draws conditions"], weights: Float[np.ndarray, "draws conditions"]
) -> Float[np.ndarray, " draws"]:
    """Return the weighted mean of each draw over the conditions that have a number; NaN where none has."""
    defined = np.isfinite(values)
    mass = np.where(defined, weights, 0.0).sum(axis=1)
    total = (np.where(defined, values, 0.0) * weights).sum(axis=1)
    return np.divide(total, mass, out=np.full(len(values), np.nan), where=mass > 0)


def interval(
    point: float, draws: Float[np.ndarray, " draws"], link: Link = "none", clusters: int | None = None
) -> tuple[float, float]:
    """Return the central 95 % of the draws, moved so that their mean lies on the point.

    With few independent `clusters` (perturbed genes) percentiles are too narrow: they are stretched to the width that
    Student's t with clusters - 1 degrees of freedom gives the mean of a normal sample.

    The spread of the draws is what is wanted; their offset (redrawn cells are not the observed ones) is not. Both are
    taken on the scale of `link`: Fisher's z for correlations, the logarithm for errors, cut to 0..1 for shares.
    """
    usable = draws[np.isfinite(draws)]
    if not np.isfinite(point) or len(usable) < 2:
        return float("nan"), float("nan")
    to, back = LINKS[link]
    moved = to(usable)
    spread = np.quantile(moved - moved.mean(), [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]) * _stretch(clusters)
    low, high = back(to(np.asarray(point)) + spread)
    return min(float(low), point), max(float(high), point)


@lru_cache(maxsize=1024)
def _stretch(clusters: int | None) -> float:
    """Student's t over the normal quantile, and the share of variance that exponential weights leave out.

    The weighted mean of n values has the variance s^2 / n times (n - 1) / (n + 1) (Rubin 1981). One cluster has no
    spread of its own to stretch.
    """
    if clusters is None or clusters < 2:
        return 1.0
    students = stats.t.ppf((1 + COVERAGE) / 2, clusters - 1) / stats.norm.ppf((1 + COVERAGE) / 2)
    return float(students * np.sqrt((clusters + 1) / (clusters - 1)))


def independent_clusters(conditions: Sequence[Condition]) -> int:
    """Return how many perturbed genes at most vary independently among the conditions."""
    return min(len({gene for one in conditions for gene in one.genes}), len(set(conditions)))


def summarise(
    values: Float[np.ndarray, " conditions"],
    draws: Float[np.ndarray, "draws conditions"],
    weights: Float[np.ndarray, "draws conditions"],
    among: Bool[np.ndarray, " conditions"],
    rule: tuple[float | None, Link],
    clusters: int | None = None,
) -> Summary:
    """Return the mean over the conditions marked in `among`, with its interval.

    `rule` is what an undefined score counts as (None: left out) and the scale of the interval.
    """
    undefined_as, link = rule
    mine, redrawn = values[among], draws[:, among]
    defined = np.isfinite(mine)
    if undefined_as is not None:
        mine = np.where(defined, mine, undefined_as)
        redrawn = np.where(np.isfinite(redrawn), redrawn, undefined_as)
    counted = np.isfinite(mine)
    point = float(mine[counted].mean()) if counted.any() else float("nan")
    low, high = interval(point, weighted_mean(redrawn[:, counted], weights[:, among][:, counted]), link, clusters)
    return Summary(point, low, high, int(among.sum()), int(defined.sum()), int((~defined).sum()))
