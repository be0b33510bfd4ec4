"""Tables of plain values: typed columns, rows with footnotes; as words, aligned text and CSV."""

import csv
import io
import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pertura.core.errors import UsageError
from pertura.report.wording import MINUS, Number, as_float, count, decimals_for, number, printable

Kind = Literal["text", "number", "interval", "count", "flag"]
Better = Literal["higher", "lower"]
BEST_NOTE = "*: best of its column at the decimals shown; that says nothing about noise."
ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}"}


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the ends of its interval; any of them may be undefined."""

    value: Number | None
    low: Number | None = None
    high: Number | None = None

    @property
    def defined(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(as_float(self.value))

    @property
    def bounded(self) -> bool:
        """Whether both ends are known."""
        return math.isfinite(as_float(self.low)) and math.isfinite(as_float(self.high))


Cell = str | Number | bool | np.bool_ | Interval | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its kind, what it means, and which end is better.

    `digits` are the decimals of numbers around one; a column of smaller numbers gets more, of larger ones fewer.
    """

    title: str
    kind: Kind = "text"
    hint: str = ""
    digits: int = 3
    better: Better | None = None

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers, which stand flush right."""
        return self.kind in ("number", "interval", "count")

    @property
    def heading(self) -> str:
        """The title, with an arrow towards the better end."""
        return f"{self.title} {ARROWS[self.better]}" if self.better else self.title


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. `marks` become footnotes; a `reference` row (floor, null, ceiling) never counts as best."""

    cells: tuple[Cell, ...]
    marks: tuple[str, ...] = ()
    group: str = ""
    reference: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows under a caption. Rows of one `group` stand together in the order of its first row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise UsageError(
                    f"table {self.caption!r}: a row of {len(row.cells)} cells for {len(self.columns)} columns"
                )

    @property
    def groups(self) -> dict[str, list[int]]:
        """Group -> positions of its rows, in order of appearance."""
        found: dict[str, list[int]] = {}
        for position, row in enumerate(self.rows):
            found.setdefault(row.group, []).append(position)
        return found

    @property
    def footnotes(self) -> dict[str, str]:
        """Each distinct mark of the rows -> its letter."""
        marks = dict.fromkeys(
            mark for positions in self.groups.values() for i in positions for mark in self.rows[i].marks
        )
        return {mark: _letter(i) for i, mark in enumerate(marks)}


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell in words. `interval` is "" where the column has none."""

    value: str
    interval: str = ""
    undefined: bool = False
    best: bool = False

    @property
    def line(self) -> str:
        """Value and interval on one line."""
        return f"{self.value} {self.interval}".rstrip()


def shown(table: Table) -> list[list[Shown]]:
    """Return the cells of each row in words, the best of each column marked.

    Best is what reads the same as the best value at the decimals shown, among at least two rows that compete; a
    difference that the table does not show is not claimed.
    """
    columns = [_shown_column(table, position) for position in range(len(table.columns))]
    return [[column[row] for column in columns] for row in range(len(table.rows))]


def to_text(table: Table, width: int | None = None) -> str:
    """Return the table aligned for a terminal; columns that do not fit in `width` follow below, names repeated."""
    words = shown(table)
    cells = [[_text_cell(column, one) for column, one in zip(table.columns, row, strict=True)] for row in words]
    letters = table.footnotes
    for row, line in zip(table.rows, cells, strict=True):
        line[0] += "".join(f" [{letters[mark]}]" for mark in row.marks)
    headings = [printable(column.heading) for column in table.columns]
    widths = [max([len(headings[i]), *(len(line[i]) for line in cells)]) for i in range(len(headings))]
    blocks = [_text_block(table, headings, cells, widths, chosen) for chosen in _chunks(widths, width)]
    notes = [f"[{letter}] {printable(mark)}" for mark, letter in letters.items()]
    notes += [BEST_NOTE] if any(one.best for row in words for one in row) else []
    notes += [table.note] if table.note else []
    return "\n".join([printable(table.caption), "", "\n\n".join(blocks), *([""] if notes else []), *notes]) + "\n"


def csv_rows(table: Table) -> list[list[str]]:
    """Return heading and rows for a CSV file: numbers in full, an interval as three columns, undefined as nothing."""
    grouped, noted = any(row.group for row in table.rows), any(row.marks for row in table.rows)
    heading: list[str] = ["group"] if grouped else []
    for column in table.columns:
        heading += [column.title]
        heading += [f"{column.title}_low", f"{column.title}_high"] if column.kind == "interval" else []
    lines = [heading + (["notes"] if noted else [])]
    for row in table.rows:
        line = [printable(row.group)] if grouped else []
        for column, cell in zip(table.columns, row.cells, strict=True):
            line += _csv_cells(column, cell)
        lines.append(line + ([printable("; ".join(row.marks))] if noted else []))
    return lines


def to_csv(table: Table) -> str:
    """Return the text of a CSV file of the table."""
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows(csv_rows(table))
    return sink.getvalue()


def _text_cell(column: Column, cell: Shown) -> str:
    """A cell for the terminal; a column that has a better end keeps a place for the mark of the best."""
    return cell.line + ("" if column.better is None else " *" if cell.best else "  ")


def _letter(position: int) -> str:
    letters = string.ascii_lowercase
    return (letters[position // 26 - 1] if position >= 26 else "") + letters[position % 26]


def _shown_column(table: Table, position: int) -> list[Shown]:
    column = table.columns[position]
    cells = [row.cells[position] for row in table.rows]
    values = [_value(column, cell) for cell in cells]
    decimals = 0 if column.kind == "count" else decimals_for(map(_size, cells), column.digits)
    words = [_in_words(column, cell, decimals) for cell in cells]
    rivals = [i for i, row in enumerate(table.rows) if not row.reference and math.isfinite(values[i])]
    if column.better is None or len(rivals) < 2:
        return words
    choose = max if column.better == "higher" else min
    best = words[choose(rivals, key=lambda i: values[i])].value
    return [
        Shown(one.value, one.interval, one.undefined, best=i in rivals and one.value == best)
        for i, one in enumerate(words)
    ]


def _value(column: Column, cell: Cell) -> float:
    """The number a cell is judged by; NaN where it has none."""
    if not column.numeric or cell is None or isinstance(cell, str | bool | np.bool_):
        return math.nan
    return as_float(cell.value if isinstance(cell, Interval) else cell)


def _size(cell: Cell) -> float:
    """What decides the decimals of a cell: its largest number, so that a wide interval around zero stays short."""
    numbers = (cell.value, cell.low, cell.high) if isinstance(cell, Interval) else (cell,)
    plain = [abs(as_float(one)) for one in numbers if not isinstance(one, str | bool | np.bool_)]
    return max((one for one in plain if math.isfinite(one)), default=math.nan)


def _has_ends(cell: Interval) -> bool:
    """A bare value (a reference) has no interval; one of which an end is unknown shows the dash."""
    return cell.low is not None or cell.high is not None


def _in_words(column: Column, cell: Cell, decimals: int) -> Shown:
    if isinstance(cell, Interval):
        ends = f"[{number(cell.low, decimals)}, {number(cell.high, decimals)}]" if _has_ends(cell) else ""
        return Shown(number(cell.value, decimals), ends if cell.defined else "", undefined=not cell.defined)
    if isinstance(cell, str):
        return Shown(printable(cell))
    if isinstance(cell, bool | np.bool_):
        return Shown("yes" if cell else "no")
    if math.isnan(as_float(cell)):
        return Shown(number(None), undefined=True)
    return Shown(count(cell) if column.kind == "count" else number(cell, decimals))


def _csv_cells(column: Column, cell: Cell) -> list[str]:
    if column.kind == "interval":
        if isinstance(cell, Interval):
            return [_csv_number(cell.value), _csv_number(cell.low), _csv_number(cell.high)]
        return [_csv_single(cell), "", ""]
    return [_csv_single(cell)]


def _csv_single(cell: Cell) -> str:
    if isinstance(cell, Interval):
        return _csv_number(cell.value)
    if isinstance(cell, str):
        return printable(cell)
    if isinstance(cell, bool | np.bool_):
        return "yes" if cell else "no"
    return _csv_number(cell)


def _csv_number(value: Number | None) -> str:
    if isinstance(value, int | np.integer):
        return str(int(value))
    return "" if math.isnan(as_float(value)) else repr(as_float(value))


def _chunks(widths: Sequence[int], most: int | None) -> list[list[int]]:
    """Positions of the columns of each block; the first column leads them all."""
    chunks: list[list[int]] = [[0]]
    room = 0 if most is None else most - widths[0]
    left = room
    for position in range(1, len(widths)):
        left -= widths[position] + 2
        if most is not None and left < 0 and len(chunks[-1]) > 1:
            chunks.append([0])
            left = room - widths[position] - 2
        chunks[-1].append(position)
    return chunks


def _text_block(
    table: Table, headings: Sequence[str], cells: Sequence[Sequence[str]], widths: Sequence[int], chosen: Sequence[int]
) -> str:
    def aligned(line: Sequence[str]) -> str:
        parts = (line[i].rjust(widths[i]) if table.columns[i].numeric else line[i].ljust(widths[i]) for i in chosen)
        return "  ".join(parts).rstrip().replace(MINUS, "-")

    lines = [aligned(headings), "  ".join("-" * widths[i] for i in chosen)]
    for group, positions in table.groups.items():
        lines += [f"{printable(group)}:"] if group else []
        lines += [aligned(cells[i]) for i in positions]
    return "\n".join(lines)
