"""The metrics of the preset `pertura`: one row each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from pertura.evaluation.sides import CallSides, CellSides, Sides
from pertura.metrics import delta, diversity, interaction, ranking, significant, weighted
from pertura.metrics.distance import discrepancy, energy_distance

Values = Float[np.ndarray, " conditions"]
Needs = Literal["means", "tests", "cells"]
Cost = Literal["means", "ranks", "tests", "cells"]
Family = Literal["change", "error", "rank", "screen", "pairs", "calls", "cells"]
WITHOUT_TARGETS = "_without_targets"
VARIED: frozenset[Family] = frozenset({"change", "error", "calls"})


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: its function, its best value, and what stands beside it.

    `score` takes `Sides`, `CallSides` or `CellSides`, as `needs` says: means of conditions, rank tests of cells, or
    distances between cells. `best` is the value of a perfect prediction; where it lies inside the range of the metric,
    nearer to it is better. `chance` is what a prediction without any relation to the labels scores on average; None
    where only permuting the labels can tell. `floor`: "zero" by definition, "no-change" is the score of predicting the
    controls, "chance". `from_half` turns a score of half the cells against the other half into that of a whole
    replicate; None where no closed form holds, and the half value is shown as a lower bound. `undefined_as` is what an
    undefined score counts as. `link` is the scale on which its interval is formed. `cost` groups metrics that are
    redrawn equally often. A `shown` metric stands in the main table of a report. `variant_of` names the metric that
    this one is without the target genes.
    """

    name: str
    summary: str
    family: Family
    best: float
    score: Callable[[Any], Values]
    floor: Literal["zero", "no-change", "chance"]
    needs: Needs = "means"
    cost: Cost = "means"
    chance: float | None = None
    from_half: Callable[[Values], Values] | None = None
    undefined_as: float | None = None
    link: Literal["fisher", "log", "unit", "skill", "ratio"] = "log"
    shown: bool = False
    variant_of: str | None = None

    @property
    def better(self) -> Literal["higher", "lower", "nearer"]:
        """Which values are better: the higher, the lower, or those nearer to the best."""
        if self.link == "ratio":
            return "nearer"
        return "higher" if self.best > 0 else "lower"

    @property
    def higher_is_better(self) -> bool:
        """The best value is an upper end."""
        return self.better == "higher"

    def merit(self, values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return values of which more is better: of a ratio r whose best value is 1, min(r, 1 / r)."""
        if self.better == "nearer":
            with np.errstate(divide="ignore"):
                return np.asarray(np.minimum(values, 1.0 / np.asarray(values, dtype=np.float64)))
        return values if self.better == "higher" else np.asarray(-values)


def _spearman_brown(half: Values) -> Values:
    """2r / (1 + r): the correlation of two wholes from that of two halves (parallel tests); r <= 0 stays as it is."""
    return np.where(half > 0, 2 * half / (1 + np.maximum(half, 0)), half)


def _halved(half: Values) -> Values:
    """A squared difference of two means, or an energy of two samples, shrinks with the number of cells."""
    return half / 2


def _root_halved(half: Values) -> Values:
    """An absolute difference of two means shrinks with the root of the number of cells."""
    return half / np.sqrt(2)


def _weighted_error(sides: Sides) -> Values:
    return weighted.squared_error(sides.predicted_delta, sides.observed_delta, sides.importance)


def _additivity(sides: Sides) -> Values:
    return interaction.additivity_residual(
        sides.predicted_delta, sides.observed_delta, sides.additive, sides.additive_noise
    )


def _diversity(sides: Sides) -> Values:
    return diversity.diversity_ratio(sides.predicted_delta, sides.observed_delta, sides.contexts, sides.weights)


def _nearest(sides: Sides) -> Values:
    every = np.ones(len(sides.kept), dtype=bool)
    return ranking.within_groups(sides.predicted, sides.observed, sides.contexts, every, "l2")


def _discrimination(name: Literal["l1", "l2", "cosine"]) -> Callable[[Sides], Values]:
    def score(sides: Sides) -> Values:
        bare = sides.without_targets
        return ranking.within_groups(bare.predicted_delta, bare.observed_delta, bare.contexts, bare.kept, name)

    return score


def _error(
    name: str,
    summary: str,
    score: Callable[[Sides], Values],
    from_half: Callable[[Values], Values],
    shown: bool = False,
) -> Metric:
    return Metric(
        name=name,
        summary=summary,
        family="error",
        best=0.0,
        score=score,
        floor="no-change",
        from_half=from_half,
        shown=shown,
    )


def _correlation(name: str, summary: str, score: Callable[[Sides], Values]) -> Metric:
    return Metric(
        name=name,
        summary=summary,
        family="change",
        best=1.0,
        score=score,
        chance=0.0,
        floor="zero",
        from_half=_spearman_brown,
        undefined_as=0.0,
        link="fisher",
        shown=True,
    )


_CHANGES = (
    _correlation(
        "pearson_delta",
        "correlation over genes of predicted and observed change from control",
        lambda sides: delta.pearson(sides.predicted_delta, sides.observed_delta),
    ),
    _correlation(
        "pearson_perturbation_mean",
        "the same after subtracting from each side its own mean change over the judged perturbations of the context: "
        "what sets a perturbation apart from the others",
        lambda sides: delta.pearson(sides.predicted_specific, sides.observed_specific),
    ),
    Metric(
        name="weighted_r2_delta",
        summary="share of the variance of the observed change from the mean of perturbations that is predicted; genes "
        "weighted by how far they set the perturbation apart from the others",
        family="change",
        best=1.0,
        score=lambda sides: weighted.r_squared(_weighted_error(sides), sides.observed_specific, sides.importance),
        floor="no-change",
        link="skill",
        shown=True,
    ),
)

_ERRORS = (
    _error(
        "mse",
        "mean squared error of the mean profile",
        lambda sides: delta.mean_squared_error(sides.predicted, sides.observed),
        _halved,
        shown=True,
    ),
    _error(
        "mae",
        "mean absolute error of the mean profile",
        lambda sides: delta.mean_absolute_error(sides.predicted, sides.observed),
        _root_halved,
    ),
    _error(
        "mse_delta",
        "mean squared error of the change from control",
        lambda sides: delta.mean_squared_error(sides.predicted_delta, sides.observed_delta),
        _halved,
    ),
    _error(
        "mae_delta",
        "mean absolute error of the change from control",
        lambda sides: delta.mean_absolute_error(sides.predicted_delta, sides.observed_delta),
        _root_halved,
    ),
    _error(
        "weighted_mse_delta",
        "squared error of the change, genes weighted by how far they set the perturbation apart from the others",
        _weighted_error,
        _halved,
    ),
    _error(
        "mean_e_distance",
        "twice the squared distance of the mean profiles, which some call E-distance: it knows nothing of spread",
        lambda sides: 2 * sides.predicted.shape[1] * delta.mean_squared_error(sides.predicted, sides.observed),
        _halved,
    ),
)

_RANKS = (
    *(
        Metric(
            name=f"discrimination_score_{name}",
            summary=f"share of the other perturbations whose observed change lies farther away ({name}), targets left "
            "out",
            family="rank",
            best=1.0,
            score=_discrimination(name),
            cost="ranks",
            chance=0.5,
            floor="chance",
            link="unit",
            shown=name == "cosine",
        )
        for name in ("l1", "l2", "cosine")
    ),
    Metric(
        name="nir",
        summary="share of the other perturbations whose observed mean profile lies farther away (l2, all genes)",
        family="rank",
        best=1.0,
        score=_nearest,
        cost="ranks",
        chance=0.5,
        floor="chance",
        link="unit",
    ),
)

_SCREEN = (
    Metric(
        name="diversity_ratio",
        summary="mean distance between predicted changes over that between observed ones, one value for each context: "
        "0 where one answer is given for all",
        family="screen",
        best=1.0,
        score=_diversity,
        cost="ranks",
        floor="no-change",
        link="ratio",
    ),
    Metric(
        name="additivity_residual",
        summary="share of a pair's departure from the sum of its singles that is predicted, for pairs that depart by "
        "more than redrawn cells explain",
        family="pairs",
        best=1.0,
        score=_additivity,
        floor="no-change",
        link="skill",
    ),
)


def _call(
    name: str,
    summary: str,
    score: Callable[[CallSides], Values],
    chance: float | None = None,
    undefined_as: float | None = None,
    link: Literal["fisher", "unit", "ratio"] = "unit",
) -> Metric:
    return Metric(
        name=name,
        summary=summary,
        family="calls",
        best=1.0,
        score=score,
        needs="tests",
        cost="tests",
        chance=chance,
        floor="no-change" if chance is None else "chance",
        undefined_as=undefined_as,
        link=link,
        shown=name in ("jaccard_significant", "direction_match"),
    )


_CALLS = (
    _call(
        "jaccard_significant",
        "genes significant (FDR < 0.05) on both sides over those significant on either",
        lambda sides: significant.jaccard(sides.predicted.direction, sides.observed),
        undefined_as=0.0,
    ),
    _call(
        "mcc_significant",
        "Matthews correlation of being significant on either side",
        lambda sides: significant.matthews(sides.predicted.direction, sides.observed),
        chance=0.0,
        undefined_as=0.0,
        link="fisher",
    ),
    _call(
        "overlap_at_n",
        "share of the N significant observed genes among the N largest significant predicted changes",
        lambda sides: significant.overlap_at_n(sides.predicted, sides.observed),
        undefined_as=0.0,
    ),
    _call(
        "direction_match",
        "share of the significant observed genes whose predicted change has the right sign",
        lambda sides: significant.direction_match(sides.predicted, sides.observed),
        chance=0.5,
    ),
    _call(
        "significant_ratio",
        "number of significant predicted genes over that of observed ones; far above 1 overlaps are bought",
        lambda sides: significant.count_ratio(sides.predicted.direction, sides.observed),
        link="ratio",
    ),
)


def _of_cells(name: str, summary: str, score: Callable[[CellSides], Values], shown: bool = False) -> Metric:
    return Metric(
        name=name,
        summary=summary,
        family="cells",
        best=0.0,
        score=score,
        needs="cells",
        cost="cells",
        floor="no-change",
        from_half=_halved,
        shown=shown,
    )


_CELLS = (
    _of_cells(
        "energy_distance",
        "energy distance of predicted and observed cells, self pairs included: 0 only for the same distribution",
        lambda sides: energy_distance(sides.distances),
        shown=True,
    ),
    _of_cells(
        "mmd",
        "squared maximum mean discrepancy of predicted and observed cells, kernels as wide as controls are apart",
        lambda sides: discrepancy(sides.kernels),
    ),
)


def _without_targets(metric: Metric) -> Metric:
    """The same metric without the genes that any judged perturbation targets."""

    def score(sides: Sides | CallSides) -> Values:
        if not sides.kept.any():
            return np.full(len(sides.observed), np.nan)
        return metric.score(sides.without_targets)

    return replace(
        metric,
        name=f"{metric.name}{WITHOUT_TARGETS}",
        summary=f"{metric.summary}; without the genes that judged perturbations target",
        score=score,
        shown=False,
        variant_of=metric.name,
    )


_ROWS = (*_CHANGES, *_ERRORS, *_RANKS, *_SCREEN, *_CALLS, *_CELLS)
_VARIANTS = tuple(_without_targets(metric) for metric in _ROWS if metric.family in VARIED)
METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_ROWS, *_VARIANTS)}
