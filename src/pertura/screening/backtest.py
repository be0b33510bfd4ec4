"""Would the ranking have worked? Conditions are hidden, ranked, and compared with what was measured of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from pertura.core.errors import UsageError
from pertura.core.seeds import generator

SHARES = (0.01, 0.05, 0.10)
RESAMPLES = 500
NEAREST = "nearest observed"
Values = Float[np.ndarray, " conditions"]
Drawn = Float[np.ndarray, "draws conditions"]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Recall:
    """How much of the truly best was in the first places, at one share of the hidden conditions.

    `places` is how many conditions the share is (at least one). `enrichment` is the recall over that of a random
    order, `over_nearest` the recall minus that of the ranking by nearest observed condition, `regret` what the best of
    the picks misses of the best there was, as a share of the range from the mean to the best.
    """

    share: float
    places: int
    recall: Estimate
    enrichment: Estimate
    over_nearest: Estimate
    regret: Estimate


@dataclass(frozen=True)
class Verdict:
    """How one model did on one kind of hidden conditions."""

    model: str
    kind: str
    conditions: int
    spearman: Estimate
    at: tuple[Recall, ...]


@dataclass(frozen=True, eq=False)
class Hiding:
    """Gains (more is better) of hidden conditions: measured with standard errors, and as each ranking predicted them.

    `predicted` maps the name of a model, a baseline or `NEAREST` to its gains.
    """

    kind: str
    observed: Values
    errors: Values
    predicted: Mapping[str, Float[np.ndarray, " _"]]

    def __post_init__(self) -> None:
        sizes = {len(self.observed), len(self.errors), *(len(one) for one in self.predicted.values())}
        if len(sizes) > 1:
            raise UsageError(f"hidden {self.kind}: {sizes} conditions; every ranking must have all of them")


def backtest(hiding: Hiding, *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[Verdict, ...]:
    """Return how every ranking did, in the order given.

    Intervals (95 %) resample the conditions, and in each resample draw what is truly best from what is known of it:
    measured scores shrunk towards their mean by the share of noise in their variance, plus what noise leaves open.
    """
    rng = generator(seed, "back-test", hiding.kind)
    count = len(hiding.observed)
    rows = rng.integers(0, count, (resamples, count))
    truths = _possible(hiding.observed, hiding.errors, resamples, rng)
    return tuple(_verdict(hiding, name, rows, truths) for name in hiding.predicted)


def top_weights(gains: Drawn, places: int) -> Drawn:
    """Return for each condition how much of it is among the first `places` of its row; ties at the edge share."""
    edge = np.sort(gains, axis=1)[:, -places][:, None]
    above, tied = gains > edge, gains == edge
    return above + tied * ((places - above.sum(axis=1)) / tied.sum(axis=1))[:, None]


def recall_at(predicted: Drawn, best: Drawn, places: int) -> Float[np.ndarray, " draws"]:
    """Return for each row the share of its `places` best conditions that are among the first `places` predicted."""
    both = np.minimum(top_weights(predicted, places) * top_weights(best, places), 1.0)
    return both.sum(axis=1) / places


def regret_at(predicted: Drawn, best: Drawn, places: int) -> Float[np.ndarray, " draws"]:
    """Return for each row what the best of the first `places` predicted misses, as a share of the range above the mean.

    Where several conditions are tied at the edge it is expected over a random choice among them: from the best
    downwards, the chance that a condition is the first that was taken.
    """
    order = np.argsort(-best, axis=1, kind="stable")
    sorted_best = np.take_along_axis(best, order, axis=1)
    weights = np.take_along_axis(top_weights(predicted, places), order, axis=1)
    sure, tied = weights >= 1, (weights > 0) & (weights < 1)
    chosen = places - sure.sum(axis=1, keepdims=True)
    left = tied.sum(axis=1, keepdims=True) - (np.cumsum(tied, axis=1) - tied)
    taken = np.where(sure, 1.0, np.where(tied, np.minimum(chosen / np.maximum(left, 1), 1.0), 0.0))
    none_before = np.cumprod(np.concatenate([np.ones((len(taken), 1)), 1 - taken[:, :-1]], axis=1), axis=1)
    expected = (none_before * taken * sorted_best).sum(axis=1)
    whole = sorted_best[:, 0] - best.mean(axis=1)
    return np.divide(sorted_best[:, 0] - expected, whole, out=np.zeros(len(best)), where=whole > 0)


def places_for(share: float, count: int) -> int:
    """Return how many conditions a share is: rounded up, at least one."""
    return max(int(np.ceil(share * count - 1e-9)), 1)


def _possible(observed: Values, errors: Values, resamples: int, rng: np.random.Generator) -> Drawn:
    """Draws of the true scores: the posterior of a normal spread of effects with normal noise."""
    spread = max(float(observed.var() - np.square(errors).mean()), 0.0)
    kept = np.divide(spread, spread + np.square(errors), out=np.zeros(len(observed)), where=spread + errors > 0)
    centre = observed.mean() + kept * (observed - observed.mean())
    return centre + np.sqrt(kept) * errors * rng.standard_normal((resamples, len(observed)))


def _verdict(hiding: Hiding, name: str, rows: Int[np.ndarray, "draws conditions"], truths: Drawn) -> Verdict:
    predicted, nearest = hiding.predicted[name], hiding.predicted.get(NEAREST)
    observed, drawn = hiding.observed[None], np.take_along_axis(truths, rows, axis=1)
    at = []
    for share in SHARES:
        places = places_for(share, observed.shape[1])
        random = places / observed.shape[1]
        here = recall_at(predicted[None], observed, places)
        there = recall_at(predicted[rows], drawn, places)
        recall = _estimate(here, there)
        over = Estimate(np.nan, np.nan, np.nan)
        if nearest is not None:
            over = _estimate(
                here - recall_at(nearest[None], observed, places), there - recall_at(nearest[rows], drawn, places)
            )
        regret = _estimate(regret_at(predicted[None], observed, places), regret_at(predicted[rows], drawn, places))
        enriched = Estimate(recall.value / random, recall.low / random, recall.high / random)
        at.append(Recall(share, places, recall, enriched, over, regret))
    ranks = _estimate(_spearman(predicted[None], observed), _spearman(predicted[rows], drawn))
    return Verdict(name, hiding.kind, observed.shape[1], ranks, tuple(at))


def _estimate(value: Float[np.ndarray, " 1"], drawn: Float[np.ndarray, " draws"]) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if not len(known) or not np.isfinite(value[0]):
        return Estimate(float(value[0]), float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(float(value[0]), float(min(low, value[0])), float(max(high, value[0])))


def _spearman(first: Drawn, second: Drawn) -> Float[np.ndarray, " draws"]:
    """NaN where a row is constant."""
    a, b = rankdata(first, axis=1), rankdata(second, axis=1)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0)
