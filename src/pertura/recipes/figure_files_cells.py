"""Figures of predicted beside observed cells: the genes that changed most, and changes gene by gene."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Scale
from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition, spelled
from pertura.data.pseudobulk import Pseudobulk, pseudobulk
from pertura.evaluation import nulls
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.observed import observe
from pertura.evaluation.predicted import RESOLUTION
from pertura.evaluation.table import METRICS
from pertura.metrics.delta import pearson
from pertura.recipes.figure_files import Drawable, Drawn, Wanted, named_conditions
from pertura.recipes.foreign.files import Pair
from pertura.report.delta_sheet import (
    BINS,
    DeltaChart,
    PooledChart,
    binned,
    delta_capacity,
    delta_sheet,
    pooled_sheet,
)
from pertura.report.deltas import DeltaPanel
from pertura.report.publication import WIDTHS
from pertura.report.top_genes import (
    CONTROL,
    OBSERVED,
    PREDICTED,
    CellGroup,
    TopGenesPanel,
    top_genes_capacity,
    top_genes_sheet,
)
from pertura.report.wording import number

TOP_GENES = 20
MOST_MODELS = 4
NARROW, WIDE = WIDTHS
POOLED = "pooled"
METRIC = "pearson_delta"
QUIET_EFFORT = Effort(bootstrap=1, permutations=1, halves=10, effect_permutations=1)
"""For a prediction file that was not scored: only the halves are needed, for the ceiling."""

Change = Float[np.ndarray, " genes"]


def top_genes_figure(place: Drawable, wanted: Wanted) -> Drawn:
    """Return control, observed and predicted expression of the genes with the largest observed change.

    The change is the observed delta of means, by its size; without a named condition that with most cells is drawn.
    """
    beside = _Beside.of(place, place.models(wanted.models, MOST_MODELS))
    chosen = beside.named(wanted.conditions) or beside.by_cells[:1]
    width = wanted.width_mm or (NARROW if len(chosen) == 1 else WIDE)
    _check_few(chosen, top_genes_capacity(width, TOP_GENES, 2 + len(beside.files)), width)
    sides = beside.sides(chosen)
    panels = [_top_genes(beside, one, sides.judge, i) for i, one in enumerate(chosen)]
    sheet = top_genes_sheet(panels, unit=f"expression, {unit(beside.scale)}", width_mm=width)
    return Drawn(sheet, (*_left_out(beside, chosen, wanted), *_stand_ins(beside, chosen)))


def delta_figure(place: Drawable, wanted: Wanted) -> Drawn:
    """Return predicted against observed change, gene by gene: a chart for each condition and model.

    Without named conditions those with most cells are drawn, as many as fit; `pooled` draws all of them in one chart.
    """
    beside = _Beside.of(place, place.models(wanted.models, MOST_MODELS))
    if POOLED in wanted.conditions and POOLED not in beside.names.values():
        return _pooled(beside, wanted)
    named = beside.named(wanted.conditions)
    width = wanted.width_mm or (NARROW if 0 < len(named) * len(beside.files) <= 2 else WIDE)
    fitting = delta_capacity(width) // len(beside.files)
    chosen = named or beside.by_cells[:fitting]
    _check_few(chosen, fitting, width)
    sides, beside_r = beside.sides(chosen), _beside_r(beside, chosen)
    charts = [_chart(beside, model, sides, i, beside_r[i]) for i in range(len(chosen)) for model in beside.files]
    sheet = delta_sheet(charts, unit=unit(beside.scale), width_mm=width)
    return Drawn(sheet, (*_left_out(beside, chosen, wanted), *_stand_ins(beside, chosen)))


def unit(scale: Scale) -> str:
    """Return what a number of this scale is, in words short enough for an axis."""
    if scale.kind == "counts":
        return "counts"
    logarithm = {math.e: "ln", 2.0: "log2", 10.0: "log10"}.get(scale.log_base or 0.0, "log")
    if not scale.target_sum:
        return f"{logarithm}-normalised"
    whole = float(scale.target_sum).is_integer()
    return f"{logarithm}(1 + counts per {scale.target_sum:{',.0f' if whole else ',.6g'}})"


# ---- what the figures are made from


@dataclass(frozen=True, eq=False)
class _Sides:
    """Means and matched control means of some conditions, on the judge's side and on the models'."""

    conditions: tuple[Condition, ...]
    judge: Pseudobulk
    model: Pseudobulk

    def observed(self, i: int) -> Change:
        return self.judge.deltas[i]


@dataclass(frozen=True, eq=False)
class _Beside:
    """The prediction files of some models on the same observed cells."""

    place: Drawable
    files: dict[str, Pair]

    @classmethod
    def of(cls, place: Drawable, models: Sequence[str]) -> "_Beside":
        files = {name: place.opened(name) for name in models}
        first = next(iter(files.values()))
        for name, one in files.items():
            if one.cells.genes != first.cells.genes or one.split.fingerprint != first.split.fingerprint:
                raise BadDataError(
                    f"{name} and {next(iter(files))} were not judged on the same cells", file=place.place
                )
        return cls(place, files)

    @property
    def first(self) -> Pair:
        return next(iter(self.files.values()))

    @property
    def scale(self) -> Scale:
        return self.first.cells.scale

    @cached_property
    def names(self) -> dict[Condition, str]:
        return spelled(self.first.prediction.conditions, self.first.cells.contexts)

    @cached_property
    def by_cells(self) -> list[Condition]:
        """The conditions, most cells first: chosen by size, not by how well they were predicted."""
        rows = self.first.cells.rows_of
        return sorted(self.names, key=lambda one: (-len(rows(one)), one))

    def named(self, wanted: Sequence[str]) -> list[Condition]:
        return named_conditions(wanted, list(self.names), self.first.cells.contexts, self.place.place)

    def sides(self, conditions: Sequence[Condition]) -> _Sides:
        cells, split = self.first.cells, self.first.split
        contexts = sorted({one.context for one in conditions})
        judge = pseudobulk(cells, conditions, {one: split.judge_controls(cells, one) for one in contexts})
        model = pseudobulk(cells, conditions, {one: split.model_controls(cells, one) for one in contexts})
        return _Sides(tuple(conditions), judge, model)

    def predicted(self, model: str, sides: _Sides, i: int) -> Change:
        """The predicted change; what rounding to float32 alone can have made is none, as in the scores."""
        change = self.files[model].prediction.mean(sides.conditions[i]) - sides.model.controls[i]
        return np.where(np.abs(change) <= RESOLUTION, 0.0, change)

    def stand_in(self, model: str, condition: Condition) -> str:
        return self.files[model].prediction.fallbacks.get(condition, "")

    @property
    def scores(self) -> Scores | None:
        """Scores of the first model, where the place has them: floor and ceiling are the same for all."""
        scored = {one.model: one for one in self.place.scores} if self.place.scored else {}
        return scored.get(next(iter(self.files)))


def _top_genes(beside: _Beside, condition: Condition, judge: Pseudobulk, i: int) -> TopGenesPanel:
    cells, split = beside.first.cells, beside.first.split
    change = judge.deltas[i]
    top = np.argsort(-np.abs(change), kind="stable")[:TOP_GENES]
    genes = tuple(cells.genes[gene] for gene in top)
    chosen = cells.with_genes(genes)
    groups = [
        CellGroup(CONTROL, chosen.dense(split.judge_controls(cells, condition.context))),
        CellGroup(OBSERVED, chosen.dense(cells.rows_of(condition))),
    ]
    for model, file in beside.files.items():
        predicted = np.asarray(file.prediction.cells[condition], dtype=np.float64)[:, top]
        groups.append(CellGroup(PREDICTED, predicted, model, beside.stand_in(model, condition)))
    return TopGenesPanel(beside.names[condition], genes, change[top], tuple(groups), condition.genes)


def _chart(beside: _Beside, model: str, sides: _Sides, i: int, beside_r: tuple[float, float]) -> DeltaChart:
    condition, observed = sides.conditions[i], sides.observed(i)
    predicted = beside.predicted(model, sides, i)
    note = beside.stand_in(model, condition)
    r = float(pearson(predicted, observed))
    panel = DeltaPanel(beside.names[condition], beside.first.cells.genes, observed, predicted, r, condition.genes, note)
    return DeltaChart(panel, model, int(sides.judge.counts[i]), *beside_r)


def _beside_r(beside: _Beside, conditions: Sequence[Condition]) -> list[tuple[float, float]]:
    """Floor and ceiling of the correlation for each condition: as scored, or else computed here."""
    scores = beside.scores
    if scores is not None and METRIC in scores.metrics and set(conditions) <= set(scores.conditions):
        row, place = scores.row(METRIC), {one: i for i, one in enumerate(scores.conditions)}
        return [(float(scores.floor[row][place[one]]), float(scores.ceiling[row][place[one]])) for one in conditions]
    file = beside.first
    observed = observe(file.cells, file.split, conditions, seed=file.split.seed, effort=QUIET_EFFORT)
    metric, place = METRICS[METRIC], {one: i for i, one in enumerate(observed.conditions)}
    floor, ceiling = nulls.floor(metric, observed), nulls.ceiling(metric, observed)
    return [(float(floor[place[one]]), float(ceiling[place[one]])) for one in conditions]


def _pooled(beside: _Beside, wanted: Wanted) -> Drawn:
    if len(wanted.conditions) > 1:
        raise UsageError(f"--condition {POOLED} draws all conditions; name no other beside it")
    conditions = list(beside.names)
    sides, beside_r = beside.sides(conditions), np.asarray(_beside_r(beside, conditions))
    observed = np.asarray([sides.observed(i) for i in range(len(conditions))])
    predicted = {
        model: np.asarray([beside.predicted(model, sides, i) for i in range(len(conditions))]) for model in beside.files
    }
    ends = [float(f(one)) for one in (observed, *predicted.values()) for f in (np.min, np.max)]
    low, high = min(*ends, 0.0), max(*ends, 0.0)
    margin = 0.03 * (high - low) or 1.0
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    genes = beside.first.cells.genes
    aimed = np.asarray([[gene in one.genes for gene in genes] for one in conditions])
    floor, ceiling = beside_r[:, 0].mean(), np.nanmean(beside_r[:, 1])
    beside_words = f"floor {number(floor, 0)}, ceiling {number(ceiling, 2)}"
    charts = []
    for model, change in predicted.items():
        r = pearson(change, observed)
        targets = np.stack([observed[aimed], change[aimed]], axis=1)
        words = (f"{len(conditions)} conditions, mean r {number(np.nan_to_num(r).mean(), 2)}", beside_words)
        charts.append(PooledChart(model, words, edges, binned(observed.ravel(), change.ravel(), edges), targets))
    width = wanted.width_mm or (NARROW if len(charts) <= 2 else WIDE)
    sheet = pooled_sheet(charts, unit=unit(beside.scale), width_mm=width)
    return Drawn(sheet, _stand_ins(beside, conditions))


def _check_few(chosen: Sequence[Condition], most: int, width_mm: int) -> None:
    if len(chosen) > most:
        raise UsageError(f"{len(chosen)} conditions do not fit on a page of {width_mm} mm; name at most {most}")


def _left_out(beside: _Beside, chosen: Sequence[Condition], wanted: Wanted) -> tuple[str, ...]:
    if wanted.conditions or len(chosen) == len(beside.names):
        return ()
    return (
        f"drawn: {len(chosen)} of {len(beside.names)} conditions, those with most cells; --condition chooses, "
        "--list shows all",
    )


def _stand_ins(beside: _Beside, chosen: Sequence[Condition]) -> tuple[str, ...]:
    """Which of the drawn answers are no answer of the model's own."""
    found = {model: sum(bool(beside.stand_in(model, one)) for one in chosen) for model in beside.files}
    return tuple(
        f"{model}: a stand-in answered {times} of {len(chosen)} drawn conditions"
        for model, times in found.items()
        if times
    )
