"""Made-up figures for print, and what can be measured on any of them."""

import re
import zlib
from collections.abc import Callable
from functools import cache
from itertools import combinations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from pertura.report.delta_sheet import DeltaChart, PooledChart, binned, delta_sheet, pooled_sheet
from pertura.report.deltas import DeltaPanel
from pertura.report.plots import References
from pertura.report.publication import Sheet, printing
from pertura.report.score_grid import Mark, ScoreColumn, ScoreGrid, score_sheet
from pertura.report.tables import Interval
from pertura.report.top_genes import CONTROL, OBSERVED, PREDICTED, CellGroup, TopGenesPanel, top_genes_sheet

NAN = float("nan")
UNIT = "ln(1 + counts per 10,000)"
MODELS = ("no-change", "additive", "ridge+go-all+expression", "a-model-with-a-name-that-no-column-has-room-for")
METRICS = ("pearson_delta", "mse", "discrimination_score_cosine", "pearson_perturbation_mean_without_targets", "nir")


def change(genes: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_t(2, genes) * 0.1


def delta_chart(title: str = "KLF1+SET", genes: int = 200, seed: int = 1, **given: object) -> DeltaChart:
    names = tuple(f"GENE{i}" for i in range(genes))
    observed, predicted = change(genes, seed), change(genes, seed + 1) + change(genes, seed)
    panel = DeltaPanel(title, names, observed, predicted, 0.62, names[:2], str(given.pop("note", "")))
    return DeltaChart(panel, **{"model": "additive", "cells": 123, "floor": 0.0, "ceiling": 0.84, **given})


def pooled_chart(title: str = "additive", seed: int = 1) -> PooledChart:
    observed, predicted = change(4000, seed), change(4000, seed + 1)
    edges = np.linspace(-4.0, 4.0, 61)
    inside = (np.abs(observed) < 4) & (np.abs(predicted) < 4)
    counts = binned(observed[inside], predicted[inside], edges)
    return PooledChart(title, ("31 conditions, mean r 0.37", "floor 0, ceiling 0.84"), edges, counts, np.ones((3, 2)))


def top_genes_panel(title: str = "POU3F2", models: int = 1, genes: int = 20, seed: int = 1) -> TopGenesPanel:
    rng = np.random.default_rng(seed)
    names = tuple(f"LONGNAME{i}" if i % 3 else f"G{i}" for i in range(genes))
    groups = [
        CellGroup(CONTROL, rng.gamma(1.0, 1.0, (50, genes))),
        CellGroup(OBSERVED, rng.gamma(1.5, 1.0, (80, genes))),
    ]
    for i in range(models):
        cells = rng.gamma(1.2, 1.0, (1 if i else 60, genes))
        groups.append(CellGroup(PREDICTED, cells, f"model-{i}", "not known to it" if i else ""))
    return TopGenesPanel(title, names, np.linspace(2, 0.1, genes), tuple(groups), names[:1])


def mark(seed: int, scale: float = 1.0, **given: object) -> Mark:
    rng = np.random.default_rng(seed)
    value = abs(rng.normal()) * scale
    score = Interval(value, value * 0.7, value * 1.4)
    return Mark(score, Interval(value * 0.2, value * 0.1, value * 0.3), **{"conditions": 14, "valid": 14, **given})


def score_grid(columns: int = 5, models: int = 4, *, shared: bool = False, **given: object) -> ScoreGrid:
    names = (MODELS * 20)[:models]
    made = [
        ScoreColumn(
            METRICS[i % 5],
            "n = 14, ceiling of half",
            References(floor=0.5, ceiling=Interval(1.7)),
            tuple(mark(100 * i + k, stand_ins=k % 2) for k in range(models)),
            ("higher", "lower", "nearer")[i % 3],
        )
        for i in range(columns)
    ]
    axis = "pearson_delta" if shared else ""
    note = "n: the 14 of 16 test conditions with a detectable effect. " * 2
    return ScoreGrid("metric", names, tuple(made), shared, axis, **{"note": note, **given})


def several() -> list[DeltaChart]:
    return [delta_chart(f"GENE{i}+GENE{i + 1}", seed=i, model=MODELS[i % 2], note="x" * (i % 2)) for i in range(4)]


def beside_one_another(width: int) -> list[TopGenesPanel]:
    return [top_genes_panel(f"P{i}", 2, seed=i) for i in range(1 if width < 100 else 3)]


SHEETS: dict[str, Callable[[int], Sheet]] = {
    "delta": lambda width: delta_sheet([delta_chart(f"P{i}", seed=i) for i in range(4)], unit=UNIT, width_mm=width),
    "delta of one": lambda width: delta_sheet([delta_chart()], unit=UNIT, width_mm=width),
    "delta of two models": lambda width: delta_sheet(several(), unit=UNIT, width_mm=width),
    "pooled": lambda width: pooled_sheet([pooled_chart(), pooled_chart("linear", 3)], unit=UNIT, width_mm=width),
    "top genes": lambda width: top_genes_sheet([top_genes_panel()], unit=f"expression, {UNIT}", width_mm=width),
    "top genes of several": lambda width: top_genes_sheet(beside_one_another(width), unit=UNIT, width_mm=width),
    "metrics": lambda width: score_sheet(score_grid(), width_mm=width),
    "strata": lambda width: score_sheet(score_grid(4, 12, shared=True), width_mm=width),
}
"""Each kind of figure, alone and several together, by width."""


@cache
def made(width: int, name: str) -> Sheet:
    """One of the figures; drawn once, to be looked at and not changed."""
    return SHEETS[name](width)


class Listening(FigureCanvasAgg):
    """A canvas that notes the words drawn on it; ticks beyond the ends of an axis are not drawn."""

    def words(self) -> list[Text]:
        renderer, heard = self.get_renderer(), []
        renderer.draw_text = lambda *_, mtext=None, **__: heard.append(mtext)
        self.figure.draw(renderer)
        return [one for one in heard if one is not None]


def placed(sheet: Sheet) -> list[tuple[str, float, tuple[float, float, float, float]]]:
    """The words on a sheet: what they say, their size and their box, in points from the lower left corner."""
    with printing():
        canvas = Listening(sheet.canvas.drawing)
        boxes = [(one, one.get_window_extent(canvas.get_renderer())) for one in canvas.words()]
    return [(one.get_text(), one.get_fontsize(), (box.x0, box.y0, box.x1, box.y1)) for one, box in boxes]


def overlaps(sheet: Sheet, slack: float = 0.6) -> list[tuple[str, str]]:
    """The pairs of words that lie over one another."""
    return [
        (first[0], second[0])
        for first, second in combinations(placed(sheet), 2)
        if all(first[2][k] + slack < second[2][k + 2] and second[2][k] + slack < first[2][k + 2] for k in (0, 1))
    ]


STRING = rb"\(((?:\\.|[^\\)])*)\)"


def words_of_pdf(content: bytes) -> str:
    """The letters that a PDF shows as text, one string after another, without spaces."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            text = zlib.decompress(stream)
        except zlib.error:
            continue
        shown = [*re.findall(rb"\[(.*?)\]\s*TJ", text, re.DOTALL), *re.findall(STRING + rb"\s*Tj", text, re.DOTALL)]
        found += [b"".join(re.findall(STRING, one, re.DOTALL)) or one for one in shown]
    plain = re.sub(rb"\\(.)", rb"\1", b"".join(found)).replace(b"\x00", b"")
    return plain.decode("latin-1").replace(" ", "")
