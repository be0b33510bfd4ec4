"""Figures of scores: models against metrics, and models against strata."""

from collections.abc import Sequence

import numpy as np

from pertura.comparison.compare import Comparison, compare
from pertura.core.errors import UsageError
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.presets import shown as shown_metrics
from pertura.evaluation.table import METRICS
from pertura.recipes.figure_files import Drawable, Drawn, Wanted, near, others
from pertura.recipes.figure_files_compatible import compatible_figure, read_compatible
from pertura.report.plots import References
from pertura.report.publication import WIDTHS
from pertura.report.score_grid import Mark, ScoreColumn, ScoreGrid, grid_capacity, score_sheet
from pertura.report.tables import Interval


def compare_figure(place: Drawable, wanted: Wanted) -> Drawn:
    """Return the score of each model in each metric.

    Without named metrics one of each kind is drawn: correlation, error, rank; without named models all but those that
    were given a control in place of a prior. By another evaluator's rules: the prediction beside its references.
    """
    if place.compatible:
        return compatible_figure(read_compatible(place.place), wanted)
    metrics = wanted.metrics
    comparison, shown = _chosen(place, wanted.models, None)
    known, width = comparison.scores[0].metrics, wanted.width_mm or max(WIDTHS)
    models = tuple(one.model for one in shown)
    names = [near(one, known, "metric", place.place) for one in dict.fromkeys(metrics)]
    names = names or _one_of_each_kind(comparison)[: max(1, grid_capacity(models, width))]
    columns = tuple(_column(shown, one, comparison.subset, title=one) for one in names)
    grid = ScoreGrid("metric", models, columns, note=_note(comparison) + _of_half(names))
    notes = [] if metrics or len(names) == len(known) else [others(names, known)]
    return Drawn(score_sheet(grid, width_mm=width), (*notes, *_models_left_out(comparison, shown, wanted.models)))


def strata_figure(place: Drawable, wanted: Wanted) -> Drawn:
    """Return the score of each model in each stratum that has conditions, on one scale; raises where there is none."""
    if len(wanted.metrics) > 1:
        raise UsageError("strata are drawn for one metric; give --metric once")
    metric = next(iter(wanted.metrics), None)
    if metric is not None:
        near(metric, place.scores[0].metrics, "metric", place.place)
    comparison, shown = _chosen(place, wanted.models, metric)
    strata = shown[0].strata
    filled = [one for one in sorted(strata) if strata[one]]
    if not filled:
        raise UsageError(f"{place.place}: the split of these scores names no strata; `pertura plot compare` draws all")
    columns = tuple(_column(shown, comparison.metric, one, title=one.replace("_", " ")) for one in filled)
    note = f"n: all conditions of a stratum, with a detectable effect or without.{_of_half([comparison.metric])}"
    grid = ScoreGrid("stratum", tuple(one.model for one in shown), columns, True, comparison.metric, note)
    empty = [one for one in sorted(strata) if not strata[one]]
    notes = [f"without a test condition: {', '.join(empty)}"] if empty else []
    return Drawn(
        score_sheet(grid, width_mm=wanted.width_mm or max(WIDTHS)),
        (*notes, *_models_left_out(comparison, shown, wanted.models)),
    )


def _chosen(place: Drawable, models: Sequence[str], metric: str | None) -> tuple[Comparison, list[Scores]]:
    """The comparison and the models to draw, best first by its metric."""
    if len(place.scores) < 2:
        raise UsageError(f"{place.place} has scores of one model only; no score stands alone")
    comparison = compare(place.scores, metric=metric)
    names = [one.model for one in comparison.scores]
    wanted = [near(one, names, "model", place.place) for one in dict.fromkeys(models)]
    shown = [comparison.of(one) for one in wanted] or list(comparison.headline)
    return comparison, sorted(shown, key=lambda one: _order(one, comparison))


def _order(scores: Scores, comparison: Comparison) -> tuple[bool, float, str]:
    """Best first, undefined last."""
    rule, value = METRICS[comparison.metric], scores.summary(comparison.metric, comparison.subset).value
    far = {"higher": -value, "lower": value, "nearer": abs(value - rule.best)}[rule.better]
    return bool(np.isnan(value)), far, scores.model


def _one_of_each_kind(comparison: Comparison) -> list[str]:
    """The headline, and of every other family of metrics the first that a report shows."""
    kinds = {METRICS[comparison.metric].family: comparison.metric}
    for name in shown_metrics(comparison.scores[0].metrics):
        kinds.setdefault(METRICS[name].family, name)
    return list(kinds.values())


def _column(shown: Sequence[Scores], metric: str, subset: str, *, title: str) -> ScoreColumn:
    beside = shown[0].beside(metric, subset)
    marks = tuple(_mark(one, metric, subset) for one in shown)
    rule = METRICS[metric]
    references = References(floor=beside["floor"], ceiling=Interval(beside["ceiling"]))
    half = "" if rule.from_half is not None else ", ceiling of half"
    judged, valid = marks[0].conditions, max(one.valid for one in marks)
    words = f"n = {judged}{half}" if valid == judged else f"n = {valid} of {judged}{half}"
    return ScoreColumn(title, words, references, marks, rule.better, rule.best)


def _mark(scores: Scores, metric: str, subset: str) -> Mark:
    one, null = scores.summary(metric, subset), scores.permuted_score(metric, subset)
    mine = [condition for condition, taken in zip(scores.conditions, scores.among(subset)) if taken]
    return Mark(
        Interval(one.value, one.low, one.high),
        Interval(null.value, null.low, null.high),
        one.conditions,
        one.valid,
        sum(condition in scores.fallbacks for condition in mine),
    )


def _note(comparison: Comparison) -> str:
    scores = comparison.scores[0]
    kind = "with a detectable effect" if comparison.subset == "detectable" else "(none has a detectable effect)"
    return f"n: the {int(scores.among(comparison.subset).sum())} of {len(scores.conditions)} test conditions {kind}."


def _of_half(metrics: Sequence[str]) -> str:
    """What no formula takes from half of the cells to all of them is shown as the lower bound that it is."""
    if all(METRICS[one].from_half is not None for one in metrics):
        return ""
    return " Ceiling of half: half of the observed cells against the other half; with all cells it would be better."


def _models_left_out(comparison: Comparison, shown: Sequence[Scores], wanted: Sequence[str]) -> list[str]:
    left = len(comparison.scores) - len(shown)
    if wanted or not left:
        return []
    return [f"left out: {left} models that were given a control in place of a prior; --model names any"]
