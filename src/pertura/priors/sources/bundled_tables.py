"""The tables that come with the package, row by row, exactly as they are."""

import gzip
from collections.abc import Iterator
from importlib import resources

from pertura.core.errors import BadDataError


def rows_of(table: str, columns: int) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a bundled table of knowledge; each has `columns` fields."""
    packed = resources.files("pertura.priors").joinpath("bundled", table).read_bytes()
    for number, line in enumerate(gzip.decompress(packed).decode("utf-8").splitlines(), start=1):
        row = tuple(line.split("\t"))
        if len(row) != columns:
            raise BadDataError(f"{len(row)} fields, there should be {columns}", file=table, place=f"line {number}")
        yield row
