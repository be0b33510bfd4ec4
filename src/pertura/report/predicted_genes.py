"""The genes that change most: the predicted change of one or several models over the spread of single cells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from pertura.report.canvas import BLUE, COLOURS, INK, MARKERS, finite_limits, fitted, value_axis, widest
from pertura.report.publication import MM, SMALL, TALLEST, Look, Points, Sheet, key_height, printing
from pertura.report.tables import Column, Row, Table
from pertura.report.wording import as_float, count, shortened

PERCENTILES = (5, 25, 50, 75, 95)
OBSERVED, CONTROL = "observed cells", "control cells"
GREY = "#8b949e"
PLOT_HEIGHT, HEADER, GAP = 108.0, 24.0, 10.0
NAME_ROOM = 46.0
COLUMN = 89 * MM
BOX_WIDTH = 0.62


@dataclass(frozen=True, eq=False)
class PredictedGenes:
    """One perturbation: its genes, the change of single cells behind them, and each model's predicted change.

    `cells` holds for `kind` (observed or control cells) each cell's difference from the control mean. `note` says what
    must be known of the answer.
    """

    title: str
    genes: tuple[str, ...]
    kind: str
    cells: Float[np.ndarray, "cells genes"]
    predicted: tuple[tuple[str, Float[np.ndarray, " genes"]], ...]
    targets: tuple[str, ...] = ()
    note: str = ""

    @property
    def quantiles(self) -> Float[np.ndarray, "percentiles genes"]:
        """Percentiles of the cells' changes."""
        return np.percentile(self.cells, PERCENTILES, axis=0)


def predicted_genes_capacity(width_mm: Points) -> int:
    """Return how many perturbations fit on a page."""
    return _columns(width_mm) * max(1, int((TALLEST - 30) // _block()))


def predicted_genes_sheet(panels: Sequence[PredictedGenes], *, unit: str, width_mm: Points) -> Sheet:
    """Return a chart for each perturbation: its genes from left to right, a box of single cells, a mark per model.

    The dashed line is the mean of the controls. All panels have the same models and kind of cells.
    """
    with printing():
        return _drawn(panels, unit, width_mm)


def predicted_genes_table(panels: Sequence[PredictedGenes]) -> Table:
    """Return what a sheet of these panels shows: a row for each perturbation, gene and model."""
    names = ("perturbation", "gene", "target", "model", "cells")
    numbers = ("predicted_change", *(f"cells_percentile_{one}" for one in PERCENTILES))
    columns = (*(Column(one) for one in names), *(Column(one, "number") for one in numbers))
    rows = [
        Row((one.title, gene, gene in one.targets, model, one.kind, float(change[i]), *one.quantiles[:, i].tolist()))
        for one in panels
        for i, gene in enumerate(one.genes)
        for model, change in one.predicted
    ]
    return Table("predicted change of the genes that change most", columns, tuple(rows))


def _drawn(panels: Sequence[PredictedGenes], unit: str, width_mm: Points) -> Sheet:
    entries = _key(panels[0])
    columns = min(_columns(width_mm), len(panels))
    lines = math.ceil(len(panels) / columns)
    top = key_height([words for words, _ in entries], width_mm * MM) + 4
    sheet = Sheet(width_mm, top + _block() * lines, predicted_genes_table(panels))
    sheet.key(entries, 0)
    step = sheet.width / columns
    for place, panel in enumerate(panels):
        line, column = divmod(place, columns)
        left, upper = step * column, top + _block() * line
        sheet.heading(left + 2, upper + 5, panel.title, step - 8)
        sheet.text(left + 2, upper + 14, fitted(_about(panel), step - 8, SMALL))
        axes = sheet.axes(left + 26, upper + HEADER, step - 32, PLOT_HEIGHT)
        _draw_panel(axes, panel)
        if column == 0:
            axes.set_ylabel(f"change, {unit}")
    return sheet


def _about(panel: PredictedGenes) -> str:
    words = f"n = {count(len(panel.cells))} {panel.kind}"
    return f"{words}; {panel.note}" if panel.note else words


def _columns(width_mm: Points) -> int:
    return max(1, int(width_mm * MM // COLUMN))


def _block() -> float:
    return HEADER + PLOT_HEIGHT + NAME_ROOM + GAP


def _looks(models: int) -> list[Look]:
    return [
        {"color": COLOURS[i % 4], "marker": MARKERS[(i + i // 4) % 4], "ms": 3.4, "mec": "white", "mew": 0.4, "ls": ""}
        for i in range(models)
    ]


def _key(panel: PredictedGenes) -> list[tuple[str, Look]]:
    box: Look = {"color": _box_colour(panel), "lw": 4, "alpha": 0.4}
    names = [shortened(f"predicted: {model}", 44) for model, _ in panel.predicted]
    return [
        (f"{panel.kind}: middle half, median, 5th to 95th percentile", box),
        *zip(names, _looks(len(names)), strict=True),
        ("mean of the controls", {"color": INK, "lw": 0.7, "ls": (0, (3, 2))}),
    ]


def _box_colour(panel: PredictedGenes) -> str:
    return BLUE if panel.kind == OBSERVED else GREY


def _draw_panel(axes: Axes, panel: PredictedGenes) -> None:
    quantiles, colour = panel.quantiles, _box_colour(panel)
    drawn = [as_float(float(one)) for one in quantiles.ravel()]
    drawn += [float(one) for _, change in panel.predicted for one in change]
    value_axis(axes, "y", finite_limits([*drawn, 0.0], margin=0.06))
    axes.set_xlim(-0.6, len(panel.genes) - 0.4)
    axes.axhline(0.0, color=INK, lw=0.7, ls=(0, (3, 2)), zorder=1)
    for i, (low, lower, median, upper, high) in enumerate(quantiles.T.tolist()):
        axes.plot([i, i], [low, high], color=colour, lw=0.6, zorder=2)
        axes.bar(i, upper - lower, BOX_WIDTH, bottom=lower, color=colour, alpha=0.35, lw=0, zorder=3)
        axes.plot([i - BOX_WIDTH / 2, i + BOX_WIDTH / 2], [median, median], color=colour, lw=0.9, zorder=4)
    for k, ((_, change), look) in enumerate(zip(panel.predicted, _looks(len(panel.predicted)), strict=True)):
        aside = (k - (len(panel.predicted) - 1) / 2) * 0.28  # two models that agree must both be seen
        axes.plot(np.arange(len(change)) + aside, change, zorder=6, clip_on=False, **look)
    names = [fitted(one, NAME_ROOM - 6, SMALL) for one in panel.genes]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    for label, gene in zip(axes.get_xticklabels(), panel.genes, strict=True):
        label.set_fontweight("bold" if gene in panel.targets else "normal")
    assert widest(names, SMALL) <= NAME_ROOM + 6
