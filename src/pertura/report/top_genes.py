"""The genes that changed most: expression of control, observed and predicted cells side by side, for print."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from pertura.core.errors import UsageError
from pertura.report.canvas import BLUE, COLOURS, GRID, INK, finite_limits, fitted, value_axis, widest
from pertura.report.publication import MM, SMALL, TALLEST, Look, Points, Sheet, key_height, printing
from pertura.report.tables import Column, Row, Table
from pertura.report.wording import Number, as_float, count, shortened

CONTROL, OBSERVED, PREDICTED = "control", "observed", "predicted"
PERCENTILES = (5, 25, 50, 75, 95)
BOX, GAP = 3.2, 3.6
HEADER, FOOTER = 28.0, 24.0
NARROWEST = 55 * MM
NAME_ROOM = 58.0
GREY = "#8b949e"

Values = Float[np.ndarray, "cells genes"]


@dataclass(frozen=True, eq=False)
class CellGroup:
    """Expression of the cells of one kind; a predicted group names its model, and where a stand-in answered for it.

    A single row is a mean without cells.
    """

    kind: str
    cells: Values
    model: str = ""
    stand_in: str = ""

    @property
    def name(self) -> str:
        """The kind, and the model where there is one."""
        return f"{self.kind}: {self.model}" if self.model else self.kind


@dataclass(frozen=True, eq=False)
class TopGenesPanel:
    """One condition: genes, the observed change that they were chosen by, and the groups of cells to draw."""

    title: str
    genes: tuple[str, ...]
    change: Float[np.ndarray, " genes"]
    groups: tuple[CellGroup, ...]
    targets: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Box:
    """What is drawn of the cells of a group for one gene; a mean alone has no quantiles."""

    mean: Number
    quantiles: tuple[Number, ...] = ()


def boxes_of(group: CellGroup) -> list[Box]:
    """Return a box for each gene: the mean, and the 5th, 25th, 50th, 75th and 95th percentile of more than one cell."""
    means = group.cells.mean(axis=0).tolist()
    if len(group.cells) == 1:
        return [Box(one) for one in means]
    quantiles = np.percentile(group.cells, PERCENTILES, axis=0).T.tolist()
    return [Box(mean, tuple(ends)) for mean, ends in zip(means, quantiles, strict=True)]


def top_genes_table(panels: Sequence[TopGenesPanel]) -> Table:
    """Return what a sheet of these panels shows: a row for each condition, gene and group of cells."""
    text = ("condition", "gene", "target", "kind", "model", "stand_in")
    numbers = ("mean", *(f"percentile_{one}" for one in PERCENTILES), "observed_change")
    columns = (*(Column(one) for one in text), Column("cells", "count"), *(Column(one, "number") for one in numbers))
    rows = []
    for panel in panels:
        drawn = [boxes_of(group) for group in panel.groups]
        for i, gene in enumerate(panel.genes):
            for group, boxes in zip(panel.groups, drawn, strict=True):
                who = (panel.title, gene, gene in panel.targets, group.kind, group.model, group.stand_in)
                quantiles = boxes[i].quantiles or (None,) * len(PERCENTILES)
                numbers_of = (boxes[i].mean, *quantiles, float(panel.change[i]))
                rows.append(Row((*who, len(group.cells), *numbers_of)))
    return Table("genes with the largest observed change", columns, tuple(rows))


def top_genes_capacity(width_mm: Points, genes: int, groups: int) -> int:
    """Return how many conditions fit on a page."""
    room = TALLEST - 4 * SMALL
    return _columns(width_mm) * int(room // (_row(groups) * genes + HEADER + FOOTER))


def top_genes_sheet(panels: Sequence[TopGenesPanel], *, unit: str, width_mm: Points) -> Sheet:
    """Return a chart for each condition: its genes from top to bottom, a box for each group of cells.

    `unit` says what the numbers are. The groups of all panels have the same kinds and models. Raises `UsageError`
    where the panels do not fit on a page.
    """
    most = top_genes_capacity(width_mm, max(len(one.genes) for one in panels), len(panels[0].groups))
    if len(panels) > most:
        raise UsageError(f"{len(panels)} conditions do not fit on a page of {width_mm} mm; choose at most {most}")
    with printing():
        return _drawn(panels, unit, width_mm)


def _drawn(panels: Sequence[TopGenesPanel], unit: str, width_mm: Points) -> Sheet:
    looks = _looks(panels[0].groups)
    entries = _key(panels[0].groups, looks)
    columns = min(_columns(width_mm), len(panels))
    lines = math.ceil(len(panels) / columns)
    height = _row(len(looks)) * max(len(one.genes) for one in panels)
    top = key_height([words for words, _ in entries], width_mm * MM) + 4
    block = HEADER + height + FOOTER
    sheet = Sheet(width_mm, top + block * lines, top_genes_table(panels))
    sheet.key(entries, 0)
    step = sheet.width / columns
    for place, panel in enumerate(panels):
        line, column = divmod(place, columns)
        names = [fitted(one, NAME_ROOM, SMALL) for one in panel.genes]
        left, upper = step * column + widest(names, SMALL) + 4, top + block * line
        room = step * (column + 1) - left - 8
        sheet.heading(left, upper + 5, panel.title, room)
        for i, words in enumerate(_about(panel)):
            sheet.text(left, upper + 14 + 8 * i, fitted(words, room, SMALL))
        axes = sheet.axes(left, upper + HEADER, room, height)
        _draw_panel(axes, panel, looks, names)
        axes.set_xlabel(unit)
    return sheet


def _columns(width_mm: Points) -> int:
    return max(1, int(width_mm * MM // NARROWEST))


def _row(groups: int) -> float:
    return BOX * groups + GAP


def _looks(groups: Sequence[CellGroup]) -> list[str]:
    """A colour for each group."""
    models = [one.model for one in groups if one.kind == PREDICTED]
    own = {CONTROL: GREY, OBSERVED: BLUE}
    return [own.get(one.kind) or COLOURS[models.index(one.model) % len(COLOURS)] for one in groups]


def _key(groups: Sequence[CellGroup], colours: Sequence[str]) -> list[tuple[str, Look]]:
    entries: list[tuple[str, Look]] = [
        (shortened(group.name, 40), {"color": colour, "lw": 4}) for group, colour in zip(groups, colours, strict=True)
    ]
    return [*entries, ("mean", dict(_MEAN)), ("middle half, median, 5th to 95th percentile", {"color": INK, "lw": 0.8})]


_MEAN: Look = {"marker": "D", "ms": 2.4, "mfc": "white", "mec": INK, "mew": 0.5, "ls": ""}


def _about(panel: TopGenesPanel) -> tuple[str, str]:
    """How many cells, and whose answer is a stand-in."""
    sizes = [f"{count(len(one.cells))} {one.kind}" for one in panel.groups if one.kind != PREDICTED]
    stand_ins = [one.model for one in panel.groups if one.stand_in]
    return f"n = {', '.join(sizes)} cells", f"stand-in: {', '.join(stand_ins)}" if stand_ins else ""


def _draw_panel(axes: Axes, panel: TopGenesPanel, colours: Sequence[str], names: Sequence[str]) -> None:
    row, groups = _row(len(colours)), [boxes_of(one) for one in panel.groups]
    ends = [as_float(one) for boxes in groups for box in boxes for one in (*box.quantiles, box.mean)]
    low, high = finite_limits([*ends, 0.0], margin=0.03)
    value_axis(axes, "x", (low if min(ends, default=0.0) < 0 else 0.0, high))
    axes.set_ylim(row * len(names), 0)
    axes.set_yticks([row * (i + 0.5) for i in range(len(names))], names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    for i in range(1, len(names)):
        axes.axhline(row * i, color=GRID, lw=0.4, zorder=1)
    for label, gene in zip(axes.get_yticklabels(), panel.genes, strict=True):
        label.set_fontweight("bold" if gene in panel.targets else "normal")
    for place, (boxes, colour) in enumerate(zip(groups, colours, strict=True)):
        for i, box in enumerate(boxes):
            _draw_box(axes, row * i + GAP / 2 + BOX * (place + 0.5), box, colour)


def _draw_box(axes: Axes, middle: float, box: Box, colour: str) -> None:
    if box.quantiles:
        low, lower, median, upper, high = map(as_float, box.quantiles)
        axes.plot([low, high], [middle, middle], color=colour, lw=0.5, zorder=2)
        axes.barh(middle, upper - lower, BOX * 0.78, left=lower, color=colour, alpha=0.35, lw=0, zorder=3)
        half = BOX * 0.39
        axes.plot([median, median], [middle - half, middle + half], color=colour, lw=0.9, zorder=4, clip_on=False)
    axes.plot([as_float(box.mean)], [middle], zorder=5, clip_on=False, **_MEAN)
