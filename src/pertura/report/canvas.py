"""Drawing in pixels with one look: a canvas that becomes a small SVG, the same bytes for the same drawing."""

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from pertura.report.wording import MINUS, shortened

Pixels = float | int

WIDTH = 640.0
TEXT = 13.0
SMALL = 12.0
TITLE = 14.0
TITLE_HEIGHT = 28.0
KEY_ROW = 20.0
KEY_GAP = 20.0

# Okabe and Ito's palette, told apart by the common kinds of colour blindness; yellow is left out, too pale on white.
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7"
INK, QUIET, GRID, PALE = "#1b1f24", "#57606a", "#e4e8ec", "#c9d1d9"
MARKERS = ("D", "s", "^", "v")
COLOURS = (VERMILION, GREEN, ORANGE, PURPLE)

_FONTS = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', Arial, sans-serif"
)
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pertura",
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": PALE,
    "axes.linewidth": 1.0,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "grid.color": GRID,
    "grid.linewidth": 1.0,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "path.simplify": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with our own settings, whatever the caller's are, and leave those as they were."""
    with warnings.catch_warnings(), matplotlib.rc_context():
        # The browser draws the text with fonts of its own; that ours lacks a letter is no matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


@dataclass
class Canvas:
    """A drawing `height` pixels high and `width` wide, measured from its upper left corner."""

    height: Pixels
    width: Pixels = WIDTH
    drawing: Drawing = field(init=False)

    def __post_init__(self) -> None:
        self.drawing = Drawing(figsize=(self.width / 72, self.height / 72), dpi=72)
        FigureCanvasSVG(self.drawing)

    def axes(self, left: Pixels, top: Pixels, width: Pixels, height: Pixels) -> Axes:
        """Return new axes in a rectangle."""
        bottom = self.height - top - height
        return self.drawing.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )

    def text(self, left: Pixels, top: Pixels, words: str, **look: Any) -> None:
        """Write words with their first line's middle at a point."""
        settings: dict[str, Any] = {"va": "center", "ha": "left"} | look
        self.drawing.text(left / self.width, 1 - top / self.height, words, **settings)

    def title(self, words: str) -> None:
        """Write the title, as much of it as fits on one line."""
        self.text(0, 10, fitted(words, self.width, TITLE, "bold"), weight="bold", size=TITLE)

    def key(self, entries: Sequence[tuple[str, dict[str, Any]]], top: Pixels) -> None:
        """Explain the marks used: each a short line drawn with its look, then its words; wraps as text does."""
        rows = key_rows([words for words, _ in entries])
        axes = self.axes(0, top, self.width, KEY_ROW * max(len(rows), 1))
        axes.set(xlim=(0, self.width), ylim=(KEY_ROW * max(len(rows), 1), 0))
        axes.axis("off")
        for line, row in enumerate(rows):
            left, middle = 2.0, KEY_ROW * (line + 0.5)
            for position in row:
                words, look = entries[position]
                axes.plot(
                    [left, left + 9, left + 18],
                    [middle] * 3,
                    markevery=[1],
                    clip_on=False,
                    solid_capstyle="butt",
                    **look,
                )
                axes.text(left + 25, middle, words, va="center", size=SMALL, color=QUIET)
                left += 25 + width_of(words, SMALL) + KEY_GAP

    def svg(self) -> str:
        """Return the drawing as one SVG element that scales with the page."""
        sink = io.StringIO()
        self.drawing.savefig(sink, format="svg", metadata={"Date": None}, transparent=True)
        return _tidied(sink.getvalue(), self.width, self.height)


def width_of(words: str, size: Pixels = TEXT, weight: str = "normal") -> float:
    """Return how wide words are in pixels, in a font wider than those that browsers use."""
    font = FontProperties(family=["DejaVu Sans"], size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(words, font, False)[0])


def fitted(words: str, room: Pixels, size: Pixels = TEXT, weight: str = "normal") -> str:
    """Return words shortened to at most `room` pixels; never below five letters."""
    most = min(len(words), int(room / size * 4))
    while most > 5 and width_of(shortened(words, most), size, weight) > room:
        most -= 1
    return shortened(words, max(most, 5))


def key_rows(words: Sequence[str]) -> list[list[int]]:
    """Return which entries of a key stand on each of its rows."""
    rows: list[list[int]] = []
    left = WIDTH
    for position, one in enumerate(words):
        needed = 25 + width_of(one, SMALL)
        if left + needed > WIDTH:
            rows.append([])
            left = 0.0
        rows[-1].append(position)
        left += needed + KEY_GAP
    return rows


def value_axis(axes: Axes, which: Literal["x", "y"], limits: tuple[Pixels, Pixels], ticks: int = 5) -> None:
    """Give an axis its limits and a few plain numbers."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}lim": limits})
    axis.set_major_locator(MaxNLocator(ticks))
    plain_numbers(axes, which)


def plain_numbers(axes: Axes, which: Literal["x", "y"]) -> None:
    """Write the numbers of an axis without powers and offsets."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}".replace("-", MINUS)))
    axis.set_minor_formatter(NullFormatter())


def nothing(axes: Axes, words: str = "nothing to show") -> None:
    """Say inside empty axes that there is nothing to draw."""
    axes.axis("off")
    axes.text(0.0, 0.5, words, transform=axes.transAxes, va="center", color=QUIET, style="italic")


def widest(names: Iterable[str], size: Pixels = TEXT) -> float:
    """Return the width of the widest of some names in pixels."""
    return max((width_of(name, size) for name in names), default=0.0)


def dots(
    axes: Axes, places: Float[np.ndarray, "points 2"], colour: str, size: float = 4.0, alpha: float = 0.55
) -> None:
    """Draw many round dots as one path: twenty bytes a dot where a marker takes a hundred."""
    if not len(places):
        return
    path = Path(np.repeat(places, 2, axis=0), np.tile([Path.MOVETO, Path.LINETO], len(places)))
    path.should_simplify = False
    patch = PathPatch(path, fc="none", ec=colour, lw=size, alpha=alpha, capstyle="round", snap=False)
    patch.set_clip_on(False)
    axes.add_patch(patch)


def rule_axes(axes: Axes, direction: Literal["x", "y", "both"] = "x") -> None:
    """Lay a pale grid over axes and take the frame away."""
    axes.grid(visible=True, axis=direction)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def finite_limits(values: Iterable[float], margin: float = 0.05) -> tuple[float, float]:
    """Return the limits of an axis that shows all finite values; around zero where there are none or all are equal."""
    kept = [float(one) for one in values if np.isfinite(one)]
    if not kept:
        return -1.0, 1.0
    low, high = min(kept), max(kept)
    pad = (high - low) * margin or (abs(high) * 0.1 or 1.0)
    return low - pad, high + pad


def _tidied(text: str, width: Pixels, height: Pixels) -> str:
    """One svg element: no prolog, no metadata, no ids but those referred to, coordinates to a hundredth of a pixel."""
    body = text[text.index("<svg") :]
    # A style element inside a page would hold for the whole page: its two settings stand on the drawing itself.
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href=", "href=")
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", body)
    body = _renamed(body)
    body = re.sub(r' (d|x|y|x1|x2|y1|y2|width|height|transform)="[^"]*"', _rounded, body)
    body = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", body)
    body = re.sub(r" font-family: [^;\"]*;", "", body)
    # Some versions of matplotlib write size and family as one.
    body = re.sub(r"(font: [^;\"]*?)'DejaVu Sans'[^;\"]*", lambda found: found[1] + _FONTS, body)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width: {width:g}px; stroke-linejoin: round; stroke-linecap: butt; font-family: {_FONTS}">'
    )
    body = re.sub(r"<svg[^>]*>", opening, body, count=1)
    body = re.sub(r"<(g|defs)>\s*</\1>", "", body)
    return re.sub(r"\s*\n\s*", "\n", body).strip()


def _renamed(body: str) -> str:
    """Give the ids short names in order of appearance; matplotlib's depend on nothing we need."""
    names = {one: f"i{number}" for number, one in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', body)), start=1)}
    body = re.sub(r' id="([^"]+)"', lambda found: f' id="{names[found[1]]}"', body)
    return re.sub(r'(url\(#|href="#)([^")]+)', lambda found: found[1] + names[found[2]], body)


def _rounded(attribute: re.Match[str]) -> str:
    text = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), attribute[0])
    if attribute[1] != "d":
        return text
    text = re.sub(r"\s*\n\s*", " ", text).replace(' "', '"')
    # A line from a point to itself is a dot: "h0" says the same.
    return re.sub(r"M (\S+) (\S+) L \1 \2(?= |\")", r"M\1 \2h0", text)
