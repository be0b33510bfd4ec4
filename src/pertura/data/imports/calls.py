"""Which guides were found in which cell: what cellranger called, or what another tool assigned."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pertura.core.errors import BadDataError, UsageError
from pertura.data.imports.guides import Guides
from pertura.data.imports.tables import Table, column_named, read_table

BARCODE_COLUMNS = ("cell_barcode", "barcode", "cell", "cell_id", "barcodes", "cells", "cb", "index", "")
CALL_COLUMNS = ("feature_call",)
NUMBER_COLUMN, UMI_COLUMN = "num_features", "num_umis"
JOINS = ("|", ";")
NONE_WORDS = frozenset(
    ("", "none", "na", "nan", "null", "negative", "unassigned", "no call", "no_call", "nocall", "no guide", "no_guide")
)
SEVERAL_WORDS = frozenset(("multiplet", "multiplets", "doublet", "multiple", "multi", "ambiguous"))
SEVERAL = ("multiplet",)
"""What stands for the guides of a cell that a tool found to hold several without saying which."""


@dataclass(frozen=True, eq=False)
class Calls:
    """Barcode -> the guides called in it (none, one or more), and their UMI counts as the file writes them."""

    path: Path
    guides: Mapping[str, tuple[str, ...]]
    umis: Mapping[str, str]


def read_calls(path: Path, guides: Guides, column: str | None = None) -> Calls:
    """Return the calls of a table with a barcode column and a column of guides joined by `|` (or `;`).

    `column` names that of another tool. A barcode that is there twice, or a number of guides that is not the stated
    one, raises `BadDataError` with its line.
    """
    table = read_table(path)
    barcodes = column_named(table, None, BARCODE_COLUMNS, "the cell barcode", "a column named barcode")
    called = column_named(table, column, CALL_COLUMNS, "the guides of a cell", "--assignment-column")
    umis = dict(zip(table.values(barcodes), table.values(UMI_COLUMN))) if UMI_COLUMN in table.columns else {}
    found: dict[str, tuple[str, ...]] = {}
    for row, (barcode, names) in enumerate(_rows(table, barcodes, called, guides)):
        if not barcode or barcode in found:
            problem = f"barcode {barcode} is there twice" if barcode else "has no barcode"
            raise BadDataError(problem, file=path, place=table.place(row), remedy="give each cell one line")
        found[barcode] = names
    return Calls(path, found, umis)


def _rows(table: Table, barcodes: str, called: str, guides: Guides) -> Iterator[tuple[str, tuple[str, ...]]]:
    stated = table.values(NUMBER_COLUMN) if NUMBER_COLUMN in table.columns and called in CALL_COLUMNS else None
    for row, (barcode, text) in enumerate(zip(table.values(barcodes), table.values(called))):
        names = guides_in(text, guides)
        if stated is not None and stated[row] != str(len(names)):
            problem = f"{NUMBER_COLUMN} is {stated[row]!r}, but {text!r} names {len(names)}"
            raise BadDataError(problem, file=table.path, place=table.place(row), remedy="export the calls again")
        yield barcode, names


def guides_in(text: str, guides: Guides) -> tuple[str, ...]:
    """Return the guides that a call names: none, one, or several joined by a mark that is no part of a guide's name."""
    if text.lower() in NONE_WORDS:
        return ()
    if guides.known(text) is not None:
        return (text,)
    if text.lower() in SEVERAL_WORDS:
        return SEVERAL
    mark = next((one for one in JOINS if one in text), None)
    return tuple(part.strip() for part in text.split(mark)) if mark else (text,)


def calls_of_lane(calls: Calls, lane: int, lanes: int) -> Calls:
    """Return the calls of one of several lanes from a table of all: its barcodes end in the lane's number, from 1."""
    if lanes == 1:
        return calls
    suffixes = {barcode.rpartition("-")[2] for barcode in calls.guides}
    wanted = {str(i + 1) for i in range(lanes)}
    if suffixes != wanted:
        shown = ", ".join(sorted(suffixes)[:5])
        raise UsageError(
            f"{calls.path}: one table for {lanes} folders must tell lanes apart by the number after the barcode, -1 to "
            f"-{lanes} (it has {shown}); give --assignments once for each folder"
        )
    end = f"-{lane + 1}"
    here = {one: names for one, names in calls.guides.items() if one.endswith(end)}
    return Calls(calls.path, here, {one: calls.umis[one] for one in here if one in calls.umis})
