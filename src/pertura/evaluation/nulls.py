"""What stands beside a score: floor, permuted labels, ceiling."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from pertura.evaluation.observed import Means, Observed
from pertura.evaluation.table import Metric, Sides

Values = Float[np.ndarray, " conditions"]


def sides(observed: Observed, predicted: Means) -> Sides:
    """Return predicted means against the observed ones."""
    return Sides(
        predicted, observed.means, observed.model_controls, observed.controls, observed.contexts, observed.kept
    )


def permuted_scores(
    metrics: Sequence[Metric], observed: Observed, predicted: Means
) -> Float[np.ndarray, "metrics draws conditions"]:
    """Return the scores of one prediction against each permutation of the labels, in float32."""
    return _drawn(metrics, observed, predicted, len(observed.permuted), observed.permuted.side)


def bootstrap_scores(
    metrics: Sequence[Metric], observed: Observed, predicted: Means
) -> Float[np.ndarray, "metrics draws conditions"]:
    """Return the scores of one prediction against redrawn cells (see `Observed.redrawn`), in float32."""
    return _drawn(metrics, observed, predicted, len(observed.bootstrap), observed.redrawn)


def _drawn(
    metrics: Sequence[Metric],
    observed: Observed,
    predicted: Means,
    draws: int,
    side: Callable[[int], tuple[Means, Means]],
) -> Float[np.ndarray, "metrics draws conditions"]:
    table = np.empty((len(metrics), draws, len(observed.conditions)), dtype=np.float32)
    for draw in range(draws):
        both = _against(observed, predicted, *side(draw))
        for row, metric in enumerate(metrics):
            table[row, draw] = metric.score(both)
    return table


def _against(observed: Observed, predicted: Means, means: Means, controls: Means) -> Sides:
    return Sides(predicted, means, observed.model_controls, controls, observed.contexts, observed.kept)


def floor(metric: Metric, observed: Observed) -> Values:
    """Return what takes no knowledge: 0 for a correlation, the no-change score for an error, chance for a rank."""
    if metric.floor == "no-change":
        return metric.score(sides(observed, observed.model_controls))
    constant = 0.0 if metric.floor == "zero" else float(metric.chance if metric.chance is not None else np.nan)
    return np.full(len(observed.conditions), constant)


def ceiling(metric: Metric, observed: Observed) -> Values:
    """Return what a replicate experiment of the same size would score.

    Half of the cells of a condition is scored against the other half, each with its own half of disjoint controls,
    averaged over several cuts and then taken to whole size by the metric's `from_half`.
    """
    first, second = observed.halves
    total = np.zeros((len(first), len(observed.conditions)))
    for draw in range(len(first)):
        means, controls = first.side(draw)
        other, other_controls = second.side(draw)
        total[draw] = metric.score(Sides(other, means, other_controls, controls, observed.contexts, observed.kept))
    half = total.mean(axis=0)
    return half if metric.from_half is None else metric.from_half(half)
