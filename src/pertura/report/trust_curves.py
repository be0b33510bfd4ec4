"""Whether probabilities mean what they say: reliability, and what is gained by leaving unsure cells out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes

from pertura.report.canvas import (
    BLUE,
    COLOURS,
    INK,
    KEY_ROW,
    PALE,
    SMALL,
    TEXT,
    TITLE_HEIGHT,
    Canvas,
    fitted,
    key_rows,
    rule_axes,
    style,
)
from pertura.report.picture import Picture, pictured

PANEL, GAP = 264.0, 60.0
HUES = (BLUE, *COLOURS, INK)
SMALLEST_DOT, LARGEST_DOT = 3.0, 12.0


@dataclass(frozen=True, eq=False)
class TrustCurve:
    """One strategy: bins of confidence with cells and accuracy, and error against coverage."""

    name: str
    cells: Int[np.ndarray, " bins"]
    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    coverage: Float[np.ndarray, " steps"]
    risk: Float[np.ndarray, " steps"]


@style()
def trust_chart(curves: Sequence[TrustCurve], *, title: str, caption: str) -> Picture:
    """Return reliability at the left and risk against coverage at the right, a colour for each strategy."""
    entries = [(one.name, {"color": HUES[i % len(HUES)], "lw": 2.0}) for i, one in enumerate(curves)]
    top = TITLE_HEIGHT + KEY_ROW * max(len(key_rows([words for words, _ in entries])), 1) + 30
    canvas = Canvas(top + PANEL + 48)
    canvas.title(title)
    canvas.key(entries, TITLE_HEIGHT)
    canvas.text(46, top - 14, fitted("Probability against share of right labels", PANEL, TEXT), size=TEXT, color=INK)
    left = canvas.axes(46, top, PANEL, PANEL)
    _reliability(left, curves)
    canvas.text(46 + PANEL + GAP, top - 14, fitted("Errors among the cells kept", PANEL, TEXT), size=TEXT, color=INK)
    right = canvas.axes(46 + PANEL + GAP, top, PANEL - 26, PANEL)
    _risk(right, curves)
    alt = f"{title}: " + ", ".join(one.name for one in curves)
    return pictured(canvas, alt, caption)


def _reliability(axes: Axes, curves: Sequence[TrustCurve]) -> None:
    rule_axes(axes, "both")
    axes.plot([0, 1], [0, 1], color=PALE, lw=1.5)
    axes.set(xlim=(0, 1.0), ylim=(0, 1.02), xlabel="probability given", ylabel="share right")
    for i, one in enumerate(curves):
        there = one.cells > 0
        colour = HUES[i % len(HUES)]
        axes.plot(one.confidence[there], one.accuracy[there], color=colour, lw=1.5, clip_on=False)
        shares = np.sqrt(one.cells[there] / max(one.cells.max(), 1))
        for x, y, share in zip(one.confidence[there], one.accuracy[there], shares):
            size = SMALLEST_DOT + (LARGEST_DOT - SMALLEST_DOT) * float(share)
            axes.plot([x], [y], "o", color=colour, ms=size, alpha=0.8, clip_on=False)
    _labels(axes)


def _risk(axes: Axes, curves: Sequence[TrustCurve]) -> None:
    rule_axes(axes, "both")
    highest = max((float(one.risk.max()) for one in curves if len(one.risk)), default=0.0)
    axes.set(xlim=(0, 1), ylim=(0, max(highest * 1.05, 0.02)), xlabel="share of cells kept", ylabel="share wrong")
    for i, one in enumerate(curves):
        axes.plot(one.coverage, one.risk, color=HUES[i % len(HUES)], lw=1.6, drawstyle="default")
    _labels(axes)


def _labels(axes: Axes) -> None:
    axes.xaxis.label.set_fontsize(SMALL)
    axes.yaxis.label.set_fontsize(SMALL)
