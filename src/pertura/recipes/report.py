"""The report, the tables and the cards of a finished run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pertura.comparison.compare import Comparison
from pertura.comparison.roles import is_control, role_of
from pertura.comparison.significance import difference
from pertura.core.atomic import write_text
from pertura.core.perturbation import Condition, spelled
from pertura.data.splits.audit import audit
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.presets import PRESETS, shown
from pertura.evaluation.table import METRICS
from pertura.recipes.cards import card_of
from pertura.recipes.figures import ScreenFigures, score_figures, screen_figures, strata_figure
from pertura.recipes.networks_trained import training_section, training_text
from pertura.recipes.population_section import population_section
from pertura.recipes.prior_question import question_section, question_text
from pertura.recipes.reach import oracle_table, saturation_table
from pertura.recipes.run import Screen
from pertura.recipes.truth import truth_table
from pertura.report.card import render_card
from pertura.report.html import (
    Block,
    Definitions,
    Details,
    FigureBlock,
    Link,
    Links,
    Page,
    Paragraph,
    Section,
    TableBlock,
    Warnings,
    render,
)
from pertura.report.tables import Better, Column, Interval, Row, Table, to_text

BESIDE = (
    "Permuted: the same metric with the labels of the observed cells permuted. Floor: what takes no knowledge. "
    "Ceiling: half of the observed cells against the other half with disjoint controls, corrected to the whole number "
    "of cells. Intervals (95 %) resample conditions, by perturbed gene, and cells."
)


def write_report(screens: tuple[Screen, ...]) -> Path:
    """Write a card for each model and a `report.html` for each screen; return the path of the main report.

    The main report also holds what is most telling of each companion screen.
    """
    for screen in screens:
        for name in screen.predictions:
            write_text(screen.folder / "models" / name / "card.md", render_card(card_of(screen, name)))
    for screen in screens[1:]:
        write_text(screen.folder / "report.html", render(_page((screen,))))
    path = screens[0].folder / "report.html"
    write_text(path, render(_page(screens)))
    return path


def summary_text(screens: tuple[Screen, ...]) -> str:
    """Return the sentence, the table and the warnings of each screen for the terminal."""
    parts = []
    for screen in screens:
        parts.append(f"== {screen.recipe.name}: {screen.recipe.data}\n")
        parts.append(comparison_text(screen.comparison))
        found = truth_table(screen)
        if found is not None:
            parts.append("\n" + to_text(found))
        if screen.question is not None:
            parts.append("\n" + question_text(screen.question, screen.comparison.subset, strata=False))
        if screen.repeats:
            parts.append("\n" + training_text(screen))
        parts.extend(f"warning: {text}" for text in screen.warnings)
        parts.append("")
    return "\n".join(parts)


def comparison_text(comparison: Comparison) -> str:
    """Return the sentence and the table of a comparison for the terminal."""
    remark = f"({comparison.remark})\n" if comparison.remark else ""
    return f"{comparison.sentence}\n{remark}\n{to_text(score_table(comparison, comparison.metric))}"


def score_table(comparison: Comparison, metric: str) -> Table:
    """Return one row per model for one metric, with floor, permuted labels and ceiling as rows of their own.

    Models with a prior stand together; those with a control of a prior are counted, not shown.
    """
    rule, subset = METRICS[metric], comparison.subset
    better: Better = "higher" if rule.higher_is_better else "lower"
    columns = (
        Column("model"),
        Column(metric, "interval", f"{rule.summary}; mean and 95 % interval", better=better),
        Column("permuted labels", "interval", "the same metric on permuted labels: mean, and 95 % of permutations"),
        Column(
            f"against {comparison.first}", "interval", f"paired difference from {comparison.first}; above 0 is better"
        ),
        Column("valid", "count", "conditions with a defined score"),
        Column("represented", "text", "conditions the model answered itself, not with its stand-in"),
    )
    ranked = sorted(comparison.headline, key=lambda one: _order(one, metric, subset))
    rows = [_score_row(comparison, one, metric) for one in ranked]
    beside = ranked[0].beside(metric, subset)
    for name in ("ceiling", "floor"):
        hint = "" if name != "ceiling" or rule.from_half is not None else " (of half the cells)"
        rows.append(Row((f"{name}{hint}", Interval(beside[name]), None, None, None, ""), reference=True))
    return Table(f"{metric} on {_subset_words(comparison)}", columns, _grouped(rows), f"{BESIDE}{_folded(comparison)}")


def _grouped(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with models that have a prior in a group of their own, last but for the references."""
    with_prior = [role_of(str(row.cells[0])) is not None and not row.reference for row in rows]
    if not any(with_prior):
        return tuple(rows)
    names = [
        "references" if row.reference else "with a prior" if has else "without a prior"
        for row, has in zip(rows, with_prior)
    ]
    order = sorted(range(len(rows)), key=lambda i: ("without a prior", "with a prior", "references").index(names[i]))
    return tuple(replace(rows[i], group=names[i]) for i in order)


def _folded(comparison: Comparison) -> str:
    controls = len(comparison.scores) - len(comparison.headline)
    return (
        f" {controls} models with controls of priors are left out here; they stand under 'Do priors help?'."
        if controls
        else ""
    )


def _score_row(comparison: Comparison, scores: Scores, metric: str) -> Row:
    subset = comparison.subset
    one, mine = scores.summary(metric, subset), scores.among(subset)
    gap = difference(scores, comparison.of(comparison.first), metric, subset)
    fallen = [c for c, taken in zip(scores.conditions, mine) if taken and c in scores.fallbacks]
    permuted = scores.permuted_score(metric, subset)
    represented = f"{int(mine.sum()) - len(fallen)} of {int(mine.sum())}"
    marks: tuple[str, ...] = (
        (f"stand-in for {len(fallen)} of {int(mine.sum())}: {_reason(scores, fallen)}",) if fallen else ()
    )
    constant = METRICS[metric].undefined_as
    if one.undefined and constant is not None:
        marks += (f"undefined for {one.undefined} of {one.conditions}, counted as {constant:g}",)
    cells = (
        scores.model,
        Interval(one.value, one.low, one.high),
        Interval(permuted.value, permuted.low, permuted.high),
        Interval(gap.value, gap.low, gap.high) if scores.model != comparison.first else None,
        one.valid,
        represented,
    )
    return Row(cells, marks)


def _reason(scores: Scores, conditions: Sequence[Condition]) -> str:
    """The reason of the first, shortened: which stand-in answered."""
    first = scores.fallbacks[conditions[0]]
    return first if len({scores.fallbacks[one] for one in conditions}) == 1 else f"{first}; and alike"


def metrics_table(comparison: Comparison) -> Table:
    """Return the mean of the telling metrics for every model, with their references; files have all metrics."""
    metrics = _told(comparison)
    columns = [Column("model")]
    for name in metrics:
        better: Better = "higher" if METRICS[name].higher_is_better else "lower"
        columns.append(Column(name, "number", METRICS[name].summary, better=better))
    subset = comparison.subset
    rows = [
        Row((one.model, *(one.summary(name, subset).value if name in one.metrics else None for name in metrics)))
        for one in sorted(comparison.headline, key=lambda one: _order(one, comparison.metric, subset))
    ]
    first = _fullest(comparison)
    for kind in ("ceiling", "floor", "chance"):
        rows.append(Row((kind, *(first.beside(name, subset)[kind] for name in metrics)), reference=True))
    note = (
        "Chance is what a prediction without relation to the labels scores; for errors, its value on permuted labels."
    )
    further = len(first.metrics) - len(metrics)
    note += (
        f" {further} further metrics stand in comparison.csv and in each model's agg_results.csv." if further else ""
    )
    return Table(f"Metrics on {_subset_words(comparison)}", tuple(columns), _grouped(rows), note)


def _fullest(comparison: Comparison) -> Scores:
    """The scores by most metrics: of a prediction of means, those of cells are missing."""
    return max(comparison.scores, key=lambda one: len(one.metrics))


def _told(comparison: Comparison) -> tuple[str, ...]:
    return shown(_fullest(comparison).metrics)


def _order(scores: Scores, metric: str, subset: str) -> tuple[float, str]:
    merit = float(METRICS[metric].merit(np.asarray(scores.summary(metric, subset).value)))
    return (-merit if np.isfinite(merit) else np.inf), scores.model


def _subset_words(comparison: Comparison) -> str:
    scores = comparison.scores[0]
    total, found = len(scores.conditions), int(scores.detectable.sum())
    if comparison.subset == "detectable":
        return f"the {found} of {total} test perturbations with a detectable effect"
    return f"all {total} test perturbations (none has a detectable effect)"


def _page(screens: tuple[Screen, ...]) -> Page:
    main = screens[0]
    figures = screen_figures(main)
    sections = [
        _scores_section(main),
        _strata_section(main),
        population_section(main),
        training_section(main),
        question_section(main.question, main.comparison.subset) if main.question is not None else None,
        _predictions_section(figures),
        _cells_section(figures),
        _split_section(main),
        *(_companion_section(one) for one in screens[1:]),
        _reproduce_section(main),
    ]
    return Page(
        title=f"pertura: {main.recipe.name}",
        headline=main.comparison.sentence + ".",
        lead=_lead(main),
        sections=tuple(one for one in sections if one is not None),
        warnings=_warnings(main),
        footer=f"Split {main.split.name}, fingerprint {main.split.fingerprint[:16]}, seed {main.recipe.seed}.",
    )


def _lead(screen: Screen) -> str:
    cells, split = screen.cells, screen.split
    found, total = int(screen.observed.detectable.sum()), len(screen.observed.conditions)
    return (
        f"{cells.name}: {len(cells):,} cells, {len(cells.genes):,} genes, {len(cells.contexts)} "
        f"{'context' if len(cells.contexts) == 1 else 'contexts'}. {len(split.train)} train, {len(split.valid)} valid "
        f"and {len(split.test)} test perturbations; {found} of {total} judged ones have a detectable effect. "
        "Predicted and observed changes are taken from disjoint control cells."
        + (f" Of the two: {remark}." if (remark := screen.comparison.remark) else "")
    )


def _warnings(screen: Screen) -> tuple[str, ...]:
    brought = tuple(f"about the data: {note}" for note in screen.cells.notes)
    return (*screen.warnings, *audit(screen.split, screen.cells).warnings, *brought)


def _scores_section(screen: Screen) -> Section:
    made = screen.comparison
    others = [name for name in _told(made) if name != made.metric]
    blocks: list[Block] = [
        TableBlock(score_table(made, made.metric)),
        FigureBlock(score_figures(made, (made.metric,))[0]),
        TableBlock(metrics_table(made)),
        Details("The same charts for the other metrics", tuple(map(FigureBlock, score_figures(made, others)))),
    ]
    reached = [one for one in (oracle_table(screen), saturation_table(made)) if one is not None]
    if reached:
        blocks.append(Details("What can be reached, and where baselines reach it", tuple(map(TableBlock, reached))))
    return Section("scores", "Scores", tuple(blocks))


def _strata_section(screen: Screen) -> Section | None:
    if not any(screen.comparison.scores[0].strata.values()):
        return None
    return Section("strata", "By stratum", (FigureBlock(strata_figure(screen.comparison)),))


def _predictions_section(figures: ScreenFigures) -> Section:
    shown = [FigureBlock(figures.scatter), *map(FigureBlock, figures.boxes[:2])]
    rest = tuple(map(FigureBlock, figures.boxes[2:]))
    hidden = (Details(f"Top genes of the other {len(rest)} perturbations", rest),) if rest else ()
    return Section("perturbations", "Predicted and observed change", (*shown, *hidden))


def _cells_section(figures: ScreenFigures) -> Section:
    return Section("cells", "Cells and controls", (FigureBlock(figures.cells), FigureBlock(figures.detectable)))


def _split_section(screen: Screen) -> Section:
    found = audit(screen.split, screen.cells)
    names = spelled(found.exposures, screen.split.contexts)
    rows = tuple(
        Row((names[one], "; ".join(f"{gene}: {', '.join(map(str, ways))}" for gene, ways in seen.ways.items())))
        for one, seen in sorted(found.exposures.items())
    )
    columns = (Column("test perturbation"), Column("how its genes were seen before the test"))
    table = Table("What of test was seen in train or valid", columns, rows)
    options = tuple((name.replace("_", " "), value) for name, value in screen.split.options.items())
    facts = (("rule", screen.split.name), ("seed", str(screen.split.seed)), *options)
    return Section(
        "split", "The split", (Definitions(facts), Details("Test perturbations one by one", (TableBlock(table),)))
    )


def _companion_section(screen: Screen) -> Section:
    made = screen.comparison
    blocks: list[Block] = [Paragraph(made.sentence + ". " + _lead(screen)), TableBlock(score_table(made, made.metric))]
    found = truth_table(screen)
    if found is not None:
        blocks.insert(1, TableBlock(found))
    if screen.warnings:
        blocks.append(Warnings(screen.warnings))
    blocks.append(Links((Link("Full report of this screen", f"{screen.folder.name}/report.html"),)))
    return Section(f"screen-{screen.recipe.name}".lower(), f"The screen {screen.recipe.data}", tuple(blocks))


def _reproduce_section(screen: Screen) -> Section:
    recipe = screen.recipe
    preset = PRESETS[recipe.preset]
    facts = (
        ("recipe", f"{recipe.name} on {recipe.data}"),
        ("preset", f"{preset.name} version {preset.version}"),
        ("emitter", recipe.emitter),
        ("draws", f"{recipe.bootstrap} for intervals, {recipe.permutations} permutations"),
        *(("note", text) for text in screen.comparison.scores[0].notes),
        ("seed", str(recipe.seed)),
    )
    files = [
        Link("recipe.toml", "recipe.toml"),
        Link("split.json", "split.json"),
        Link("comparison.csv", "comparison.csv"),
    ]
    files += [Link("priors.csv", "priors.csv")] if screen.question is not None else []
    files += [Link(f"card of {name}", f"models/{name}/card.md") for name in screen.predictions if not is_control(name)]
    return Section("files", "Files, and how to do it again", (Definitions(facts), Links(tuple(files))))
