"""A drawing twice: as SVG for a page, as PNG for everything else."""

import io
from dataclasses import dataclass

from pertura.report.canvas import Canvas
from pertura.report.figure import Figure
from pertura.report.wording import printable

DOTS_PER_INCH = 144
"""Twice the pixels of the drawing: sharp on screens of today."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure and the bytes of a PNG file of it; equal drawings give equal bytes."""

    figure: Figure
    png: bytes


def pictured(canvas: Canvas, alt: str, caption: str) -> Picture:
    """Return a finished canvas as figure and PNG; call it under the style it was drawn in."""
    sink = io.BytesIO()
    canvas.drawing.savefig(sink, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": "pertura"})
    return Picture(Figure(canvas.svg(), printable(alt), printable(caption)), sink.getvalue())
