"""Sheets for print: widths in millimetres, text that stays text, the same bytes for the same drawing."""

import functools
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes

from pertura.report.canvas import GRID, INK, QUIET, Canvas, fitted, style, width_of
from pertura.report.tables import Table
from pertura.report.wording import printable

MM = 72 / 25.4
"""Points in a millimetre; everything on a sheet is measured in points from its upper left corner."""
WIDTHS = (89, 183)
"""One and two columns of a printed page, in millimetres."""
TALLEST = 240 * MM
"""What a page leaves room for, with a legend below."""
DOTS_PER_INCH = 300
TEXT, SMALL = 7.0, 6.0
KEY_ROW, KEY_GAP, KEY_LINE = 9.0, 9.0, 11.0
FORMATS = ("pdf", "svg", "png")

# The first two have the same widths; the last comes with matplotlib. Only fonts that a PDF can hold as they are.
_FONTS = ("Arial", "Liberation Sans", "DejaVu Sans")
_SVG_FONTS = "Arial, Helvetica, 'Liberation Sans', 'DejaVu Sans', sans-serif"
_PRINT: Any = {
    "pdf.fonttype": 42,
    "font.size": TEXT,
    "axes.labelsize": SMALL,
    "axes.titlesize": TEXT,
    "axes.linewidth": 0.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "axes.labelpad": 2.0,
    "lines.solid_capstyle": "butt",
    "grid.linewidth": 0.4,
    "grid.color": GRID,
}

Points = float | int
Look = dict[str, Any]


@contextmanager
def printing() -> Iterator[None]:
    """Draw in the style of a printed page, whatever the caller's settings are, and leave those as they were."""
    with style():
        matplotlib.rcParams.update({**_PRINT, "font.family": list(families())})
        yield


@functools.cache
def families() -> tuple[str, ...]:
    """Return the fonts to write with, of those that are installed; the first is used where it has the letter."""
    installed = {one.name for one in font_manager.fontManager.ttflist}
    return tuple(one for one in _FONTS if one in installed)


@dataclass
class Sheet:
    """A figure of a given width in millimetres and height in points, with the numbers drawn in it as a table."""

    width_mm: Points
    height: Points
    source: Table
    canvas: Canvas = field(init=False)

    def __post_init__(self) -> None:
        self.canvas = Canvas(self.height, self.width)

    @property
    def width(self) -> float:
        """The width in points."""
        return self.width_mm * MM

    @property
    def height_mm(self) -> float:
        """The height in millimetres."""
        return self.height / MM

    def axes(self, left: Points, top: Points, width: Points, height: Points) -> Axes:
        """Return new axes in a rectangle, with a frame at left and bottom."""
        axes = self.canvas.axes(left, top, width, height)
        for spine in axes.spines.values():
            spine.set_edgecolor(QUIET)
        return axes

    def text(self, left: Points, top: Points, words: str, **look: Any) -> None:
        """Write words with their first line's middle at a point, small and quiet unless told otherwise."""
        self.canvas.text(left, top, words, **({"size": SMALL, "color": QUIET} | look))

    def heading(self, left: Points, top: Points, words: str, room: Points) -> None:
        """Write the name of a panel, as much of it as fits."""
        self.text(left, top, fitted(words, room, TEXT, "bold"), size=TEXT, weight="bold", color=INK)

    def key(self, entries: Sequence[tuple[str, Look]], top: Points) -> None:
        """Explain the marks used, in lines from `top` on (see `key_height`); words without a look stand alone."""
        lines = _key_lines([words for words, _ in entries], self.width)
        height = KEY_ROW * max(len(lines), 1)
        axes = self.canvas.axes(0, top, self.width, height)
        axes.set(xlim=(0, self.width), ylim=(height, 0))
        axes.axis("off")
        for place, line in enumerate(lines):
            left, middle = 1.0, KEY_ROW * (place + 0.5)
            for position in line:
                words, look = entries[position]
                if look:
                    ends = [left, left + KEY_LINE / 2, left + KEY_LINE]
                    axes.plot(ends, [middle] * 3, markevery=[1], clip_on=False, **look)
                    left += KEY_LINE + 3
                axes.text(left, middle, words, va="center", size=SMALL, color=INK)
                left += width_of(words, SMALL) + KEY_GAP

    def rendered(self, form: str) -> bytes:
        """Return the bytes of the figure as `pdf`, `svg` or `png`; equal drawings give equal bytes."""
        sink = io.BytesIO()
        with printing():
            self.canvas.drawing.savefig(sink, format=form, **_SAVING[form])
        return sink.getvalue() if form != "svg" else _sized(sink.getvalue(), self.width_mm, self.height_mm)


_SAVING: dict[str, Look] = {
    "pdf": {"transparent": True, "metadata": {"CreationDate": None, "Creator": "pertura"}},
    "svg": {"transparent": True, "metadata": {"Date": None, "Creator": "pertura"}},
    "png": {"facecolor": "white", "dpi": DOTS_PER_INCH, "metadata": {"Software": "pertura"}},
}


def key_height(words: Sequence[str], width: Points) -> float:
    """Return how high the key of a sheet `width` points wide is."""
    return KEY_ROW * len(_key_lines(words, width))


def wrapped(words: str, room: Points, size: Points = SMALL, weight: str = "normal") -> list[str]:
    """Return words as lines that fit into `room` points, broken after spaces and low lines."""
    lines = [""]
    for part in re.findall(r"[^ _]*[ _]*", printable(words)):
        if lines[-1] and width_of((lines[-1] + part).strip(), size, weight) > room:
            lines.append("")
        lines[-1] += part
    return [one.strip() for one in lines]


def _key_lines(words: Sequence[str], width: Points) -> list[list[int]]:
    """Which entries stand on each line of a key."""
    lines: list[list[int]] = []
    left: float = width
    for position, one in enumerate(words):
        needed = KEY_LINE + 4 + width_of(one, SMALL)
        if left + needed > width:
            lines.append([])
            left = 1.0
        lines[-1].append(position)
        left += needed + KEY_GAP
    return lines


def _sized(svg: bytes, width: Points, height: Points) -> bytes:
    """Name the size in millimetres, and fonts that every reader of SVG has, not those of this machine."""
    text = svg.decode("utf-8")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 width="{width:g}mm"', text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', rf'\1 height="{height:.6g}mm"', text, count=1)
    text = re.sub(r"(font: [^;\"']*)'[^;\"]*", lambda found: found[1] + _SVG_FONTS, text)
    text = re.sub(r"font-family: [^;\"]*", f"font-family: {_SVG_FONTS}", text)
    return text.encode("utf-8")
