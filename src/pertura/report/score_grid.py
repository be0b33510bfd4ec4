"""Scores of models, a row each, in columns of metrics or strata, for print."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes

from pertura.core.errors import UsageError
from pertura.report.canvas import (
    BLUE,
    GREEN,
    INK,
    PALE,
    QUIET,
    finite_limits,
    fitted,
    plain_numbers,
    rule_axes,
    value_axis,
    widest,
)
from pertura.report.plots import STRETCH, References
from pertura.report.publication import (
    MM,
    SMALL,
    TALLEST,
    TEXT,
    WIDTHS,
    Look,
    Points,
    Sheet,
    key_height,
    printing,
    wrapped,
)
from pertura.report.tables import Column, Interval, Row, Table
from pertura.report.wording import Number, Whole, as_float

LINE = 9.5
HEADER, FOOTER = 22.0, 24.0
COLUMN, GAP = 68.0, 12.0
NAME_SHARE = 0.36
REACH, LOGARITHMIC_REACH = 1.0, 0.5
"""How far beyond scores and references an axis follows intervals, in units of their range."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A model's score in one column, the same on permuted labels, and what it is the mean of.

    Of the `conditions`, `valid` have a defined score, and `stand_ins` an answer that is not the model's own.
    """

    score: Interval
    null: Interval
    conditions: Whole
    valid: Whole
    stand_ins: Whole = 0


@dataclass(frozen=True)
class ScoreColumn:
    """A metric or a stratum: a mark for each model, and what all of them are read against.

    `better` says which scores are, `nearer` those nearer to `best`.
    """

    title: str
    words: str
    references: References
    marks: tuple[Mark, ...]
    better: Literal["higher", "lower", "nearer"] = "higher"
    best: Number = 1.0


@dataclass(frozen=True)
class ScoreGrid:
    """Models, and columns with a mark for each. `kind` says what a column is; `shared`, that all have one scale.

    `axis` names that scale; `note` is written below.
    """

    kind: str
    models: tuple[str, ...]
    columns: tuple[ScoreColumn, ...]
    shared: bool = False
    axis: str = ""
    note: str = ""


def score_table(grid: ScoreGrid) -> Table:
    """Return what a sheet of this grid shows: a row for each column and model."""
    columns = (
        Column(grid.kind), Column("model"), Column("score", "interval"), Column("permuted", "interval"),
        Column("floor", "number"), Column("ceiling", "number"), Column("better"),
        Column("conditions", "count"), Column("stand_ins", "count"),
    )  # fmt: skip
    rows = [
        Row((one.title, model, mark.score, mark.null, *_reference_cells(one), one.better, mark.conditions,
             mark.stand_ins))
        for one in grid.columns
        for model, mark in zip(grid.models, one.marks, strict=True)
    ]  # fmt: skip
    return Table(grid.note or grid.kind, columns, tuple(rows))


def grid_capacity(models: Sequence[str], width_mm: Points) -> int:
    """Return how many columns fit on a page, with titles of two lines and the longest key."""
    width = width_mm * MM
    across = _fitting(width - _left([fitted(one, width * NAME_SHARE, SMALL) for one in models]))
    block = HEADER + 16 + LINE * max(len(models), 2) + FOOTER
    return across * int((TALLEST - 60) // block)


def score_sheet(grid: ScoreGrid, *, width_mm: Points) -> Sheet:
    """Return each model's score as a dot with its interval, on permuted labels, floor and ceiling, column by column.

    Models stand in the order given; a dot is hollow where something else answered for the model at least once. Raises
    `UsageError` where the grid does not fit on a page.
    """
    with printing():
        return _drawn(grid, width_mm)


def _drawn(grid: ScoreGrid, width_mm: Points) -> Sheet:
    width = width_mm * MM
    scales = _scales(grid)
    entries = _key(grid, scales)
    note = wrapped(grid.note, width) if grid.note else []
    layout = _Layout.of(grid, width, key_height([words for words, _ in entries], width) + 4)
    tall = layout.tops[-1] + layout.height + FOOTER + 8 * len(note)
    if tall > TALLEST:
        raise UsageError(_too_tall(grid, width_mm))
    sheet = Sheet(width_mm, tall, score_table(grid))
    sheet.key(entries, 0)
    for place, one in enumerate(grid.columns):
        left, top = layout.corner(place)
        for i, words in enumerate(reversed(layout.titles[place])):
            sheet.heading(left, top - 17 - 8 * i, words, layout.step)
        sheet.text(left, top - 8, fitted(one.words, layout.step, SMALL))
        axes = sheet.axes(left, top, layout.room, layout.height)
        _draw_column(axes, one, layout.names if place % layout.across == 0 else [""] * len(layout.names), scales[place])
        _write_axis(axes, scales[place], layout.room)
        axes.set_xlabel(_direction(one))
    for i, words in enumerate(note):
        sheet.text(0, tall - 8 * (len(note) - i) + 4, words)
    return sheet


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the columns stand: `tops` are the upper ends of the axes of each line, `titles` the lines of each title."""

    names: tuple[str, ...]
    left: float
    room: float
    across: int
    height: float
    tops: tuple[float, ...]
    titles: tuple[list[str], ...]

    @classmethod
    def of(cls, grid: ScoreGrid, width: float, top: float) -> "_Layout":
        """As many columns on a line as fit, as even as they can be."""
        names = tuple(fitted(one, width * NAME_SHARE, SMALL) for one in grid.models)
        left, columns = _left(names), len(grid.columns)
        lines = math.ceil(columns / _fitting(width - left))
        across = math.ceil(columns / lines)
        room = (width - left - GAP * (across - 1) - 6) / across
        titles = tuple(wrapped(one.title, room + GAP - 4, TEXT, "bold") for one in grid.columns)
        height, tops = LINE * max(len(names), 2), []
        for line in range(lines):
            top += HEADER + 8 * (max(map(len, titles[line * across : (line + 1) * across])) - 1)
            tops.append(top)
            top += height + FOOTER
        return cls(names, left, room, across, height, tuple(tops), titles)

    @property
    def step(self) -> float:
        """How wide what stands over a column may be."""
        return self.room + GAP - 4

    def corner(self, place: int) -> tuple[float, float]:
        """The upper left corner of a column's axes."""
        line, column = divmod(place, self.across)
        return self.left + (self.room + GAP) * column, self.tops[line]


def _fitting(room: float) -> int:
    """How many columns stand side by side."""
    return max(1, int((room - 6 + GAP) // (COLUMN + GAP)))


def _left(names: Sequence[str]) -> float:
    """Where the columns begin."""
    return widest(names, SMALL) + 6


def _too_tall(grid: ScoreGrid, width_mm: Points) -> str:
    wider = f", a width of {max(WIDTHS)} mm" if width_mm < max(WIDTHS) else ""
    return (
        f"{len(grid.models)} models and {len(grid.columns)} columns do not fit on a page of {width_mm} mm; choose "
        f"fewer models or columns{wider}"
    )


def _draw_column(axes: Axes, column: ScoreColumn, names: Sequence[str], scale: "_Scale") -> None:
    rule_axes(axes)
    axes.set_ylim(max(len(names), 2) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelcolor=INK)
    floor, ceiling = _reference_cells(column)
    for value, look in ((floor, _FLOOR), (ceiling, _CEILING)):
        if math.isfinite(value):
            axes.axvline(value, zorder=2, **look)
    for place, mark in enumerate(column.marks):
        _draw_mark(axes, place, mark, scale)


_FLOOR: Look = {"color": INK, "lw": 0.7, "ls": (0, (4, 2.5))}
_CEILING: Look = {"color": GREEN, "lw": 1.0}
_DOT: Look = {"marker": "o", "ms": 3.6, "mew": 0.8, "mec": BLUE, "mfc": BLUE}


@dataclass(frozen=True, slots=True)
class _Scale:
    """The limits of an axis, NaN where there is nothing to show, and whether it is logarithmic."""

    low: float
    high: float
    logarithmic: bool = False

    def cuts(self, interval: Interval) -> tuple[bool, bool]:
        """Whether an interval goes on below and above the axis."""
        return as_float(interval.low) < self.low, as_float(interval.high) > self.high


def _scales(grid: ScoreGrid) -> list[_Scale]:
    """A scale for each column; one for all where they share it."""
    if grid.shared:
        return [_scale(grid.columns)] * len(grid.columns)
    return [_scale([one]) for one in grid.columns]


def _scale(columns: Sequence[ScoreColumn]) -> _Scale:
    """A scale that shows every score and reference, and intervals as far as they leave these readable.

    Logarithmic where positive values span decades. An interval from two or three conditions can be a hundred times as
    wide as everything else; it is cut then, and the cut is marked.
    """
    core = [one for column in columns for one in _core(column)]
    if not core:
        return _Scale(math.nan, math.nan)
    logarithmic = min(core) > 0 and max(core) / min(core) > STRETCH
    bend: Callable[[float], float] = math.log if logarithmic else float
    ends = [one for column in columns for mark in column.marks for one in _ends(mark.score)]
    bent = [bend(one) for one in ends if one > 0 or not logarithmic]
    low, high = bend(min(core)), bend(max(core))
    reach = (LOGARITHMIC_REACH if logarithmic else REACH) * ((high - low) or abs(high) or 1.0)
    low, high = max(min([low, *bent]), low - reach), min(max([high, *bent]), high + reach)
    low, high = finite_limits([low, high])
    return _Scale(math.exp(low), math.exp(high), True) if logarithmic else _Scale(low, high)


def _write_axis(axes: Axes, scale: _Scale, room: float) -> None:
    if math.isnan(scale.low):
        axes.set_xticks([])
    elif not scale.logarithmic:
        value_axis(axes, "x", (scale.low, scale.high), ticks=max(3, int(room // 30)))
    else:
        axes.set(xscale="log", xlim=(scale.low, scale.high))
        axes.tick_params(which="both", length=0)
        plain_numbers(axes, "x")


def _draw_mark(axes: Axes, place: int, mark: Mark, scale: _Scale) -> None:
    score, null = mark.score, mark.null
    if null.bounded:
        axes.plot([as_float(null.low), as_float(null.high)], [place] * 2, zorder=2, **_NULL)
    if null.defined:
        middle = as_float(null.value)
        axes.plot([middle, middle], [place - 0.24, place + 0.24], color=QUIET, lw=0.7, zorder=3)
    if score.bounded:
        ends = [max(as_float(score.low), scale.low), min(as_float(score.high), scale.high)]
        axes.plot(ends, [place] * 2, color=BLUE, lw=0.9, zorder=4)
        for end, cut, arrow in zip(ends, scale.cuts(score), "<>", strict=True):
            if cut:
                axes.plot([end], [place], marker=arrow, zorder=4, clip_on=False, **_CUT)
    if score.defined:
        look = _DOT | ({"mfc": "white"} if mark.stand_ins else {})
        axes.plot([as_float(score.value)], [place], zorder=5, clip_on=False, **look)
    else:
        look = {"size": SMALL, "color": QUIET, "va": "center", "transform": axes.get_yaxis_transform()}
        axes.text(0.0, place, " undefined", **look)


_CUT: Look = {"color": BLUE, "ms": 3.0, "mew": 0, "ls": ""}
_NULL: Look = {"color": PALE, "lw": 4.5}


def _key(grid: ScoreGrid, scales: Sequence[_Scale]) -> list[tuple[str, Look]]:
    """What is drawn, and nothing else."""
    marks = [mark for one in grid.columns for mark in one.marks]
    entries: list[tuple[str, Look]] = [(f"{grid.axis or 'score'}, 95 % interval", {"color": BLUE, "lw": 0.9, **_DOT})]
    if any(one.stand_ins for one in marks):
        entries.append(("with stand-in answers", {"color": BLUE, "lw": 0.9, **_DOT, "mfc": "white"}))
    if any(any(scale.cuts(mark.score)) for one, scale in zip(grid.columns, scales, strict=True) for mark in one.marks):
        entries.append(("interval goes on", {"color": BLUE, "lw": 0.9, **_CUT, "marker": ">", "ls": "-"}))
    if any(one.null.bounded for one in marks):
        entries.append(("permuted labels, 95 %", _NULL))
    elif any(one.null.defined for one in marks):
        entries.append(("permuted labels", {"color": QUIET, "marker": "|", "ms": 5.0, "mew": 0.7, "ls": ""}))
    if any(math.isfinite(as_float(one.references.floor)) for one in grid.columns):
        entries.append(("floor", _FLOOR))
    if any(one.references.ceiling is not None and one.references.ceiling.defined for one in grid.columns):
        entries.append(("ceiling", _CEILING))
    return entries


def _direction(column: ScoreColumn) -> str:
    return {
        "higher": "better \N{RIGHTWARDS ARROW}",
        "lower": "\N{LEFTWARDS ARROW} better",
        "nearer": f"best at {as_float(column.best):g}",
    }[column.better]


def _reference_cells(column: ScoreColumn) -> tuple[float, float]:
    ceiling = column.references.ceiling
    return as_float(column.references.floor), as_float(None if ceiling is None else ceiling.value)


def _core(column: ScoreColumn) -> list[float]:
    """The finite numbers that a column must show: scores, those on permuted labels, floor and ceiling."""
    parts = [one for mark in column.marks for one in (as_float(mark.score.value), *_ends(mark.null))]
    return [one for one in (*parts, *_reference_cells(column)) if math.isfinite(one)]


def _ends(interval: Interval) -> list[float]:
    """The finite numbers of an interval."""
    parts = (interval.value, interval.low, interval.high) if interval.defined else ()
    return [one for one in map(as_float, parts) if math.isfinite(one)]
