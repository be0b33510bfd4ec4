"""What stands beside a score: floor, permuted labels, redrawn cells, ceiling."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from pertura.evaluation.aggregate import condition_weights
from pertura.evaluation.observed import Means, Observed
from pertura.evaluation.predicted import Predicted
from pertura.evaluation.resampling import Draws
from pertura.evaluation.sides import CallSides, CellSides, Sides
from pertura.evaluation.table import Metric
from pertura.evaluation.tested import nothing_called

Values = Float[np.ndarray, " conditions"]
Tables = Float[np.ndarray, "metrics draws conditions"]
Kind = Literal["bootstrap", "permutations"]
Judged = Sides | CallSides | CellSides


def plain_scores(metrics: Sequence[Metric], predicted: Predicted) -> Float[np.ndarray, "metrics conditions"]:
    """Return the scores against the observed side as it is."""
    observed = predicted.observed
    made: dict[str, Callable[[], Judged]] = {
        "means": lambda: sides(observed, predicted.means),
        "tests": lambda: _calls(predicted, observed.calls.plain.direction),
        "cells": lambda: observed.populations.plain(predicted.few()),
    }
    table = np.empty((len(metrics), len(observed.conditions)))
    for needs in sorted({metric.needs for metric in metrics}):
        judged = made[needs]()
        for row, metric in enumerate(metrics):
            if metric.needs == needs:
                table[row] = metric.score(judged)
    return table


def permuted_scores(metrics: Sequence[Metric], predicted: Predicted) -> Tables:
    """Return the scores of one prediction against each permutation of the labels, in float32."""
    return _drawn(metrics, predicted, "permutations")


def bootstrap_scores(metrics: Sequence[Metric], predicted: Predicted) -> Tables:
    """Return the scores of one prediction against redrawn cells (see `Observed.redrawn`), in float32."""
    return _drawn(metrics, predicted, "bootstrap")


def sides(observed: Observed, predicted: Means) -> Sides:
    """Return predicted means against the observed ones."""
    return _means(observed, predicted, (observed.means, observed.controls))


def _drawn(metrics: Sequence[Metric], predicted: Predicted, kind: Kind) -> Tables:
    """Score draw after draw; where fewer were made than asked for, they are gone through again."""
    observed = predicted.observed
    rounds = {cost: getattr(made, kind) for cost, made in observed.rounds.items()}
    asked = getattr(observed.effort, kind)
    table = np.empty((len(metrics), asked, len(observed.conditions)), dtype=np.float32)
    for needs in sorted({metric.needs for metric in metrics}):
        mine = [(row, metric) for row, metric in enumerate(metrics) if metric.needs == needs]
        most = max(rounds[metric.cost] for _, metric in mine)
        for draw, judged in enumerate(_draws(predicted, needs, kind, most)):
            for row, metric in mine:
                if draw < rounds[metric.cost]:
                    table[row, draw] = metric.score(judged)
    for row, metric in enumerate(metrics):
        table[row] = table[row, np.arange(asked) % rounds[metric.cost]]
    return table


def _draws(predicted: Predicted, needs: str, kind: Kind, draws: int) -> Iterator[Judged]:
    observed = predicted.observed
    if needs == "cells":
        made = observed.populations.redrawn if kind == "bootstrap" else observed.populations.permuted
        yield from made(predicted.few())[:draws]
    elif needs == "tests":
        for directions in getattr(observed.calls, "bootstrap" if kind == "bootstrap" else "permuted"):
            yield _calls(predicted, directions)
    else:
        weights = condition_weights(observed.conditions, draws, observed.seed)
        for draw in range(draws):
            if kind == "bootstrap":
                yield _means(observed, predicted.means, observed.redrawn(draw), weights=weights[draw])
            else:
                yield _means(observed, predicted.means, observed.permuted.side(draw), _weights(observed.permuted, draw))


def floor(metric: Metric, observed: Observed) -> Values:
    """Return what takes no knowledge: 0 for a correlation, the no-change score for an error, chance for a rank.

    No change is the mean of the model-side controls; to rank tests it is no called gene, in distances those controls.
    """
    if metric.name not in observed.beside["floor"]:
        observed.beside["floor"][metric.name] = _floor(metric, observed)
    return observed.beside["floor"][metric.name]


def _floor(metric: Metric, observed: Observed) -> Values:
    size = len(observed.conditions)
    if metric.floor != "no-change":
        return np.full(size, 0.0 if metric.floor == "zero" else metric.chance, dtype=np.float64)
    if metric.needs == "means":
        return metric.score(sides(observed, observed.model_controls))
    if metric.needs == "cells":
        return metric.score(observed.populations.no_change())
    none = nothing_called(size, len(observed.genes))
    return metric.score(CallSides(none, none.at(observed.kept), observed.calls.plain.direction, observed.kept))


def ceiling(metric: Metric, observed: Observed) -> Values:
    """Return what a replicate experiment of the same size would score.

    Half of the cells of a condition is scored against the other half, each with its own half of disjoint controls,
    averaged over several cuts and then taken to whole size by the metric's `from_half`.
    """
    if metric.name not in observed.beside["ceiling"]:
        cuts = observed.rounds[metric.cost].halves
        scores = [metric.score(judged) for _, judged in zip(range(cuts), _halves(metric, observed))]
        half = np.mean(scores, axis=0)
        observed.beside["ceiling"][metric.name] = half if metric.from_half is None else metric.from_half(half)
    return observed.beside["ceiling"][metric.name]


def _halves(metric: Metric, observed: Observed) -> Iterator[Judged]:
    if metric.needs == "cells":
        yield from observed.halved_populations
    elif metric.needs == "tests":
        for second, first in zip(observed.calls.second, observed.calls.first):
            yield CallSides(second, second.at(observed.kept), first, observed.kept)
    else:
        first, other = observed.halves
        for draw in range(len(first)):
            means, controls = other.side(draw)
            yield _means(observed, means, first.side(draw), _weights(first, draw), controls)


def _means(
    observed: Observed,
    predicted: Means,
    side: tuple[Means, Means],
    importance: Means | None = None,
    predicted_controls: Means | None = None,
    *,
    weights: Values | None = None,
) -> Sides:
    return Sides(
        predicted=predicted,
        observed=side[0],
        predicted_controls=observed.model_controls if predicted_controls is None else predicted_controls,
        observed_controls=side[1],
        contexts=observed.contexts,
        kept=observed.kept,
        importance=observed.importance if importance is None else importance,
        additive=observed.interactions.expected,
        additive_noise=observed.interactions.noise,
        weights=np.ones(len(predicted)) if weights is None else weights,
    )


def _weights(draws: Draws, draw: int) -> Means | None:
    return None if draws.importance is None else draws.importance[draw].astype(np.float64)


def _calls(predicted: Predicted, directions: Int[np.ndarray, "conditions genes"]) -> CallSides:
    return CallSides(predicted.calls, predicted.bare_calls, directions, predicted.observed.kept)
