"""Predicted against observed change of every gene, for print: one chart for each condition, or all in one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from pertura.core.errors import UsageError
from pertura.report.canvas import (
    BLUE,
    INK,
    PALE,
    QUIET,
    VERMILION,
    finite_limits,
    fitted,
    value_axis,
    width_of,
)
from pertura.report.deltas import DeltaPanel
from pertura.report.labels import GAP, Box, place_labels
from pertura.report.publication import MM, SMALL, TALLEST, Look, Points, Sheet, key_height, printing
from pertura.report.tables import Column, Row, Table
from pertura.report.wording import Number, as_float, count, number, shortened

NAMED = 3
LABEL = 5.5
BINS = 60
GRAIN = 0.02
"""Points that a dot is long, invisibly."""
HEADER, TICKS, AXIS = 30.0, 16.0, 12.0
STEP = 124.0
"""Width of a chart with its numbers; four of them fill two columns of a page, two of them one."""
WIDEST, BESIDE = 200.0, 30.0
"""No chart grows beyond the first; the second is kept beside it for its numbers."""

Change = Float[np.ndarray, " genes"]


@dataclass(frozen=True, eq=False)
class DeltaChart:
    """A condition under one model, and what its correlation is read against."""

    panel: DeltaPanel
    model: str
    cells: int
    floor: Number | None = None
    ceiling: Number | None = None


@dataclass(frozen=True, eq=False)
class PooledChart:
    """All conditions under one model: how many pairs of changes lie in each square; what is said of them.

    `counts[i, j]` lie between `edges[i]` and `edges[i + 1]` observed, and `edges[j]` and `edges[j + 1]` predicted.
    `targets` are the changes, observed and predicted, of perturbed genes.
    """

    title: str
    words: tuple[str, ...]
    edges: Float[np.ndarray, " edges"]
    counts: Int[np.ndarray, "bins bins"]
    targets: Float[np.ndarray, "targets 2"]


def delta_table(charts: Sequence[DeltaChart]) -> Table:
    """Return what a sheet of these charts shows: a row for each condition, model and gene."""
    columns = (
        Column("condition"), Column("model"), Column("stand_in"), Column("gene"), Column("target"),
        Column("observed", "number"), Column("predicted", "number"), Column("r", "number"),
        Column("floor", "number"), Column("ceiling", "number"), Column("cells", "count"),
    )  # fmt: skip
    rows = []
    for one in charts:
        panel = one.panel
        beside = (as_float(panel.correlation), as_float(one.floor), as_float(one.ceiling), one.cells)
        for i, gene in enumerate(panel.genes):
            who = (panel.title, one.model, panel.note, gene, gene in panel.targets)
            rows.append(Row((*who, float(panel.observed[i]), float(panel.predicted[i]), *beside)))
    return Table("change from control", columns, tuple(rows))


def pooled_table(charts: Sequence[PooledChart]) -> Table:
    """Return what a sheet of these charts shows: a row for each square that holds something, and for each target."""
    columns = (
        Column("model"), Column("kind"), Column("observed", "number"), Column("predicted", "number"),
        Column("pairs", "count"), Column("square", "number"),
    )  # fmt: skip
    rows = []
    for one in charts:
        middles, side = (one.edges[:-1] + one.edges[1:]) / 2, float(one.edges[1] - one.edges[0])
        for i, j in np.argwhere(one.counts > 0).tolist():
            cells = ("genes", float(middles[i]), float(middles[j]), int(one.counts[i, j]), side)
            rows.append(Row((one.title, *cells)))
        rows += [Row((one.title, "target", x, y, 1, math.nan)) for x, y in one.targets.tolist()]
    return Table("change from control, all conditions", columns, tuple(rows))


def binned(observed: Change, predicted: Change, edges: Float[np.ndarray, " edges"]) -> Int[np.ndarray, "bins bins"]:
    """Return how many pairs of changes lie in each square; the last edges belong to the last squares."""
    return np.histogram2d(observed, predicted, bins=(edges, edges))[0].astype(np.int64)


def delta_capacity(width_mm: Points) -> int:
    """Return how many charts fit on a page."""
    across = _across(width_mm)
    return across * int((TALLEST - AXIS - 24) // _block((width_mm * MM - AXIS) / across))


def delta_sheet(charts: Sequence[DeltaChart], *, unit: str, width_mm: Points) -> Sheet:
    """Return a chart for each condition and model: a dot a gene, perturbed genes in another colour and named.

    Both axes of a chart have one range, each chart its own; the genes that changed most are named. `unit` says what the
    numbers are. Raises `UsageError` where the charts do not fit on a page.
    """
    _check_room(len(charts), width_mm)
    models = list(dict.fromkeys(one.model for one in charts))
    aimed = any(set(one.panel.targets) & set(one.panel.genes) for one in charts)
    with printing():
        frame = _Frame.of(len(charts), width_mm, _key(aimed, models), delta_table(charts))
        for place, one in enumerate(charts):
            axes = frame.chart(place, one.panel.title, _words(one, len(models) > 1))
            _draw_chart(axes, one.panel, frame.side)
        frame.label(f"observed change, {unit}", f"predicted change, {unit}")
    return frame.sheet


def pooled_sheet(charts: Sequence[PooledChart], *, unit: str, width_mm: Points) -> Sheet:
    """Return a chart for each model: how many genes of all conditions lie in each square of the plane of changes."""
    _check_room(len(charts), width_mm)
    most = max(int(one.counts.max()) for one in charts)
    with printing():
        aimed = any(len(one.targets) for one in charts)
        frame = _Frame.of(len(charts), width_mm, _key(aimed)[1:], pooled_table(charts), bar=True)
        for place, one in enumerate(charts):
            _draw_pooled(frame.chart(place, one.title, one.words), one, most)
        frame.colours(most)
        frame.label(f"observed change, {unit}", f"predicted change, {unit}")
    return frame.sheet


@dataclass(frozen=True, eq=False)
class _Frame:
    """Charts of one size in lines on a sheet, with one label for all axes of either direction."""

    sheet: Sheet
    top: float
    step: float
    side: float
    across: int
    bottom: float

    @classmethod
    def of(
        cls, charts: int, width_mm: Points, key: Sequence[tuple[str, Look]], source: Table, *, bar: bool = False
    ) -> "_Frame":
        across = min(_across(width_mm), charts)
        step = min((width_mm * MM - AXIS) / across, WIDEST)
        block, lines = _block(step), math.ceil(charts / across)
        top = key_height([words for words, _ in key], width_mm * MM) + 4
        bottom = top + block * lines
        sheet = Sheet(width_mm, bottom + AXIS + (24 if bar else 0), source)
        sheet.key(key, 0)
        return cls(sheet, top, step, block - HEADER - TICKS, across, bottom)

    def chart(self, place: int, title: str, words: Sequence[str]) -> Axes:
        """Return the axes of a chart, under its title and at most two lines of words."""
        line, column = divmod(place, self.across)
        left = AXIS + self.step * column + BESIDE - 6
        top = self.top + (self.side + HEADER + TICKS) * line
        self.sheet.heading(left, top + 5, title, self.side + 4)
        for i, one in enumerate(words):
            self.sheet.text(left, top + 13 + 8 * i, fitted(one, self.side + 4, SMALL))
        return self.sheet.axes(left, top + HEADER, self.side, self.side)

    def label(self, across: str, upwards: str) -> None:
        """Name both directions, once for all charts."""
        middle = AXIS + self.step * self.across / 2
        self.sheet.text(middle, self.bottom + 4, across, ha="center", color=INK)
        height = (self.top + self.bottom) / 2
        self.sheet.text(5, height, fitted(upwards, self.bottom - self.top + HEADER, SMALL), ha="center", rotation=90, color=INK)  # fmt: skip  # noqa: E501

    def colours(self, most: int) -> None:
        """Explain the colours of squares, below the charts."""
        words = "genes of all conditions in a square"
        self.sheet.text(AXIS, self.bottom + 21, words)
        left = AXIS + width_of(words, SMALL) + 8
        axes = self.sheet.axes(left, self.bottom + 17, 90, 7)
        ramp = np.geomspace(1, max(most, 2), 64)
        axes.pcolormesh(
            ramp, [0.0, 1.0], ramp[None, :-1], cmap=_SQUARES, norm=LogNorm(1, max(most, 2)), ec="face", lw=0.2
        )
        axes.set(xscale="log", yticks=[])
        ends = [10**i for i in range(int(math.log10(max(most, 1))) + 1)]
        axes.set_xticks(ends, [count(one) for one in ends])
        axes.tick_params(which="minor", length=0)
        axes.spines["left"].set_visible(False)


_SQUARES = LinearSegmentedColormap.from_list("squares", ["#d6e6f2", BLUE, "#00233a"])
_TARGET: Look = {"color": VERMILION, "marker": "o", "ms": 3.0, "mew": 0, "ls": ""}


def _across(width_mm: Points) -> int:
    return max(1, int((width_mm * MM - AXIS + 6) // (STEP - 4)))


def _block(step: float) -> float:
    """How high a chart is, with what stands above and below; charts are square."""
    return step - BESIDE + HEADER + TICKS


def _check_room(charts: int, width_mm: Points) -> None:
    most = delta_capacity(width_mm)
    if charts > most:
        raise UsageError(f"{charts} charts do not fit on a page of {width_mm} mm; choose at most {most}")


def _key(aimed: bool, models: Sequence[str] = ()) -> list[tuple[str, Look]]:
    entries: list[tuple[str, Look]] = [("gene", _TARGET | {"color": BLUE, "ms": 2.4})]
    if aimed:
        entries.append(("perturbed gene", _TARGET))
    whose: list[tuple[str, Look]] = [(f"model: {shortened(models[0], 40)}", {})] if len(models) == 1 else []
    return [*entries, ("perfect prediction", _PERFECT), *whose]


_PERFECT: Look = {"color": PALE, "lw": 0.8}


def _words(one: DeltaChart, named: bool) -> tuple[str, str]:
    """Below the title: the model where there are several, r, and between which numbers r can lie."""
    about = f"n = {count(one.cells)} cells" if not named else one.model
    stand_in = ", stand-in" if one.panel.note else ""
    r = number(one.panel.correlation, 2) if math.isfinite(as_float(one.panel.correlation)) else "undefined"
    floor = "" if one.floor is None else f"floor {number(one.floor, 0)}, "
    beside = f" ({floor}ceiling {number(one.ceiling, 2)})"
    return f"{about}{stand_in}", f"r {r}{beside}"


def _draw_chart(axes: Axes, panel: DeltaPanel, side: float) -> None:
    kept = np.flatnonzero(panel.defined)
    places = np.stack([panel.observed[kept], panel.predicted[kept]], axis=1).astype(np.float64)
    limits = finite_limits([*places.ravel().tolist(), 0.0], margin=0.07)
    _square(axes, limits)
    aimed = np.isin([panel.genes[i] for i in kept], list(panel.targets))
    grain = (limits[1] - limits[0]) / side * GRAIN
    _dots(axes, places[~aimed], grain, {"ec": BLUE, "lw": 1.8, "alpha": 0.6})
    _dots(axes, places[aimed], grain, {"ec": VERMILION, "lw": 3.0})
    _name_genes(axes, panel, limits, side)


def _dots(axes: Axes, places: Float[np.ndarray, "points 2"], grain: float, look: Look) -> None:
    """Draw round dots as one path: a file of all genes stays small, and dots that overlap do not grow darker."""
    if not len(places):
        return
    ends = np.repeat(places, 2, axis=0)
    ends[1::2, 0] += grain  # what draws pixels leaves out a line without length
    patch = PathPatch(Path(ends, np.tile([Path.MOVETO, Path.LINETO], len(places))), fc="none", capstyle="round", **look)
    patch.set_snap(False)
    patch.set_clip_on(False)
    axes.add_patch(patch)


def _square(axes: Axes, limits: tuple[float, float]) -> None:
    value_axis(axes, "x", limits, ticks=4)
    value_axis(axes, "y", limits, ticks=4)
    axes.plot(limits, limits, zorder=1, **_PERFECT)
    axes.axhline(0, color=PALE, lw=0.4, zorder=0)
    axes.axvline(0, color=PALE, lw=0.4, zorder=0)


def _draw_pooled(axes: Axes, one: PooledChart, most: int) -> None:
    _square(axes, (float(one.edges[0]), float(one.edges[-1])))
    shown = np.ma.masked_equal(one.counts.T, 0)
    # edges in the colour of their square: without, viewers show white lines between squares
    axes.pcolormesh(one.edges, one.edges, shown, cmap=_SQUARES, norm=LogNorm(1, max(most, 2)), ec="face", lw=0.2)
    if len(one.targets):
        axes.plot(one.targets[:, 0], one.targets[:, 1], clip_on=False, **_TARGET | {"ms": 2.0})


def _name_genes(axes: Axes, panel: DeltaPanel, limits: tuple[float, float], side: float) -> None:
    """Write the names of perturbed genes and of those that changed most beside their dots, clear of the other dots."""
    named = _named(panel)
    scale = side / (limits[1] - limits[0])
    places = (np.stack([panel.observed, panel.predicted], axis=1) - limits[0]) * scale
    points = [(float(x), float(y)) for x, y in places[named]]
    words = [shortened(panel.genes[i], 14) for i in named]
    sizes = [(width_of(one, LABEL), LABEL + 1.5) for one in words]
    boxes = place_labels(points, sizes, Box(0, 0, side, side), _taken(places[panel.defined]))
    for i, one, point, box in zip(named, words, points, boxes, strict=True):
        if box is None:
            continue
        middle = box.left + box.width / 2, box.low + box.height / 2
        end = np.clip(point, (box.left, box.low), (box.left + box.width, box.low + box.height)).tolist()
        x, y = ([limits[0] + value / scale for value in ends] for ends in zip(point, end, strict=True))
        axes.plot(x, y, color=QUIET, lw=0.4, zorder=2)
        look: Look = {"color": VERMILION} if panel.genes[i] in panel.targets else {"color": INK}
        across, up = (limits[0] + value / scale for value in middle)
        axes.text(across, up, one, ha="center", va="center", size=LABEL, **look)


def _named(panel: DeltaPanel) -> list[int]:
    """The genes to name: perturbed ones, then those with the largest of both changes."""
    found = [int(i) for i in np.flatnonzero(panel.defined)]
    reach, aimed = panel.reach, set(panel.targets)
    ranked = sorted(found, key=lambda i: (panel.genes[i] not in aimed, -reach[i], panel.genes[i]))
    return ranked[: NAMED + sum(panel.genes[i] in aimed for i in found)]


def _taken(places: Float[np.ndarray, "genes 2"]) -> list[tuple[float, float]]:
    """Where dots lie, to within the room that a dot takes: thousands of dots leave few such places."""
    return [(x * GAP, y * GAP) for x, y in np.unique(np.round(places / GAP), axis=0).tolist()]
