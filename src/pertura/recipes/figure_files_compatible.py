"""A figure of scores by another evaluator's rules: the prediction and its references against metrics."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pertura.core.errors import BadDataError
from pertura.evaluation.compatible.table import COMPATIBLE
from pertura.recipes.figure_files import Drawn, Wanted, near, others
from pertura.recipes.foreign.compatible_files import FORMAT_VERSION
from pertura.report.plots import References
from pertura.report.publication import WIDTHS
from pertura.report.score_grid import Mark, ScoreColumn, ScoreGrid, grid_capacity, score_sheet
from pertura.report.tables import Interval

USUAL = 5
REFERENCE = "reference "
COUNTS = frozenset({"labels", "valid"})
DRAWN = frozenset({"score", "low", "high", "permuted", "permuted_low", "permuted_high", "ceiling"})
MOST, LARGEST = 10**9, 1e300
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class CompatibleScores:
    """The record of an evaluation under a compatibility preset: for each context the facts of each scored metric."""

    place: Path
    model: str
    preset: str
    contexts: Mapping[str, Mapping[str, Facts]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that have a best value, in the preset's order; its headline first."""
        known = next(iter(self.contexts.values()))
        names = [one.name for one in COMPATIBLE[self.preset].metrics if one.best is not None and one.name in known]
        return tuple(sorted(names, key=lambda one: one != COMPATIBLE[self.preset].headline))

    @property
    def models(self) -> tuple[str, ...]:
        """The prediction, then what it is held against."""
        known = next(iter(next(iter(self.contexts.values())).values()))
        return (self.model, *(one.removeprefix(REFERENCE) for one in known if one.startswith(REFERENCE)))

    def best(self, metric: str) -> float:
        """The best value of a metric."""
        return next(float(one.best or 0) for one in COMPATIBLE[self.preset].metrics if one.name == metric)


def read_compatible(place: Path) -> CompatibleScores:
    """Return the record in a folder; one that cannot be read raises `BadDataError`."""
    path = place / "scores.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != FORMAT_VERSION or content["preset"] not in COMPATIBLE:
            raise ValueError(f"version {content['version']!r} of preset {content['preset']!r}")
        contexts = {str(one["context"]): _checked(one["metrics"]) for one in content["contexts"]}
        made = CompatibleScores(place, str(content["model"]), content["preset"], contexts)
        if not made.models or not made.metrics:
            raise ValueError("no scored metric")
        return made
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration, RecursionError) as error:
        raise BadDataError(f"not readable as scores: {error}", file=path, remedy="evaluate again") from error


def _checked(metrics: Mapping[str, Facts]) -> Mapping[str, Facts]:
    """The facts of each metric; what is drawn and is no number, or counts and is no whole one, raises `ValueError`."""
    for name, facts in metrics.items():
        for what, value in facts.items():
            counted = what in COUNTS and type(value) is int and 0 <= value <= MOST
            drawn = what in DRAWN or what.startswith(REFERENCE)
            measured = value is None or (type(value) in (int, float) and abs(value) < LARGEST)
            if (what in COUNTS and not counted) or (drawn and not measured):
                raise ValueError(f"{what} of {name} is {value!r}"[:200])
    return metrics


def compatible_figure(scores: CompatibleScores, wanted: Wanted) -> Drawn:
    """Return the score of the prediction and of each reference in each metric, a column for each context too.

    Only the prediction has an interval and a score on permuted labels: references are there to be beaten.
    """
    models = tuple(near(one, scores.models, "model", scores.place) for one in dict.fromkeys(wanted.models))
    models = models or scores.models
    width = wanted.width_mm or max(WIDTHS)
    chosen = [near(one, scores.metrics, "metric", scores.place) for one in dict.fromkeys(wanted.metrics)]
    fitting = max(1, min(USUAL, grid_capacity(models, width) // len(scores.contexts)))
    names = chosen or list(scores.metrics[:fitting])
    columns = [_column(scores, context, one, models) for one in names for context in scores.contexts]
    note = f"Preset {scores.preset}. n: labels with a defined score. References have no interval."
    grid = ScoreGrid("metric", models, tuple(columns), note=note)
    notes = () if wanted.metrics or len(names) == len(scores.metrics) else (others(names, scores.metrics),)
    return Drawn(score_sheet(grid, width_mm=width), notes)


def _column(scores: CompatibleScores, context: str, metric: str, models: tuple[str, ...]) -> ScoreColumn:
    facts, best = scores.contexts[context].get(metric, {}), scores.best(metric)
    better: Literal["higher", "lower"] = "higher" if best > 0 else "lower"
    words = f"n = {facts.get('valid', 0)} of {facts.get('labels', 0)}" + (f", {context}" if context else "")
    marks = tuple(_mark(facts, one, own=one == scores.model) for one in models)
    return ScoreColumn(metric, words, References(ceiling=Interval(facts.get("ceiling"))), marks, better, best)


def _mark(facts: Facts, model: str, *, own: bool) -> Mark:
    labels, valid = int(facts.get("labels", 0)), int(facts.get("valid", 0))
    if not own:
        return Mark(Interval(facts.get(f"{REFERENCE}{model}")), Interval(None), labels, valid)
    null = Interval(facts.get("permuted"), facts.get("permuted_low"), facts.get("permuted_high"))
    return Mark(Interval(facts.get("score"), facts.get("low"), facts.get("high")), null, labels, valid)
