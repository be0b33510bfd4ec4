"""What a number of another evaluator is worth: its own judge is asked again about altered cells.

Beside each score: reference predictions, permuted labels, half of the observed cells against the other half, an
interval, and how much of it comes from sharing control cells between the two sides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from pertura.core.seeds import generator
from pertura.evaluation.aggregate import COVERAGE, interval, weighted_mean
from pertura.evaluation.compatible.effort import TIERS, Runs
from pertura.evaluation.compatible.profile import Column, CompatibleMetric, Judged
from pertura.evaluation.compatible.reruns import Answers, Reruns
from pertura.evaluation.compatible.study import Study

FLOODED = 3.0
RESAMPLES = 1000
WORTH_SAYING = 0.02
TOO_LARGE = "left out at this size: --effort more"
NAN = float("nan")
CALLS = {"predicted": "de_nsig_counts_pred", "observed": "de_nsig_counts_real"}
Narrate = Callable[[str, int, int], None]


def _correlation_of_wholes(half: float) -> float:
    """2r / (1 + r) of two halves (Spearman and Brown); r <= 0 stays as it is."""
    return 2 * half / (1 + half) if half > 0 else half


WHOLE: Mapping[str, Callable[[float], float]] = {
    "pearson_delta": _correlation_of_wholes,
    "mse": lambda half: half / 2,
    "mse_delta": lambda half: half / 2,
    "mae": lambda half: half / np.sqrt(2),
    "mae_delta": lambda half: half / np.sqrt(2),
}
"""From half against half to two whole experiments, where a closed form holds; elsewhere the half value stands."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A number with the ends of its interval; NaN where not known."""

    value: float = NAN
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True, eq=False)
class MetricWorth:
    """One metric and what stands beside it; NaN is not known, and `left_out` says why.

    `score` is the mean over the `valid` of `labels` labels that have a number; `resampled` names what its interval
    redraws. `difference` is the paired one from the best reference, positive where the prediction is better.
    `inflation` is how much better the score is with the controls as they are than with disjoint halves of them, and
    `inflated_null` the same of the leave-one-out mean on permuted labels.
    """

    metric: CompatibleMetric
    score: Spread
    resampled: str
    valid: int
    labels: int
    references: Mapping[str, float] = field(default_factory=dict)
    best_reference: str = ""
    difference: Spread = field(default_factory=Spread)
    permuted: Spread = field(default_factory=Spread)
    ceiling: float = NAN
    inflation: float = NAN
    inflated_null: float = NAN
    left_out: str = ""

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.metric.best else -1.0

    @property
    def scaled(self) -> float:
        """0 at the best reference, 1 at the ceiling; NaN where the ceiling is not the better of the two."""
        base = self.references.get(self.best_reference, NAN)
        room = self.sign * (self.ceiling - base)
        return self.sign * (self.score.value - base) / room if room > 0 else NAN


@dataclass(frozen=True, eq=False)
class Worth:
    """What stands beside the numbers of a preset, metric by metric, and what a reader must be warned of.

    `shared_controls` is the share of predicted control cells that are observed ones. `called` holds the significant
    genes of both sides, summed over the screen; empty where they are not counted.
    """

    metrics: tuple[MetricWorth, ...]
    shared_controls: float
    runs: Mapping[str, Runs]
    called: Mapping[str, float]
    warnings: tuple[str, ...]

    def of(self, name: str) -> MetricWorth:
        """Return the row of a metric."""
        return next(one for one in self.metrics if one.metric.name == name)

    @property
    def calls_ratio(self) -> float:
        """Significant genes of the prediction for each one of the observed cells."""
        return self.called["predicted"] / self.called["observed"] if self.called.get("observed") else NAN


def worth(study: Study, judged: Judged, narrate: Narrate | None = None) -> Worth:
    """Return what stands beside the numbers that the preset of a study gave: `judged`."""
    rows: list[MetricWorth] = []
    refused: list[str] = []
    for place, tier in enumerate(TIERS):
        if narrate is not None:
            narrate(f"what the {tier} metrics are worth", place, len(TIERS))
        again = Reruns(study, tier)
        rows += [_row(again, judged, one) for one in study.metrics(tier) if one.name in judged.columns]
        refused += again.refused.values()
    order = {one.name: i for i, one in enumerate(study.preset.metrics)}
    rows.sort(key=lambda one: order[one.metric.name])
    called = {
        side: float(np.nansum(numbers(judged.columns[name]))) for side, name in CALLS.items() if name in judged.columns
    }
    made = Worth(tuple(rows), study.sides.shared, study.runs, called if len(called) == len(CALLS) else {}, ())
    return replace(made, warnings=(*_warnings(made, study.preset.headline), *refused))


def numbers(column: Column) -> Float[np.ndarray, " labels"]:
    """Return the values of a column, NaN where there is no entry."""
    return column.values if column.absent is None else np.where(column.absent, np.nan, column.values)


def mean_of(column: Column) -> float:
    """Return the mean of what is defined in a column; NaN where nothing is."""
    values = numbers(column)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else NAN


def _row(again: Reruns, judged: Judged, metric: CompatibleMetric) -> MetricWorth:
    column = judged.columns[metric.name]
    score, resampled = _score(again, judged, metric)
    valid = int(np.isfinite(numbers(column)).sum())
    plain = MetricWorth(metric, score, resampled, valid, len(judged.labels))
    if not again.runs.any:
        return replace(plain, left_out=TOO_LARGE)
    beside = {name: _value(one, metric.name) for name, one in again.referred.items()}
    known = [name for name, value in beside.items() if np.isfinite(value)]
    best = (max if metric.best else min)(known, key=lambda one: beside[one]) if known else ""
    return replace(
        plain,
        references=beside,
        best_reference=best,
        difference=_difference(again, judged, metric, best),
        permuted=_ranged(again.permuted, metric.name),
        ceiling=WHOLE.get(metric.name, float)(_mean(again.replicates, metric.name)),
        inflation=plain.sign * (score.value - _mean(again.apart, metric.name)),
        inflated_null=plain.sign * (_mean(again.null_shared, metric.name) - _mean(again.null_apart, metric.name)),
    )


# ---- intervals


def _score(again: Reruns, judged: Judged, metric: CompatibleMetric) -> tuple[Spread, str]:
    """The mean of a column with its interval, and what that redraws."""
    name, column = metric.name, judged.columns[metric.name]
    point, draws = mean_of(column), _known(again.redrawn, name)
    if column.whole_screen:
        ends = interval(point, np.asarray([_value(one, name) for one in draws], dtype=np.float64))
        return _within(metric, point, ends), "cells" if draws else ""
    values = np.asarray([_aligned(judged, one, name) for one in draws] or [numbers(column)] * RESAMPLES)
    kept = np.isfinite(numbers(column))
    weights = _weights(again.study.seed, judged.labels, len(values))
    ends = interval(point, weighted_mean(values[:, kept], weights[:, kept]), clusters=int(kept.sum()))
    return _within(metric, point, ends), "conditions and cells" if draws else "conditions"


def _within(metric: CompatibleMetric, point: float, ends: tuple[float, float]) -> Spread:
    """An interval that does not go beyond the best value."""
    low, high = ends
    if metric.best:
        return Spread(point, low, max(min(high, metric.best), point))
    return Spread(point, min(max(low, 0.0), point), high)


def _difference(again: Reruns, judged: Judged, metric: CompatibleMetric, best: str) -> Spread:
    """The mean paired difference from a reference over the labels that both have; conditions are redrawn."""
    theirs = again.referred.get(best)
    if theirs is None or metric.name not in theirs.columns:
        return Spread()
    column = judged.columns[metric.name]
    gap = (1.0 if metric.best else -1.0) * (numbers(column) - _aligned(judged, theirs, metric.name))
    gap = gap[kept := np.isfinite(gap)]
    if column.whole_screen or not len(gap):
        return Spread(float(gap[0]) if len(gap) else NAN)
    weights = _weights(again.study.seed, judged.labels, RESAMPLES)[:, kept]
    means = weighted_mean(np.tile(gap, (RESAMPLES, 1)), weights)
    return Spread(float(gap.mean()), *interval(float(gap.mean()), means, clusters=len(gap)))


def _weights(seed: int, labels: Sequence[str], draws: int) -> Float[np.ndarray, "draws labels"]:
    """Exp(1) weights of conditions, each label by itself."""
    drawn = [generator(seed, "condition weights", one).exponential(size=draws) for one in labels]
    return np.asarray(drawn, dtype=np.float64).reshape(len(labels), draws).T


# ---- the answers of re-runs


def _known(answers: Answers, name: str) -> list[Judged]:
    return [one for one in answers if one is not None and name in one.columns]


def _value(judged: Judged | None, name: str) -> float:
    return NAN if judged is None or name not in judged.columns else mean_of(judged.columns[name])


def _aligned(judged: Judged, other: Judged, name: str) -> Float[np.ndarray, " labels"]:
    """Values of another answer in the order of the judged labels."""
    own = dict(zip(other.labels, numbers(other.columns[name])))
    return np.asarray([own.get(one, np.nan) for one in judged.labels], dtype=np.float64)


def _finite(answers: Answers, name: str) -> Float[np.ndarray, " runs"]:
    values = np.asarray([_value(one, name) for one in answers], dtype=np.float64)
    return values[np.isfinite(values)]


def _mean(answers: Answers, name: str) -> float:
    values = _finite(answers, name)
    return float(values.mean()) if len(values) else NAN


def _ranged(answers: Answers, name: str) -> Spread:
    """Mean of several runs, and the range that holds 95 % of them."""
    values = _finite(answers, name)
    if not len(values):
        return Spread()
    low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Spread(float(values.mean()), float(low), float(high))


def _warnings(made: Worth, headline: str) -> list[str]:
    found = []
    if made.calls_ratio > FLOODED:
        found.append(
            f"the prediction has {made.calls_ratio:.1f} times as many significant genes as the observed cells "
            f"({made.called['predicted']:,.0f} to {made.called['observed']:,.0f}): metrics of differential expression "
            "say little about it"
        )
    if made.called and not made.called["observed"]:
        found.append("no observed gene is significant: metrics of differential expression say nothing here")
    if made.shared_controls:
        found.append(
            f"{made.shared_controls:.0%} of the predicted control cells are observed control cells: the noise of their "
            f"mean is common to both sides and rewards any prediction{_earned(made, headline)}"
        )
    return found


def _earned(made: Worth, headline: str) -> str:
    """What the leave-one-out mean earns on permuted labels from sharing controls, by the metric that leads."""
    known = [one for one in made.metrics if one.metric.name == headline and one.inflated_null > WORTH_SAYING]
    if not known:
        return ""
    return (
        f"; on permuted labels the leave-one-out mean earns {known[0].inflated_null:.2f} of {headline} from that alone"
    )
