"""Tables of mean expression, genes x conditions or conditions x genes, from CSV, TSV or parquet."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from pertura.core.errors import BadDataError, MissingError
from pertura.data.values import LARGEST_LOGARITHM

SUFFIXES = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".parquet": ""}
LARGEST_BYTES = 4 << 30


@dataclass(frozen=True, eq=False)
class MeansTable:
    """Mean expression of each named condition on a panel; `evidence` says how the table was turned."""

    names: tuple[str, ...]
    genes: tuple[str, ...]
    means: Float[np.ndarray, "names genes"]
    evidence: str

    def of(self, name: str) -> Float[np.ndarray, " genes"]:
        """Return the mean of a condition."""
        return self.means[self.names.index(name)]


def is_means_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.suffix.lower() in SUFFIXES


def read_means(path: Path, genes: Sequence[str]) -> MeansTable:
    """Return a table of means on `genes`, in their order, whichever way round it was written.

    The side that names all the genes is the genes' side; where both do, or neither, `BadDataError`. Values that are
    missing, infinite, negative or too large for logarithms are refused.
    """
    if not path.is_file():
        raise MissingError(f"{path}: no such file")
    if path.stat().st_size > LARGEST_BYTES:
        raise BadDataError("is too large for a table of means", file=path, remedy="give cells as .h5ad")
    return means_from_frame(_frame(path), genes, path)


def means_from_frame(frame: pd.DataFrame, genes: Sequence[str], file: object = "table of means") -> MeansTable:
    """Return the means of a data frame; see `read_means`."""
    rows, columns = [str(one) for one in frame.index], [str(one) for one in frame.columns]
    for side, names in (("rows", rows), ("columns", columns)):
        twice = [one for one, count in Counter(names).items() if count > 1]
        if twice:
            raise BadDataError(f"{len(twice)} names of {side} repeat (first: {twice[0]})", file=file)
    values = _numbers(frame, file)
    by_row = _genes_in_rows(rows, columns, genes, file)
    if by_row:
        rows, columns, values = columns, rows, values.T
    place = {one: i for i, one in enumerate(columns)}
    evidence = (
        f"{len(rows):,} conditions x {len(genes):,} genes: the {'rows' if by_row else 'columns'} name all genes of the "
        f"panel{', sorted into its order' if tuple(columns) != tuple(genes) else ''}"
    )
    further = len(columns) - len(genes)
    evidence += f"; {further:,} further genes are left out" if further else ""
    return MeansTable(tuple(rows), tuple(genes), values[:, [place[one] for one in genes]], evidence)


def _frame(path: Path) -> pd.DataFrame:
    separator = SUFFIXES[path.suffix.lower()]
    if not separator:
        return _named_by_first_text(_of_parquet(path))
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            header = next(csv.reader(lines, delimiter=separator), [])
        twice = [one for one, count in Counter(header[1:]).items() if count > 1]
        if twice:
            raise BadDataError(f"{len(twice)} names of columns repeat (first: {twice[0]})", file=path)
        frame = pd.read_csv(path, sep=separator, index_col=0, keep_default_na=True, dtype={0: str})
    except (ValueError, OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadDataError(f"cannot be read as a table ({type(error).__name__}: {error})", file=path) from error
    return frame


def _of_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except MemoryError:
        raise
    except Exception as error:  # its reader raises what it meets, of types of its own that are no ValueError
        problem = f"cannot be read as a table ({type(error).__name__}: {error})"[:300]
        raise BadDataError(problem, file=path, remedy="write it again, or give it as CSV") from error


def _named_by_first_text(frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose row names stand in its first column of text, as files without an index have it."""
    texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.set_index(texts[0]) if texts and isinstance(frame.index, pd.RangeIndex) else frame


def _numbers(frame: pd.DataFrame, file: object) -> Float[np.ndarray, "rows columns"]:
    wrong = [str(name) for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    if wrong or not frame.size:
        problem = f"column {wrong[0]!r} holds no numbers" if wrong else "holds nothing"
        raise BadDataError(problem, file=file, remedy="one row or column of numbers for each condition, names first")
    values = frame.to_numpy(dtype=np.float64)
    for kind, bad in (
        ("not finite", ~np.isfinite(values)),
        ("negative", values < 0),
        (f"above {LARGEST_LOGARITHM:g}, so no means of logarithms", values > LARGEST_LOGARITHM),
    ):
        if bad.any():
            row, column = (int(one) for one in np.argwhere(bad)[0])
            raise BadDataError(
                f"{int(bad.sum()):,} values are {kind}, this is the first",
                file=file,
                place=f"{frame.index[row]}, {frame.columns[column]}",
                remedy="give mean log-normalised expression on the scale of the observed cells",
            )
    return values


def _genes_in_rows(rows: Sequence[str], columns: Sequence[str], genes: Sequence[str], file: object) -> bool:
    wanted = set(genes)
    missing = {"rows": wanted - set(rows), "columns": wanted - set(columns)}
    whole = [side for side, absent in missing.items() if not absent]
    if len(whole) == 1:
        return whole[0] == "rows"
    if whole:
        raise BadDataError("rows and columns both name every gene", file=file, remedy="leave conditions out of one")
    side = min(missing, key=lambda one: len(missing[one]))
    absent = sorted(missing[side])
    raise BadDataError(
        f"{len(absent):,} of {len(wanted):,} observed genes are missing from its {side} (first: {absent[0]})",
        file=file,
        remedy="give a mean for every gene of the observed cells",
    )
