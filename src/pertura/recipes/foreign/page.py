"""The page of foreign predictions under the presets of this package."""

from pathlib import Path

from pertura.core.atomic import write_text
from pertura.core.perturbation import spelled
from pertura.evaluation.presets import PRESETS
from pertura.evaluation.table import METRICS
from pertura.metrics.delta import pearson
from pertura.recipes.figures import score_figures, strata_figure
from pertura.recipes.foreign.judging import Judgement
from pertura.recipes.foreign.rank_tests import FILES
from pertura.recipes.report import metrics_table, score_table
from pertura.report.deltas import DeltaPanel, delta_scatter
from pertura.report.figure import Figure
from pertura.report.html import Block, Definitions, Details, FigureBlock, Link, Links, Page, Section, TableBlock, render
from pertura.report.plots import detectable_chart
from pertura.report.tables import Column, Row, Table

MOST_PANELS = 9


def write_page(made: Judgement, out: Path) -> None:
    """Write `report.html` beside the other files of a judgement."""
    tables = tuple(name for name in FILES.values() if (out / name).exists())
    write_text(out / "report.html", render(_page(made, tables)))


def _page(made: Judgement, tables: tuple[str, ...]) -> Page:
    comparison, observed = made.comparison, made.observed
    found, total = int(observed.detectable.sum()), len(observed.conditions)
    preset = comparison.scores[0].preset
    lead = (
        f"{made.cells.name}: {len(made.cells):,} observed cells, {len(observed.genes):,} genes; {total} judged "
        f"conditions, {found} with a detectable effect. Predicted and observed changes are taken from disjoint control "
        "cells."
    )
    sections = [_scores(made), _strata(made), _conditions(made), _computed(made), _files(made, tables)]
    return Page(
        title=f"pertura: {made.predictions[0].provenance.model}",
        headline=comparison.sentence + ".",
        lead=lead + (f" {comparison.remark[0].upper()}{comparison.remark[1:]}." if comparison.remark else ""),
        sections=tuple(one for one in sections if one is not None),
        warnings=made.warnings,
        footer=f"Preset {preset}; split {made.split.fingerprint[:16]}, seed {observed.seed}.",
    )


def _scores(made: Judgement) -> Section:
    comparison = made.comparison
    others = [name for name in comparison.scores[0].metrics if name != comparison.metric]
    more = tuple(map(FigureBlock, score_figures(comparison, others)))
    blocks: list[Block] = [
        TableBlock(score_table(comparison, comparison.metric)),
        FigureBlock(score_figures(comparison, (comparison.metric,))[0]),
        TableBlock(metrics_table(comparison)),
    ]
    blocks += [Details("The same charts for the other metrics", more)] if more else []
    return Section("scores", "Scores", tuple(blocks))


def _strata(made: Judgement) -> Section | None:
    if not any(made.comparison.scores[0].strata.values()):
        return None
    return Section("strata", "By stratum", (FigureBlock(strata_figure(made.comparison)),))


def _conditions(made: Judgement) -> Section:
    names = spelled(made.observed.conditions, made.split.contexts)
    labels = [names[one] for one in made.observed.conditions]
    chart = detectable_chart(labels, list(made.observed.effect_p))
    blocks = (FigureBlock(_scatter(made, labels)), Details("Which effects are detectable", (FigureBlock(chart),)))
    return Section(
        "conditions", "Condition by condition", (*blocks, Details("Every condition", (_table(made, labels),)))
    )


def _scatter(made: Judgement, labels: list[str]) -> Figure:
    observed, prediction = made.observed, made.predictions[0]
    order = sorted(range(len(labels)), key=lambda i: (observed.effect_p[i], labels[i]))[:MOST_PANELS]
    panels = []
    for i in order:
        condition = observed.conditions[i]
        change = observed.means[i] - observed.controls[i]
        predicted = prediction.mean(condition) - observed.model_controls[i]
        r = float(pearson(predicted, change))
        panels.append(DeltaPanel(labels[i], observed.genes, change, predicted, r, condition.genes))
    left = len(labels) - len(panels)
    title = f"Change predicted by {prediction.provenance.model} against observed"
    return delta_scatter(panels, title=title, note=f"{left} further conditions are not drawn." if left else "")


def _table(made: Judgement, labels: list[str]) -> TableBlock:
    scores = made.scores
    columns = [Column("condition"), Column("cells", "count"), Column("p of an effect", "number")]
    columns += [Column(name, "number", METRICS[name].summary) for name in scores.metrics]
    rows = [
        Row((label, scores.counts[i], float(scores.effect_p[i]), *(float(one) for one in scores.values[:, i])))
        for i, label in enumerate(labels)
    ]
    return TableBlock(Table("Scores of each condition", tuple(columns), tuple(rows)))


def _computed(made: Judgement) -> Section:
    scores = made.scores
    preset = PRESETS[scores.preset.partition("/")[0]]
    facts: tuple[tuple[str, str], ...] = (
        ("preset", f"{preset.name} version {preset.version}"),
        ("draws", f"{scores.bootstrap.shape[1]} for intervals, {scores.permuted.shape[1]} permutations"),
        ("controls", "shared by both sides" if scores.shared_controls else "disjoint halves for the two sides"),
        ("seed", str(scores.seed)),
    )
    facts += tuple(("note", one) for one in scores.notes)
    facts += tuple((f"not scored: {name}", why) for name, why in scores.undone.items())
    meaning = tuple((name, METRICS[name].summary) for name in scores.metrics)
    blocks = (Definitions(facts), Details("What the metrics are", (Definitions(meaning),)))
    return Section("computed", "How it was computed", blocks)


def _files(made: Judgement, tables: tuple[str, ...]) -> Section:
    names = ("results.csv", "agg_results.csv", "comparison.csv", "scores.json", *tables)
    links = [Link(name, name) for name in names]
    links += [
        Link(f"scores of {one.model}", f"models/{one.model}/scores/results.csv") for one in made.comparison.scores
    ]
    return Section("files", "Files", (Links(tuple(links)),))
