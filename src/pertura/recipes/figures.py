"""The figures of a report, from scores and cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pertura.comparison.compare import Comparison
from pertura.core.perturbation import Condition, spelled
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.table import METRICS
from pertura.metrics.delta import pearson
from pertura.recipes.run import Screen
from pertura.report.deltas import DeltaPanel, delta_scatter, top_genes_box
from pertura.report.figure import Figure
from pertura.report.plots import (
    ContextCells,
    References,
    ScoreRow,
    Stratum,
    cells_chart,
    detectable_chart,
    score_chart,
    stratum_chart,
)
from pertura.report.tables import Better, Interval

MOST_PANELS = 18
MOST_BOXES = 12
TOP_GENES = 20


@dataclass(frozen=True)
class ScreenFigures:
    """Figures of cells and single perturbations."""

    scatter: Figure
    boxes: tuple[Figure, ...]
    cells: Figure
    detectable: Figure


def score_figures(comparison: Comparison, metrics: Sequence[str]) -> list[Figure]:
    """Return a chart of all models for each metric."""
    return [_score_figure(comparison, name) for name in metrics]


def strata_figure(comparison: Comparison) -> Figure:
    """Return the headline metric by stratum; strata without a condition are left out, with a note."""
    first = comparison.scores[0]
    filled = [name for name in sorted(first.strata) if first.strata[name]]
    empty = [name for name in sorted(first.strata) if not first.strata[name]]
    strata = [_stratum(comparison, name) for name in filled]
    note = f"Without a test perturbation: {', '.join(empty)}." if empty else ""
    note = f"All perturbations of a stratum, detectable or not. {note}".strip()
    models = [one.model for one in comparison.headline]
    return stratum_chart(
        models, strata, title=f"{comparison.metric} by stratum", better=_better(comparison.metric), note=note
    )


def screen_figures(screen: Screen) -> ScreenFigures:
    """Return the figures of cells, detectable effects, and of the model that heads the comparison."""
    observed, model = screen.observed, screen.comparison.first
    names = spelled(observed.conditions, screen.split.contexts)
    # the most visible effects first
    order = sorted(range(len(observed.conditions)), key=lambda i: (observed.effect_p[i], -_length(screen, i)))
    panels = [_panel(screen, model, i, names) for i in order[:MOST_PANELS]]
    left_out = len(order) - len(panels)
    note = f"{left_out} further perturbations are not drawn." if left_out else ""
    return ScreenFigures(
        scatter=delta_scatter(panels, title=f"Change predicted by {model} against observed", note=note),
        boxes=tuple(_box(screen, i, names) for i in order[:MOST_BOXES]),
        cells=cells_chart([_context(screen, name) for name in screen.cells.contexts]),
        detectable=detectable_chart([names[one] for one in observed.conditions], list(observed.effect_p)),
    )


def _score_figure(comparison: Comparison, metric: str) -> Figure:
    subset = comparison.subset
    rows = [_row(one, metric, subset) for one in comparison.headline if metric in one.metrics]
    beside = next(one for one in comparison.scores if metric in one.metrics).beside(metric, subset)
    chance = METRICS[metric].chance
    references = References(floor=beside["floor"], ceiling=Interval(beside["ceiling"]), chance=chance)
    return score_chart(rows, references, title=metric, better=_better(metric))


def _row(scores: Scores, metric: str, subset: str) -> ScoreRow:
    one, mine = scores.summary(metric, subset), scores.among(subset)
    fallen = sum(condition in scores.fallbacks for condition, taken in zip(scores.conditions, mine) if taken)
    mark = f"stand-in for {fallen} of {int(mine.sum())}" if fallen else ""
    permuted = scores.permuted_score(metric, subset)
    null = Interval(permuted.value, permuted.low, permuted.high)
    return ScoreRow(scores.model, Interval(one.value, one.low, one.high), null, mark)


def _stratum(comparison: Comparison, name: str) -> Stratum:
    summaries = [one.summary(comparison.metric, name) for one in comparison.headline]
    beside = comparison.scores[0].beside(comparison.metric, name)
    scores = tuple(Interval(one.value, one.low, one.high) for one in summaries)
    return Stratum(name.replace("_", " "), summaries[0].conditions, scores, beside["floor"], beside["ceiling"])


def _panel(screen: Screen, model: str, i: int, names: dict[Condition, str]) -> DeltaPanel:
    observed, condition = screen.observed, screen.observed.conditions[i]
    change, predicted = _observed_delta(screen, i), _predicted_delta(screen, model, i)
    r = float(pearson(change, predicted))
    fallen = condition in screen.comparison.of(model).fallbacks
    return DeltaPanel(
        names[condition], observed.genes, change, predicted, r, condition.genes, "stand-in answer" if fallen else ""
    )


def _box(screen: Screen, i: int, names: dict[Condition, str]) -> Figure:
    observed, condition = screen.observed, screen.observed.conditions[i]
    change = _observed_delta(screen, i)
    top = np.argsort(-np.abs(change), kind="stable")[:TOP_GENES]
    cells = screen.cells.dense(screen.cells.rows_of(condition))[:, top] - observed.controls[i, top]
    models = dict.fromkeys((screen.comparison.first, screen.comparison.second))
    predicted = {name: [float(one) for one in _predicted_delta(screen, name, i)[top]] for name in models}
    title = f"{names[condition]}: the {len(top)} genes that changed most"
    genes = [observed.genes[gene] for gene in top]
    return top_genes_box(genes, list(cells.T), predicted, title=title, targets=condition.genes)


def _context(screen: Screen, name: str) -> ContextCells:
    perturbed = sum(len(screen.cells.rows_of(one)) for one in screen.cells.perturbed if one.context == name)
    part = screen.split.controls[name]
    return ContextCells(name or "unnamed", perturbed, len(part.model), len(part.judge))


def _observed_delta(screen: Screen, i: int) -> Float[np.ndarray, " genes"]:
    return screen.observed.means[i] - screen.observed.controls[i]


def _predicted_delta(screen: Screen, model: str, i: int) -> Float[np.ndarray, " genes"]:
    mean = screen.predictions[model].mean(screen.observed.conditions[i])
    return mean - screen.observed.model_controls[i]


def _length(screen: Screen, i: int) -> float:
    return float(np.linalg.norm(_observed_delta(screen, i)))


def _better(metric: str) -> Better:
    return "higher" if METRICS[metric].higher_is_better else "lower"
