"""Which classes are taken for which: a matrix of shares that stays readable with sixty classes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from pertura.report.canvas import BLUE, INK, QUIET, SMALL, TITLE_HEIGHT, Canvas, fitted, nothing, style, widest
from pertura.report.picture import Picture, pictured

LARGEST_CELL, SMALLEST_CELL, ROOM = 40.0, 12.5, 760.0
LARGEST_TEXT, SMALLEST_TEXT = 12.0, 8.5
NAME_ROOM = 200.0
NUMBERED = 22
"""With more classes than this, shares are told by colour alone."""
SHADES = LinearSegmentedColormap.from_list("shares", ["#ffffff", "#d6e6f2", BLUE, "#003a5c"])


@style()
def confusion_chart(counts: Int[np.ndarray, "observed predicted"], names: Sequence[str], *, title: str) -> Picture:
    """Return the share of each observed class (row) that was given each label (column), in the order of `names`.

    Every row is divided by its cells, so that a rare class reads like a common one; a class without cells is left
    white. Labels stand on both sides, whatever their number.
    """
    size = float(np.clip(ROOM / max(len(names), 1), SMALLEST_CELL, LARGEST_CELL))
    text = float(np.clip(size * 0.72, SMALLEST_TEXT, LARGEST_TEXT))
    short = [fitted(one, NAME_ROOM, text) for one in names]
    totals = counts.sum(axis=1)
    rows = [f"{name}  {total:,}" for name, total in zip(short, totals)]
    left, below = widest(rows, text) + 14, widest(short, text) + 34
    side = size * max(len(names), 1)
    canvas = Canvas(TITLE_HEIGHT + side + below, max(left + side + 16, 360.0))
    canvas.title(title)
    axes = canvas.axes(left, TITLE_HEIGHT + 4, side, side)
    if not len(names):
        nothing(axes)
        return pictured(canvas, title, "There is nothing to show.")
    shares = counts / np.maximum(totals, 1)[:, None]
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    _label(axes, rows, short, text)
    if len(names) <= NUMBERED:
        _number(axes, shares, min(text, size * 0.34))
    caption = (
        "Row: observed class with its test cells; column: label given; shade: share of the row, white 0 to dark 1. "
        "Classes that are taken for one another stand together."
    )
    right = np.trace(counts) / max(counts.sum(), 1)
    return pictured(
        canvas, f"{title}: {len(names)} classes, {right:.0%} of {int(counts.sum()):,} on the diagonal", caption
    )


def _label(axes: Axes, rows: Sequence[str], columns: Sequence[str], text: float) -> None:
    axes.set_xticks(range(len(columns)), columns, rotation=90, size=text, color=INK)
    axes.set_yticks(range(len(rows)), rows, size=text, color=INK)
    axes.tick_params(length=0, pad=4)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#eef1f4", linewidth=0.6)
    axes.grid(visible=False, which="major")
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("label given", size=SMALL, color=QUIET)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _number(axes: Axes, shares: np.ndarray, text: float) -> None:
    for row, column in np.argwhere(shares >= 0.005):
        share = float(shares[row, column])
        colour = "white" if share > 0.45 else INK
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", size=max(text, 6.5), color=colour)
