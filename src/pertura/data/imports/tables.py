"""Small tables from CSV or TSV files, whose columns go by many names."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pertura.core.errors import BadDataError, UsageError
from pertura.data.conventions import nearest
from pertura.data.imports.text import lines

MOST_ROWS = 20_000_000
MOST_COLUMNS = 2_000
DELIMITERS = ("\t", ",", ";")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of text under named columns, each with its line in the file. A column without a name is called ""."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]

    def values(self, column: str) -> tuple[str, ...]:
        """Return a column without outer space."""
        at = self.columns.index(column)
        return tuple(row[at].strip() for row in self.rows)

    def place(self, row: int) -> str:
        """Return where a row stands in the file, for an error."""
        return f"line {self.numbers[row]}"


def read_table(path: Path) -> Table:
    """Return a CSV or TSV file with a header; a malformed line raises `BadDataError` with its number."""
    numbered = lines(path)
    number, header = next(numbered, (1, ""))
    if not header.strip():
        raise BadDataError("has no header", file=path, place="line 1", remedy="begin with a line of column names")
    mark = next((one for one in DELIMITERS if one in header), ",")
    columns = [name.strip() for name in _fields([(number, header)], mark, path)[0][1]]
    found = _fields(numbered, mark, path)
    if found and all(len(row) == len(columns) + 1 for _, row in found):
        columns = ["", *columns]  # R writes row names without a name for their column
    _check(columns, found, path)
    return Table(path, tuple(columns), tuple(tuple(row) for _, row in found), tuple(number for number, _ in found))


def _fields(numbered: Iterable[tuple[int, str]], mark: str, path: Path) -> list[tuple[int, list[str]]]:
    at = [1]

    def texts() -> Iterable[str]:
        for number, line in numbered:
            at[0] = number
            yield line

    found: list[tuple[int, list[str]]] = []
    try:
        for row in csv.reader(texts(), delimiter=mark, strict=True):
            if row:
                found.append((at[0], row))
            if len(found) > MOST_ROWS:
                raise BadDataError(f"has more than {MOST_ROWS:,} rows", file=path)
    except csv.Error as error:
        remedy = "write it again as plain CSV or TSV"
        raise BadDataError(f"cannot be read ({error})", file=path, place=f"line {at[0]}", remedy=remedy) from error
    return found


def _check(columns: Sequence[str], rows: Sequence[tuple[int, list[str]]], path: Path) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1}) if len(columns) <= MOST_COLUMNS else ["?"]
    if twice:
        problem = f"the column {twice[0]!r} is there twice" if len(columns) <= MOST_COLUMNS else "too many columns"
        raise BadDataError(problem, file=path, place="line 1", remedy="give each column a name of its own")
    for number, row in rows:
        if len(row) != len(columns):
            problem = f"has {len(row)} values under {len(columns)} columns"
            raise BadDataError(problem, file=path, place=f"line {number}", remedy="give each column one value")


def column_named(table: Table, given: str | None, known: Sequence[str], meaning: str, flag: str) -> str:
    """Return the column that holds `meaning`: the given one, or the first of the known names that is there."""
    if given is not None:
        if given not in table.columns:
            raise UsageError(f"{flag} {given!r}: {table.path} has no such column{nearest(given, table.columns)}")
        return given
    plain = {_plain(name): name for name in table.columns}
    for name in known:
        if name in plain:
            return plain[name]
    raise UsageError(
        f"{table.path} has no column of a known name for {meaning} ({', '.join(filter(None, known))}); it has "
        f"{', '.join(repr(name) for name in table.columns)}: say which with {flag}"
    )


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_").replace(".", "_")
