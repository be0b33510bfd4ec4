"""A full page of made-up numbers, as a run would fill it."""

import numpy as np

from pertura.report.deltas import DeltaPanel, delta_scatter, top_genes_box
from pertura.report.figure import Figure
from pertura.report.html import (
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
)
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
from pertura.report.tables import Column, Interval, Row, Table

HOSTILE = "<script>alert(1)</script>\"' onload=x &amp; $x^2$ \x1b[31m"
MODELS = ("no-change", "additive", "linear", HOSTILE)


def scores_table() -> Table:
    columns = (
        Column("model"),
        Column("pearson_delta", "interval", hint="correlation of changes", better="higher"),
        Column("mse", "number", better="lower"),
        Column("valid", "count"),
        Column("detectable", "flag"),
    )
    rows = (
        Row(("no-change", Interval(None), 0.00612, 0, False), group="without features"),
        Row(("additive", Interval(0.5, 0.4, 0.6), 0.0041, 1400, True), ("7 of 14 answered with the train mean",)),
        Row((HOSTILE, Interval(float("nan"), 0.1, 0.2), float("nan"), None, None), (HOSTILE,)),
        Row(("linear", Interval(0.5004, 0.41, None), 0.0039, 14, True), group="without features"),
        Row(("ceiling", Interval(0.8, 0.7, 0.9), 0.0001, 14, None), group="references", reference=True),
    )
    return Table(f"Scores {HOSTILE}", columns, rows, note="A note.")


def panel(title: str, genes: int = 60, constant: bool = False, seed: int = 0) -> DeltaPanel:
    rng = np.random.default_rng(seed)
    observed = rng.normal(size=genes)
    predicted = np.zeros(genes) if constant else observed * 0.5 + rng.normal(size=genes) * 0.1
    names = tuple(HOSTILE if i == 0 else f"GENE{i}" for i in range(genes))
    return DeltaPanel(title, names, observed, predicted, None if constant else 0.9, targets=("GENE3",))


def figures() -> list[Figure]:
    rng = np.random.default_rng(1)
    intervals = [Interval(None), Interval(0.4, 0.3, 0.5), Interval(0.6, None, None), Interval(0.2, -0.1, 0.5)]
    rows = [ScoreRow(name, one, mark=HOSTILE if i == 1 else "") for i, (name, one) in enumerate(zip(MODELS, intervals))]
    references = References(0.0, Interval(0.02, -0.1, 0.1), Interval(0.8, 0.7, 0.9), 0.0)
    strata = [Stratum("seen 0 of 2", 5, tuple(intervals), 0.0, 0.8), Stratum(HOSTILE, 2, (None,) * 4)]
    observed = [rng.normal(size=30) for _ in range(5)]
    genes = ["KLF1", "SET", HOSTILE, "HBZ", "GATA1"]
    return [
        score_chart(rows, references, title=HOSTILE, better="higher"),
        stratum_chart(MODELS, strata, title="pearson_delta", better="higher"),
        delta_scatter([panel("KLF1"), panel(HOSTILE, constant=True)], title="linear"),
        top_genes_box(genes, observed, {"linear": [0.1] * 5, HOSTILE: [None, 0.2, 0.1, 0.0, 1.0]}, title="KLF1"),
        cells_chart([ContextCells("K562", 500, 60, 60), ContextCells(HOSTILE, 5, 0, 0)]),
        detectable_chart(["KLF1", HOSTILE, "SET"], [0.001, None, 0.7]),
    ]


def page() -> Page:
    drawn = figures()
    blocks = (Paragraph(HOSTILE), TableBlock(scores_table()), *map(FigureBlock, drawn))
    again = Details("again", (*map(FigureBlock, drawn), Definitions(((HOSTILE, HOSTILE),))))
    links = Links((Link("comparison", "comparison.csv", HOSTILE), Link("trick", "javascript:alert(1)")))
    return Page(
        title=HOSTILE,
        headline="linear ties with additive",
        lead="Two models were judged.",
        sections=(
            Section("scores", "Scores", blocks),
            Section("more", HOSTILE, (again, links, Warnings((HOSTILE,)))),
        ),
        warnings=("One thing to know.", HOSTILE),
        footer="made by pertura",
    )
