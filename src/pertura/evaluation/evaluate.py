"""Scores of a prediction with everything that says what they are worth."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits

from pertura.core.errors import BadDataError
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
from pertura.evaluation.presets import PRESETS, chosen
from pertura.evaluation.table import METRICS

RESOLUTION = 2e-6
SMALL_PRODUCT = 1e9
Table = Float[np.ndarray, "metrics conditions"]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one model: rows of every table are `metrics`, columns `conditions`.

    `bootstrap[m, b, c]` is the score against redrawn cells, `permuted[m, p, c]` against permuted labels; `floor` and
    `ceiling` as the metric defines them. `fallbacks` names the conditions the model could not represent.
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
        clusters = independent_clusters([one for one, taken in zip(self.conditions, mine) if taken])
        tables = self.values[row], self.bootstrap[row], self.weights
        return summarise(*tables, mine, (rule.undefined_as, rule.link), clusters)

    def beside(self, metric: str, subset: str = "detectable") -> dict[str, float]:
        """Return floor, permuted-label value, chance and ceiling of a metric over a subset."""
        row, mine = self.row(metric), self.among(subset)
        permuted = self.permuted_score(metric, subset).value
        chance = METRICS[metric].chance
        return {
            "floor": _mean(self.floor[row][mine]),
            "permuted": permuted,
            "chance": permuted if chance is None else chance,
            "ceiling": _mean(self.ceiling[row][mine]),
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


def evaluate(
    prediction: Prediction,
    observed: Observed,
    *,
    preset: str = "pertura",
    metrics: Sequence[str] | None = None,
) -> Scores:
    """Return the scores of a prediction against the observed side.

    Raises `BadDataError` where the genes differ in set or order, a judged condition was not predicted, or a predicted
    value is not finite. Leaving out a metric never changes another.
    """
    predicted = predicted_means(prediction, observed)
    rows = chosen(preset, metrics)
    plain = nulls.sides(observed, predicted)
    with _threads_for(predicted):
        bootstrap = nulls.bootstrap_scores(rows, observed, predicted)
        permuted = nulls.permuted_scores(rows, observed, predicted)
    return Scores(
        model=prediction.provenance.model,
        preset=f"{preset}/{PRESETS[preset].version}",
        metrics=tuple(metric.name for metric in rows),
        conditions=observed.conditions,
        values=np.stack([metric.score(plain) for metric in rows]),
        floor=np.stack([nulls.floor(metric, observed) for metric in rows]),
        ceiling=np.stack([nulls.ceiling(metric, observed) for metric in rows]),
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
        warnings=observed.warnings,
    )


def _threads_for(predicted: Means) -> AbstractContextManager[object]:
    """Hundreds of small products in turn: more threads only wait for one another (measured: five times slower)."""
    conditions, genes = predicted.shape
    return threadpool_limits(1, "blas") if conditions * conditions * genes < SMALL_PRODUCT else nullcontext()


def predicted_means(prediction: Prediction, observed: Observed) -> Means:
    """Return the mean of each judged condition's predicted cells, in the order of the observed side.

    A gene whose mean lies within `RESOLUTION` of the control mean has not changed: cells are stored in float32, and
    the rounding of a "no change" must not be scored as a direction.
    """
    name = prediction.provenance.model
    if prediction.genes != observed.genes:
        same = set(prediction.genes) == set(observed.genes)
        raise BadDataError(
            f"{name}: predicted and observed genes differ{' in order' if same else ''}",
            remedy="predict on the observed panel, in its order",
        )
    missing = [one.label for one in observed.conditions if one not in prediction.cells]
    if missing:
        raise BadDataError(f"{name}: no prediction for {len(missing)} judged conditions: {', '.join(missing[:6])}")
    means = np.asarray([prediction.mean(one) for one in observed.conditions])
    broken = np.flatnonzero(~np.isfinite(means).all(axis=1))
    if len(broken):
        raise BadDataError(f"{name}: predicted values of {observed.conditions[broken[0]].label} are not finite")
    return np.where(np.abs(means - observed.model_controls) <= RESOLUTION, observed.model_controls, means)


def _mean(values: Float[np.ndarray, " _"]) -> float:
    usable = values[np.isfinite(values)]
    return float(usable.mean()) if len(usable) else float("nan")
