"""Cells on a map of two dimensions, coloured by class, by a number, or by a mark."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from pertura.report.canvas import (
    BLUE,
    GREEN,
    INK,
    KEY_ROW,
    ORANGE,
    PALE,
    PURPLE,
    QUIET,
    SKY,
    SMALL,
    TEXT,
    TITLE_HEIGHT,
    VERMILION,
    Canvas,
    fitted,
    style,
    width_of,
)
from pertura.report.picture import Picture, pictured

PANEL, GAP = 400.0, 28.0
WIDE = 2 * PANEL + GAP
HEADING = 24.0
HAIR = 0.04
"""Pixels."""
BINS = 8
SHADES = ("cividis", "confidence")
HUES = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, "#7f5539", "#5a5a5a", "#8c8c00", "#b2182b", "#35978f", "#6a3d9a")
MARKED, PLAIN = VERMILION, PALE
Places = Float[np.ndarray, "cells 2"]


@dataclass(frozen=True, eq=False)
class ByClass:
    """Cells coloured by class; code -1 has none."""

    title: str
    codes: Int[np.ndarray, " cells"]


@dataclass(frozen=True, eq=False)
class ByNumber:
    """Cells coloured by a number from 0 to 1."""

    title: str
    values: Float[np.ndarray, " cells"]


@dataclass(frozen=True, eq=False)
class ByMark:
    """Cells of which some are marked."""

    title: str
    marked: Bool[np.ndarray, " cells"]
    mark: str
    other: str


Panel = ByClass | ByNumber | ByMark


@style()
def cell_map(places: Places, panels: Sequence[Panel], names: Sequence[str], *, title: str, caption: str) -> Picture:
    """Return one map for each panel, two side by side; classes are numbered on the map and named below it."""
    lines = -(-len(panels) // 2)
    columns, rows = _key_grid(names)
    key = KEY_ROW * rows + 10 if any(isinstance(one, ByClass) for one in panels) else 0.0
    block = HEADING + PANEL + GAP
    canvas = Canvas(TITLE_HEIGHT + block * lines + key, WIDE)
    canvas.title(title)
    shown = np.isfinite(places).all(axis=1)
    for place, panel in enumerate(panels):
        line, column = divmod(place, 2)
        left, top = column * (PANEL + GAP), TITLE_HEIGHT + line * block
        canvas.text(left, top + 8, fitted(panel.title, PANEL, TEXT), size=TEXT, color=INK)
        axes = canvas.axes(left, top + HEADING, PANEL, PANEL)
        _frame(axes, places[shown])
        _draw(axes, places, panel, shown)
    if key:
        _key(canvas, names, TITLE_HEIGHT + block * lines, columns)
    alt = f"{title}: {int(shown.sum()):,} cells; " + ", ".join(one.title for one in panels)
    lost = int((~shown).sum())
    return pictured(canvas, alt, caption + (f" {lost:,} cells have no place and are not drawn." if lost else ""))


def _frame(axes: Axes, places: Places) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(PALE)
    if len(places):
        low, high = places.min(axis=0), places.max(axis=0)
        pad = np.maximum(high - low, 1e-6) * 0.05
        axes.set(xlim=(low[0] - pad[0], high[0] + pad[0]), ylim=(low[1] - pad[1], high[1] + pad[1]))


def _draw(axes: Axes, places: Places, panel: Panel, shown: Bool[np.ndarray, " cells"]) -> None:
    size = 4.0 if len(places) <= 1500 else 2.6
    if isinstance(panel, ByClass):
        for code in np.unique(panel.codes):
            mine = places[shown & (panel.codes == code)]
            _dots(axes, mine, PALE if code < 0 else HUES[code % len(HUES)], size, 0.75)
        _numbers(axes, places[shown], panel.codes[shown])
    elif isinstance(panel, ByNumber):
        edges = np.clip((panel.values * BINS).astype(np.int64), 0, BINS - 1)
        for level in range(BINS):
            colour = to_hex(colormaps[SHADES[0]](level / (BINS - 1)))
            _dots(axes, places[shown & (edges == level)], colour, size, 0.85)
        _scale(axes)
    else:
        _dots(axes, places[shown & ~panel.marked], PLAIN, size, 0.8)
        _dots(axes, places[shown & panel.marked], MARKED, size, 0.85)
        words = ((PLAIN, panel.other), (MARKED, panel.mark))
        for row, (colour, text) in enumerate(words):
            axes.plot([0.03], [0.045 + 0.05 * row], "o", color=colour, ms=5, transform=axes.transAxes, clip_on=False)
            axes.text(0.055, 0.045 + 0.05 * row, text, transform=axes.transAxes, va="center", size=SMALL, color=QUIET)


def _dots(axes: Axes, places: Places, colour: str, size: float, alpha: float) -> None:
    """Draw many dots as one path of lines too short to be seen as such: a line of no length is left out of a PNG."""
    if not len(places):
        return
    low, high = axes.get_xlim()
    ends = places + np.asarray([(high - low) / PANEL * HAIR, 0.0])
    corners = np.stack([places, ends], axis=1).reshape(-1, 2)
    path = Path(corners, np.tile([Path.MOVETO, Path.LINETO], len(places)))
    path.should_simplify = False
    axes.add_patch(PathPatch(path, fc="none", ec=colour, lw=size, alpha=alpha, capstyle="round", snap=False))


def _numbers(axes: Axes, places: Places, codes: Int[np.ndarray, " cells"]) -> None:
    """Write the number of each class at its middle, on a white rim."""
    for code in np.unique(codes[codes >= 0]):
        mine = places[codes == code]
        middle = np.median(mine, axis=0)
        at = mine[np.argmin(((mine - middle) ** 2).sum(axis=1))]
        words = axes.text(at[0], at[1], str(code + 1), ha="center", va="center", size=10, weight="bold", color=INK)
        words.set_path_effects([withStroke(linewidth=2.4, foreground="white")])


def _scale(axes: Axes) -> None:
    """Explain the shades from 0 to 1 in the corner."""
    for level in range(BINS):
        colour = to_hex(colormaps[SHADES[0]](level / (BINS - 1)))
        axes.add_patch(_patch(0.03 + 0.03 * level, 0.03, 0.03, 0.03, colour, axes))
    for x, words in ((0.03, "0"), (0.03 + 0.03 * BINS, "1")):
        axes.text(x, 0.075, words, transform=axes.transAxes, ha="center", va="bottom", size=SMALL, color=QUIET)


def _patch(left: float, low: float, width: float, height: float, colour: str, axes: Axes) -> Rectangle:
    return Rectangle((left, low), width, height, color=colour, lw=0, transform=axes.transAxes)


def _key_grid(names: Sequence[str]) -> tuple[int, int]:
    longest = max((width_of(one, SMALL) for one in names), default=0.0)
    columns = int(np.clip(WIDE // (min(longest, 300.0) + 60), 1, 5))
    return columns, -(-len(names) // columns)


def _key(canvas: Canvas, names: Sequence[str], top: float, columns: int) -> None:
    rows = -(-len(names) // columns)
    room = WIDE / columns
    axes = canvas.axes(0, top, WIDE, KEY_ROW * rows)
    axes.set(xlim=(0, WIDE), ylim=(KEY_ROW * rows, 0))
    axes.axis("off")
    for code, name in enumerate(names):
        column, row = divmod(code, rows)
        x, y = column * room, KEY_ROW * (row + 0.5)
        axes.plot([x + 6], [y], "o", color=HUES[code % len(HUES)], ms=7, clip_on=False)
        axes.text(x + 34, y, str(code + 1), ha="right", va="center", size=SMALL, weight="bold", color=INK)
        axes.text(x + 40, y, fitted(name, room - 48, SMALL), va="center", size=SMALL, color=QUIET)
