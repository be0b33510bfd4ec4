"""A table that its reader can sort, in a page that runs no script: each order is written down, a style chooses one."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from pertura.core.errors import UsageError
from pertura.report.tables import Cell, Interval, Table
from pertura.report.wording import as_float

_NAME = re.compile(r"[a-z][a-z0-9-]*")
MOST_ROWS = 2000
"""Every row carries its place in every order: beyond this the page grows by megabytes."""


@dataclass(frozen=True)
class SortableTable:
    """A table whose headings sort it. `name` tells it from others of its page; `first` is the column whose order,
    smallest first, it starts with; by default the rows stand as they are.

    Columns of numbers and of text can be sorted by; undefined values stand last either way. More than 2,000 rows raise
    `UsageError`.
    """

    kind: ClassVar[str] = "sortable"
    table: Table
    name: str = "table"
    first: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"a sortable table is called by a plain word, not {self.name!r}")
        if len(self.table.rows) > MOST_ROWS:
            raise UsageError(f"{len(self.table.rows)} rows: a page takes {MOST_ROWS} to sort; write a file beside it")

    @property
    def sortable(self) -> tuple[int, ...]:
        """The columns that can be sorted by."""
        return tuple(range(len(self.table.columns)))

    @cached_property
    def styles(self) -> tuple[str, ...]:
        """For each row its place in every order, as style properties: only numbers go in."""
        orders = [(place, _places([row.cells[place] for row in self.table.rows])) for place in self.sortable]
        return tuple(
            ";".join(f"--u{place}:{up[row]};--d{place}:{down[row]}" for place, (up, down) in orders)
            for row in range(len(self.table.rows))
        )


def _places(cells: Sequence[Cell]) -> tuple[list[int], list[int]]:
    """Return the place of each cell from the smallest, and from the largest; equal cells keep the order of the rows."""
    keys = [_key(one) for one in cells]
    known = [i for i, (missing, _, _) in enumerate(keys) if not missing]
    last = [i for i, (missing, _, _) in enumerate(keys) if missing]
    up = sorted(known, key=lambda i: keys[i][1:])
    down = sorted(known, key=lambda i: keys[i][1:], reverse=True)
    return _inverse(up + last), _inverse(down + last)


def _inverse(order: Sequence[int]) -> list[int]:
    places = [0] * len(order)
    for place, row in enumerate(order):
        places[row] = place
    return places


def _key(cell: Cell) -> tuple[bool, float, str]:
    if isinstance(cell, str):
        return not cell, 0.0, cell.casefold()
    if isinstance(cell, bool | np.bool_):
        return False, float(cell), ""
    size = as_float(cell.value if isinstance(cell, Interval) else cell)
    return math.isnan(size), 0.0 if math.isnan(size) else size, ""
