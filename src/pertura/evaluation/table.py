"""The metrics: one row each, over the means of conditions and of their matched controls."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.metrics import delta, ranking

Values = Float[np.ndarray, " conditions"]
Means = Float[np.ndarray, "conditions genes"]


@dataclass(frozen=True, eq=False)
class Sides:
    """Both sides of a judgement, row for row: predicted and observed means, each with its own control mean.

    The two control means come from disjoint cells. `contexts` are codes; `kept` marks the genes that no judged
    perturbation targets, for metrics that must not reward knowing the target.
    """

    predicted: Means
    observed: Means
    predicted_controls: Means
    observed_controls: Means
    contexts: Int[np.ndarray, " conditions"]
    kept: Bool[np.ndarray, " genes"]

    @cached_property
    def predicted_delta(self) -> Means:
        """Predicted change from the model-side controls."""
        return self.predicted - self.predicted_controls

    @cached_property
    def observed_delta(self) -> Means:
        """Observed change from the judge-side controls."""
        return self.observed - self.observed_controls


@dataclass(frozen=True)
class Metric:
    """A metric: its function, its best value, and what stands beside it.

    `chance` is what a prediction without any relation to the labels scores on average; None where only permuting the
    labels can tell. `floor`: "zero" by definition, "no-change" is the score of predicting the controls, "chance".
    `from_half` turns a score of half the cells against the other half into that of a whole replicate; None where no
    closed form holds, and the half value is shown as a lower bound. `undefined_as` is what an undefined score counts
    as in the default preset. `link` is the scale on which its interval is formed.
    """

    name: str
    summary: str
    best: float
    score: Callable[[Sides], Values]
    chance: float | None
    floor: Literal["zero", "no-change", "chance"]
    from_half: Callable[[Values], Values] | None
    undefined_as: float | None = None
    link: Literal["fisher", "log", "unit"] = "log"

    @property
    def higher_is_better(self) -> bool:
        """The best value is an upper end."""
        return self.best > 0


def _spearman_brown(half: Values) -> Values:
    """2r / (1 + r): the correlation of two wholes from that of two halves (parallel tests); r <= 0 stays as it is."""
    return np.where(half > 0, 2 * half / (1 + np.maximum(half, 0)), half)


def _halved(half: Values) -> Values:
    """A squared difference of two means shrinks with the number of cells."""
    return half / 2


def _root_halved(half: Values) -> Values:
    """An absolute difference of two means shrinks with the root of the number of cells."""
    return half / np.sqrt(2)


def _discrimination(name: Literal["l1", "l2", "cosine"]) -> Callable[[Sides], Values]:
    def score(sides: Sides) -> Values:
        return ranking.within_groups(sides.predicted_delta, sides.observed_delta, sides.contexts, sides.kept, name)

    return score


def _row(
    name: str,
    summary: str,
    score: Callable[[Sides], Values],
    from_half: Callable[[Values], Values] | None,
    best: float = 0.0,
) -> Metric:
    return Metric(name, summary, best, score, None, "no-change", from_half)


_ROWS = (
    Metric(
        "pearson_delta",
        "correlation over genes of predicted and observed change from control",
        1.0,
        lambda sides: delta.pearson(sides.predicted_delta, sides.observed_delta),
        chance=0.0,
        floor="zero",
        from_half=_spearman_brown,
        undefined_as=0.0,
        link="fisher",
    ),
    _row(
        "mse",
        "mean squared error of the mean profile",
        lambda sides: delta.mean_squared_error(sides.predicted, sides.observed),
        _halved,
    ),
    _row(
        "mae",
        "mean absolute error of the mean profile",
        lambda sides: delta.mean_absolute_error(sides.predicted, sides.observed),
        _root_halved,
    ),
    _row(
        "mse_delta",
        "mean squared error of the change from control",
        lambda sides: delta.mean_squared_error(sides.predicted_delta, sides.observed_delta),
        _halved,
    ),
    _row(
        "mae_delta",
        "mean absolute error of the change from control",
        lambda sides: delta.mean_absolute_error(sides.predicted_delta, sides.observed_delta),
        _root_halved,
    ),
    *(
        Metric(
            f"discrimination_score_{name}",
            f"share of the other perturbations whose observed change lies farther away ({name}), targets left out",
            1.0,
            _discrimination(name),
            chance=0.5,
            floor="chance",
            from_half=None,
            link="unit",
        )
        for name in ("l1", "l2", "cosine")
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ROWS}
