"""Scores of a prediction with everything that says what they are worth."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits

from pertura.core.heap import give_back
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction
from pertura.evaluation import nulls
from pertura.evaluation.aggregate import (
    COVERAGE,
    Summary,
    condition_weights,
    independent_clusters,
    summarise,
    weighted_mean,
)
from pertura.evaluation.observed import Means, Observed
from pertura.evaluation.predicted import Predicted
from pertura.evaluation.presets import PRESETS, chosen
from pertura.evaluation.table import METRICS, Metric

FLOODED = 3
SMALL_PRODUCT = 1e9
Table = Float[np.ndarray, "metrics conditions"]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one model: rows of every table are `metrics`, columns `conditions`.

    `bootstrap[m, b, c]` is the score against redrawn cells, `permuted[m, p, c]` against permuted labels; `floor` and
    `ceiling` as the metric defines them. `fallbacks` names the conditions the model could not represent, `undone` the
    metrics that have no row, with the reason. `details` are numbers for each condition that are no scores. `notes` say
    what needs no action: how often draws were made, how often the rank test errs.
    """

    model: str
    preset: str
    metrics: tuple[str, ...]
    conditions: tuple[Condition, ...]
    values: Table
    floor: Table
    ceiling: Table
    permuted: Float[np.ndarray, "metrics permutations conditions"]
    bootstrap: Float[np.ndarray, "metrics draws conditions"]
    weights: Float[np.ndarray, "draws conditions"]
    detectable: Bool[np.ndarray, " conditions"]
    effect_p: Float[np.ndarray, " conditions"]
    counts: tuple[int, ...]
    strata: Mapping[str, frozenset[Condition]]
    fallbacks: Mapping[Condition, str]
    split: str
    seed: int
    shared_controls: bool = False
    warnings: tuple[str, ...] = field(default=())
    undone: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Float[np.ndarray, " conditions"]] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    def row(self, metric: str) -> int:
        """Return the row of a metric."""
        return self.metrics.index(metric)

    def among(self, subset: str) -> Bool[np.ndarray, " conditions"]:
        """Return which conditions belong to `all`, `detectable`, or a stratum."""
        if subset == "all":
            return np.ones(len(self.conditions), dtype=bool)
        if subset == "detectable":
            return self.detectable
        return np.asarray([one in self.strata[subset] for one in self.conditions], dtype=bool)

    def summary(self, metric: str, subset: str = "detectable") -> Summary:
        """Return the mean of a metric over a subset with its interval."""
        row, rule, mine = self.row(metric), METRICS[metric], self.among(subset)
        counted = mine if rule.undefined_as is not None else mine & np.isfinite(self.values[row])
        clusters = independent_clusters([one for one, taken in zip(self.conditions, counted) if taken])
        tables = self.values[row], self.bootstrap[row], self.weights
        return summarise(*tables, mine, (rule.undefined_as, rule.link), clusters)

    def beside(self, metric: str, subset: str = "detectable") -> dict[str, float]:
        """Return floor, permuted-label value, chance and ceiling of a metric over a subset."""
        row, mine, rule = self.row(metric), self.among(subset), METRICS[metric]
        permuted = self.permuted_score(metric, subset).value
        # where nothing is significant a score of gene sets is undefined, in a half as in the whole
        blank = rule.undefined_as if rule.needs == "tests" else None
        return {
            "floor": _mean(self.floor[row][mine], blank),
            "permuted": permuted,
            "chance": permuted if rule.chance is None else rule.chance,
            "ceiling": _mean(self.ceiling[row][mine], blank),
        }

    def permuted_score(self, metric: str, subset: str = "detectable") -> Summary:
        """Return the mean score over permutations of the labels, and the range that holds 95 % of them."""
        row, rule, mine = self.row(metric), METRICS[metric], self.among(subset)
        values = self.permuted[row][:, mine].astype(np.float64)
        defined = np.isfinite(values)
        if rule.undefined_as is not None:
            values = np.where(defined, values, rule.undefined_as)
        means = weighted_mean(values, np.ones_like(values))
        means = means[np.isfinite(means)]
        ends = np.quantile(means, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]) if len(means) else (np.nan, np.nan)
        value = float(means.mean()) if len(means) else float("nan")
        valid = int(defined.all(axis=0).sum())
        return Summary(value, float(ends[0]), float(ends[1]), int(mine.sum()), valid, int(mine.sum()) - valid)

    def scaled(self, metric: str, subset: str = "detectable") -> float:
        """Return where the mean score lies between floor (0) and ceiling (1); NaN where the ceiling is no better.

        The floor, not a baseline's score, is the zero: it is the same for whatever else is judged. A ceiling of half
        the cells makes the scaled score too large; `Metric.from_half` says where that is so.
        """
        return _scaled(METRICS[metric], self.summary(metric, subset).value, self.beside(metric, subset))

    def told(self, metric: str, subset: str = "detectable") -> dict[str, float | int]:
        """Return all that is said of a metric: score, interval, what stands beside it, scaled score, and counts."""
        one, beside = self.summary(metric, subset), self.beside(metric, subset)
        return {
            "score": one.value,
            "low": one.low,
            "high": one.high,
            **beside,
            "scaled": _scaled(METRICS[metric], one.value, beside),
            "conditions": one.conditions,
            "valid": one.valid,
            "undefined": one.undefined,
        }


def _scaled(rule: Metric, value: float, beside: Mapping[str, float]) -> float:
    score, low, high = (float(rule.merit(np.asarray(one))) for one in (value, beside["floor"], beside["ceiling"]))
    return (score - low) / (high - low) if high > low else float("nan")


def evaluate(
    prediction: Prediction,
    observed: Observed,
    *,
    preset: str = "pertura",
    metrics: Sequence[str] | None = None,
) -> Scores:
    """Return the scores of a prediction against the observed side.

    A metric that cannot be worked out for any condition (a prediction of means has no cells) has no row; `undone` says
    why. Raises `BadDataError` where the genes differ in set or order, a judged condition was not predicted, or a
    predicted value is not finite. Leaving out a metric never changes another.
    """
    give_back()  # what the last prediction took
    predicted = Predicted.of(prediction, observed)
    asked = chosen(preset, metrics)
    undone = {metric.name: why for metric in asked if (why := _why_not(metric, predicted))}
    rows = [metric for metric in asked if metric.name not in undone]
    with _threads_for(predicted.means):
        bootstrap = nulls.bootstrap_scores(rows, predicted)
        permuted = nulls.permuted_scores(rows, predicted)
        values = nulls.plain_scores(rows, predicted)
    tested = any(metric.needs == "tests" for metric in rows)
    return Scores(
        model=prediction.provenance.model,
        preset=f"{preset}/{PRESETS[preset].version}",
        metrics=tuple(metric.name for metric in rows),
        conditions=observed.conditions,
        values=values,
        floor=_stacked([nulls.floor(metric, observed) for metric in rows], values),
        ceiling=_stacked([nulls.ceiling(metric, observed) for metric in rows], values),
        permuted=permuted,
        bootstrap=bootstrap,
        weights=condition_weights(observed.conditions, bootstrap.shape[1], observed.seed),
        detectable=observed.detectable,
        effect_p=observed.effect_p,
        counts=tuple(int(count) for count in observed.counts),
        strata=observed.strata,
        fallbacks={one: why for one, why in prediction.fallbacks.items() if one in set(observed.conditions)},
        split=observed.split,
        seed=observed.seed,
        shared_controls=observed.shared_controls,
        warnings=(*observed.warnings, *(_flooded(predicted) if tested else ())),
        undone=undone,
        details=_details(predicted) if tested else {},
        notes=(*observed.notes, *(_calibrated(observed) if tested else ())),
    )


def _why_not(metric: Metric, predicted: Predicted) -> str:
    """Why a metric has no row; empty where it has one."""
    if metric.needs != "means" and not predicted.has_cells:
        return "needs cells: the prediction is one mean profile for each condition"
    if metric.variant_of is not None and predicted.observed.kept.all():
        return f"equals {metric.variant_of}: the panel has none of the perturbed genes"
    return ""


def _stacked(rows: Sequence[Float[np.ndarray, " conditions"]], like: Table) -> Table:
    return np.asarray(rows, dtype=np.float64).reshape(like.shape)


def _details(predicted: Predicted) -> dict[str, Float[np.ndarray, " conditions"]]:
    """Numbers of significant genes, for each condition: no scores, but what scores of gene sets rest on."""
    observed = predicted.observed
    counts = {"observed": observed.calls.plain.direction, "predicted": predicted.calls.direction}
    found = {f"significant_{side}": (called != 0).sum(axis=1).astype(np.float64) for side, called in counts.items()}
    by_batch = observed.significant_by_batch
    return found if np.isnan(by_batch).all() else {**found, "significant_by_batch": by_batch}


def _flooded(predicted: Predicted) -> list[str]:
    """Say where far more genes are significant than were observed: then sets overlap by their size."""
    totals = [int((one.direction != 0).sum()) for one in (predicted.calls, predicted.observed.calls.plain)]
    if totals[0] <= FLOODED * max(totals[1], 1):
        return []
    times = f"{totals[0] / totals[1]:.1f} times as many" if totals[1] else "many"
    return [
        f"{totals[0]:,} genes are significant in predicted cells, {totals[1]:,} in observed ones ({times}): predicted "
        "cells vary too little or differ from control in shape; recall and direction of significant genes say little"
    ]


def _calibrated(observed: Observed) -> list[str]:
    """Say how often the rank test calls a gene where nothing was done."""
    return [
        f"rank tests of control cells against control cells{f' of {one.context}' if one.context else ''}: {one.told}"
        + ("; the test is not calibrated here" if one.suspicious else "")
        for one in observed.false_positives
    ]


def _threads_for(predicted: Means) -> AbstractContextManager[object]:
    """Hundreds of small products in turn: more threads only wait for one another (measured: five times slower)."""
    conditions, genes = predicted.shape
    return threadpool_limits(1, "blas") if conditions * conditions * genes < SMALL_PRODUCT else nullcontext()


def _mean(values: Float[np.ndarray, " _"], undefined_as: float | None = None) -> float:
    filled = values if undefined_as is None else np.where(np.isfinite(values), values, undefined_as)
    usable = filled[np.isfinite(filled)]
    return float(usable.mean()) if len(usable) else float("nan")
