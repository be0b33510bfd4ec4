"""The page of a judgement by another evaluator's rules: what its numbers are worth, before the numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from pertura.core.atomic import write_text
from pertura.evaluation.compatible.altered import label_means
from pertura.evaluation.compatible.cell_eval_files import TEST_FILES
from pertura.evaluation.compatible.worth import WHOLE, MetricWorth, numbers
from pertura.metrics.delta import pearson
from pertura.recipes.foreign.compatible import Answer
from pertura.recipes.foreign.compatible_files import NEEDS_TRAIN, as_interval, prefix_of, reference_names
from pertura.report.deltas import DeltaPanel, delta_scatter
from pertura.report.figure import Figure
from pertura.report.html import Block, Definitions, Details, FigureBlock, Link, Links, Page, Section, TableBlock, render
from pertura.report.plots import References, ScoreRow, score_chart
from pertura.report.tables import Better, Cell, Column, Interval, Kind, Row, Table, to_text
from pertura.report.wording import number

MOST_PANELS = 9
LEADING = ("no-change", "leave-one-out-mean", "train-mean", "additive", "linear")
SHARED = ("inflation", "inflated null")
KINDS: Mapping[str, Kind] = {
    "permuted labels": "interval",
    "difference": "interval",
    "best reference": "text",
    "valid": "count",
}
REFERENCE_HINTS = {
    "no-change": "predicts the mean of the control cells for every label",
    "leave-one-out-mean": "predicts the mean of the other observed labels, which no model may see",
    "train-mean": "predicts the mean change over all train perturbations",
    "additive": "predicts the sum of the changes of the genes of a pair",
    "linear": "predicts by a linear model on principal components of the train cells",
}
HINTS = {
    "score": "mean over the labels that have a number, with its 95 % interval",
    "best reference": "the best of all predictions that know nothing of the model",
    "difference": "paired difference from the best reference, positive where the prediction is better",
    "permuted labels": "the same metric after the labels of the observed cells were permuted; 95 % of permutations",
    "ceiling": "half of the observed cells of each label against the other half, with disjoint control cells",
    "scaled": "0 at the best reference, 1 at the ceiling; empty where the ceiling is not the better of the two",
    "inflation": "how much better the score is with the control cells as they are than with disjoint halves of them",
    "inflated null": "the same for the leave-one-out mean on permuted labels: what sharing control cells alone earns",
    "valid": "labels with a number",
}


def sentence(answer: Answer) -> str:
    """Return in one sentence what the headline number is worth."""
    row = headline(answer)
    if row is None:
        return f"{answer.model}: no metric of preset {answer.preset.name} could be computed"
    score = f"{answer.model} has {row.metric.name} {number(row.score.value)}{_ends(row.score.low, row.score.high)}"
    if not row.best_reference:
        return f"{score}; {row.left_out or 'no reference has a score to hold it against'}"
    base = row.references[row.best_reference]
    gap = row.difference
    if math.isfinite(gap.low) and gap.low > 0:
        verdict = "better than"
    elif math.isfinite(gap.high) and gap.high < 0:
        verdict = "worse than"
    elif math.isfinite(gap.low):
        verdict = "not told apart from"
    else:
        verdict = "better than" if gap.value > 0 else "worse than"
    return f"{score}: {verdict} {_called(row.best_reference)}, which has {number(base)}"


def _ends(low: float, high: float) -> str:
    return f" [{number(low)}, {number(high)}]" if math.isfinite(low) and math.isfinite(high) else ""


def headline(answer: Answer) -> MetricWorth | None:
    """Return the metric that heads the page: that of the preset, or the first there is."""
    rows = {one.metric.name: one for one in answer.worth.metrics if math.isfinite(one.score.value)}
    return rows.get(answer.preset.headline, next(iter(rows.values()), None))


def answer_text(answers: Sequence[Answer]) -> str:
    """Return sentence, table and warnings for the terminal."""
    parts = []
    for one in answers:
        title = f"== {one.context}\n\n" if one.context else ""
        parts.append(f"{title}{sentence(one)}\n\n{to_text(short_table(one))}")
        parts += [f"warning: {text}" for text in one.warnings]
    return "\n".join(parts)


def write_page(answers: Sequence[Answer], out: Path) -> None:
    """Write `report.html`."""
    write_text(out / "report.html", render(_page(answers)))


def short_table(answer: Answer) -> Table:
    """Return metric x (score, references, permuted labels, ceiling, inflation), as wide as a terminal."""
    shown = ("permuted labels", "ceiling", "inflation", "inflated null")
    return _table(answer, ("no-change", "leave-one-out-mean", "train-mean"), shown, marked=False)


def _table(answer: Answer, references: Sequence[str], shown: Sequence[str], *, marked: bool) -> Table:
    """One row for each metric: its score, some references, and what else is shown beside it."""
    names = [one for one in references if one in reference_names(answer)]
    columns = [Column("metric"), Column("score", "interval", HINTS["score"])]
    columns += [Column(_spaced(name), "number", REFERENCE_HINTS.get(name, "")) for name in names]
    columns += [Column(one, KINDS.get(one, "number"), HINTS[one]) for one in shown]
    rows = []
    for one in answer.worth.metrics:
        beside = _beside(one)
        cells = (*(one.references.get(name) for name in names), *(beside[name] for name in shown))
        first = f"{one.metric.name} {_arrow(one)}"
        rows.append(Row((first, as_interval(one.score), *cells), _marks(one) if marked else _left_out(one)))
    return Table(_title(answer), tuple(columns), tuple(rows), _note(answer))


def _called(name: str) -> str:
    """A reference in a sentence."""
    return {"no-change": "no change", "leave-one-out-mean": "the leave-one-out mean"}.get(name, f"the baseline {name}")


def _beside(row: MetricWorth) -> dict[str, Cell]:
    return {
        "permuted labels": as_interval(row.permuted),
        "ceiling": row.ceiling,
        "scaled": row.scaled,
        "inflation": row.inflation,
        "inflated null": row.inflated_null,
        "valid": row.valid,
        "best reference": _spaced(row.best_reference),
        "difference": as_interval(row.difference),
    }


def _spaced(name: str) -> str:
    return name.replace("leave-one-out-mean", "leave-one-out mean").replace("no-change", "no change")


def _title(answer: Answer) -> str:
    where = f", context {answer.context}" if answer.context else ""
    return f"{answer.preset.name} on {len(answer.judged.labels)} labels{where}"


def _arrow(row: MetricWorth) -> str:
    return "\N{UPWARDS ARROW}" if row.metric.best else "\N{DOWNWARDS ARROW}"


def _note(answer: Answer) -> str:
    halves = [one.metric.name for one in answer.worth.metrics if one.metric.name not in WHOLE]
    said = []
    if not answer.trained:
        said.append(f"Train mean, additive and linear models: {NEEDS_TRAIN}.")
    said.append("The leave-one-out mean sees observed cells of the other labels, which no model may.")
    if halves:
        said.append(
            "The ceiling is that of half the cells, a lower bound, but for correlations of deltas and errors of means: "
            "there it is brought to all cells."
        )
    return " ".join(said)


# ---- the page


def _page(answers: Sequence[Answer]) -> Page:
    first = answers[0]
    several = len(answers) > 1
    sections = tuple(section for one in answers for section in _sections(one, several))
    told = tuple(
        f"{one.context}: {text}" if several else text for one in answers for text in dict.fromkeys(one.warnings)
    )
    return Page(
        title=f"pertura: {first.model}, {first.preset.name}",
        headline=". ".join(f"{one.context}: {sentence(one)}" if several else sentence(one) for one in answers) + ".",
        lead=_lead(first),
        sections=(*sections, _computed(first), _files(answers)),
        warnings=tuple(dict.fromkeys(told)),
        footer=f"Preset {first.preset.name}, numbers of {first.preset.version}; seed {first.study.seed}.",
    )


def _lead(answer: Answer) -> str:
    sides, shared = answer.sides, answer.worth.shared_controls
    called = answer.worth.called
    flood = (
        f" {called['predicted']:,.0f} genes are significant in the prediction, {called['observed']:,.0f} in the "
        f"observed cells: {number(answer.worth.calls_ratio, 2)} to 1."
        if called
        else ""
    )
    return (
        f"{len(sides.predicted.codes):,} predicted and {len(sides.observed.codes):,} observed cells, "
        f"{len(sides.observed.genes):,} genes, {len(answer.judged.labels)} labels beside control "
        f"({sides.observed.control}). The rules of {answer.preset.name} subtract one pool of control cells; "
        f"{shared:.0%} of the predicted control cells are observed ones.{flood}"
    )


def _sections(answer: Answer, several: bool) -> list[Section]:
    mark = f"-{_id(answer.context)}" if several else ""
    where = f": {answer.context}" if several else ""
    row = headline(answer)
    blocks: list[Block] = [TableBlock(_worth(answer))]
    if row is not None:
        blocks.append(FigureBlock(_chart(answer, row)))
    if answer.scale is not None:
        blocks.append(TableBlock(_published(answer.scale)))
    blocks.append(TableBlock(_references(answer)))
    each: list[Block] = [FigureBlock(_scatter(answer)), Details("Every label", (TableBlock(_labels(answer)),))]
    return [
        Section(f"worth{mark}", f"What the numbers are worth{where}", tuple(blocks)),
        Section(f"labels{mark}", f"Label by label{where}", tuple(each)),
    ]


def _id(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower()) or "unnamed"


def _worth(answer: Answer) -> Table:
    made = _table(answer, LEADING, ("permuted labels", "ceiling", "scaled", *SHARED, "valid"), marked=True)
    known = {one.name for one in answer.preset.metrics}
    missing = [(name, why) for name, why in answer.judged.undone.items() if name in known]
    empty = (None,) * (len(made.columns) - 1)
    return replace(made, rows=(*made.rows, *(Row((name, *empty), (why,), reference=True) for name, why in missing)))


def _left_out(row: MetricWorth) -> tuple[str, ...]:
    return (row.left_out,) if row.left_out else ()


def _marks(row: MetricWorth) -> tuple[str, ...]:
    said = list(_left_out(row))
    if row.resampled == "conditions" and not row.left_out:
        said.append("interval over labels only: redrawing cells is left out at this size")
    if row.resampled == "cells":
        said.append("one number for the whole screen: its interval redraws cells only")
    if row.valid < row.labels:
        said.append("undefined for some labels, which are left out of the mean")
    return tuple(said)


def _references(answer: Answer) -> Table:
    names = [one for one in reference_names(answer) if one not in LEADING]
    made = _table(answer, names, ("best reference", "difference"), marked=False)
    notes = [f"{_spaced(one.name)}: {one.note}." for one in answer.study.references if one.note]
    emitted = "Where a metric looks at cells, references are control cells shifted to the predicted mean."
    return replace(made, caption="Against the best reference", note=" ".join([emitted, *notes]))


def _published(scale: pd.DataFrame) -> Table:
    columns = (Column("metric"), *(Column(str(one), "number") for one in scale.columns[1:]))
    rows = [Row(tuple(one)) for one in scale.itertuples(index=False)]
    total = Row(("mean of all", *([None] * (len(columns) - 2)), float(scale["scaled"].mean())), reference=True)
    note = "0 is the published baseline, the mean response; 1 is half of the observed cells for the other half."
    return Table("On the published scale", columns, (*rows, total), note)


def _chart(answer: Answer, row: MetricWorth) -> Figure:
    mine = ScoreRow(answer.model, as_interval(row.score), as_interval(row.permuted))
    others = [ScoreRow(name, Interval(value)) for name, value in row.references.items()]
    better: Better = "higher" if row.metric.best else "lower"
    return score_chart([mine, *others], References(ceiling=Interval(row.ceiling)), title=row.metric.name, better=better)


def _labels(answer: Answer) -> Table:
    names = list(answer.judged.columns)
    sizes = [side.counts for side in (answer.sides.predicted, answer.sides.observed)]
    columns = [Column("label"), Column("predicted cells", "count"), Column("observed cells", "count")]
    columns += [Column(name, "number") for name in names]
    values = {name: numbers(column) for name, column in answer.judged.columns.items()}
    rows = [
        Row((label, sizes[0].get(label, 0), sizes[1].get(label, 0), *(float(values[name][i]) for name in names)))
        for i, label in enumerate(answer.judged.labels)
    ]
    return Table("Numbers of each label", tuple(columns), tuple(rows), "A dash is undefined or has no entry.")


def _scatter(answer: Answer) -> Figure:
    """Predicted against observed change of the labels that changed most, each side against its own control."""
    predicted, observed = (_deltas(side, answer) for side in ("predicted", "observed"))
    labels = answer.judged.labels
    order = np.argsort(-np.linalg.norm(np.nan_to_num(observed), axis=1), kind="stable")[:MOST_PANELS]
    genes = answer.sides.observed.genes
    panels = [
        DeltaPanel(labels[i], genes, observed[i], predicted[i], float(pearson(predicted[i], observed[i])), (labels[i],))
        for i in order
    ]
    left = len(labels) - len(panels)
    note = f"The {len(panels)} labels that changed most; {left} more are not drawn." if left else ""
    return delta_scatter(panels, title=f"Change predicted by {answer.model} against observed", note=note)


def _deltas(side: str, answer: Answer) -> Float[np.ndarray, "labels genes"]:
    cells = answer.sides.predicted if side == "predicted" else answer.sides.observed
    means = label_means(cells, [(cells.codes, np.ones_like(cells.codes))])[0]
    place = {label: i for i, label in enumerate(cells.labels)}
    rows = [place[label] for label in answer.judged.labels]
    return means[rows] - means[place[cells.control]]


def _computed(answer: Answer) -> Section:
    facts = [(one.name, one.summary) for one in answer.preset.metrics]
    runs = [
        (
            f"{tier}: asked again",
            f"{one.permutations} permutations, {one.halves} halves, {one.draws} redraws, {one.cuts} cuts of controls"
            if one.any
            else "left out at this size: --effort more",
        )
        for tier, one in answer.worth.runs.items()
    ]
    rules = (
        ("preset", f"{answer.preset.name}: the numbers of {answer.preset.version}"),
        ("seed", str(answer.study.seed)),
    )
    blocks: tuple[Block, ...] = (
        Definitions((*rules, *runs)),
        Details("What the metrics are", (Definitions(tuple(facts)),)),
    )
    return Section("computed", "How it was computed", blocks)


def _files(answers: Sequence[Answer]) -> Section:
    links = []
    for one in answers:
        prefix = prefix_of(one.context)
        scaled = ["scaled.csv"] if one.scale is not None else []
        names = ["results.csv", "agg_results.csv", *scaled, *(TEST_FILES[side] for side in one.judged.tests)]
        links += [Link(f"{prefix}{name}", f"{prefix}{name}") for name in names]
    links += [Link("worth.csv", "worth.csv"), Link("scores.json", "scores.json")]
    return Section("files", "Files", (Links(tuple(links)),))
