"""The skeleton of a prediction file: which genes, conditions and cells a model has to fill in, and its controls."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anndata.io
import h5py
import numpy as np
import pandas as pd
from jaxtyping import Int

from pertura.core.atomic import replacing
from pertura.core.errors import BadDataError
from pertura.core.expression import BLOCK_CELLS, blocks
from pertura.data.conventions import MODE_COLUMNS, known
from pertura.data.elements import read_element
from pertura.data.labelled import Labelled
from pertura.data.labelled_file import LabelColumns, open_labelled
from pertura.data.stores import names_in, opened

FORMAT = "pertura-template"
FORMAT_VERSION = 1
CHUNK = (64, 1024)
Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What a template asks for: labels and cells to fill in, and the control cells it gives."""

    labels: int
    cells: int
    controls: int
    genes: int


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say of a template that was not filled in that this is what is wrong with it."""
    try:
        yield
    except BadDataError as error:
        if "NaN" not in error.problem or not _is_template(path):
            raise
        raise BadDataError(
            f"this template is not filled in: {error.problem}",
            file=path,
            place=error.place,
            remedy="write predicted expression into every row that is not control, or leave those cells out",
        ) from error


def _is_template(path: Path) -> bool:
    with opened(path) as file:
        return FORMAT in names_in(file.get("uns"))


def write_template(observed: Path, out: Path, columns: LabelColumns, wanted: Sequence[str], controls: Rows) -> Skeleton:
    """Write the skeleton: a row of NaN for each observed cell of the `wanted` labels, then these control cells.

    obs keeps the columns of label, context, batch and mode. Reading it back before it is filled in is refused.
    """
    cells = open_labelled(observed, columns)
    rows = np.concatenate([cells.cells.rows_of(one) for one in wanted] + [controls])
    with opened(observed) as file:
        obs: pd.DataFrame = read_element(file["obs"])
    kept = [one for one in _columns(columns, cells.column) if one in obs.columns]
    empty = len(rows) - len(controls)
    record = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "perturbation_column": cells.column,
        "control": cells.cells.control,
        "to_fill": empty,
    }
    with replacing(out) as temporary, h5py.File(temporary, "w") as target:
        target.attrs["encoding-type"], target.attrs["encoding-version"] = "anndata", "0.1.0"
        _write_matrix(target, cells.cells, empty, controls)
        for group in ("layers", "obsm", "varm", "obsp", "varp"):
            anndata.io.write_elem(target, group, {})
        anndata.io.write_elem(target, "obs", obs.iloc[rows][kept])
        anndata.io.write_elem(target, "var", pd.DataFrame(index=pd.Index(cells.cells.genes, dtype=object)))
        anndata.io.write_elem(target, "uns", {FORMAT: json.dumps(record, sort_keys=True)})
    return Skeleton(len(wanted), empty, len(controls), len(cells.cells.genes))


def _columns(columns: LabelColumns, label: str) -> list[str]:
    given = [label, *([columns.context] if columns.context else [])]
    return list(dict.fromkeys([*given, *known("context_columns"), *known("batch_columns"), *MODE_COLUMNS]))


def _write_matrix(file: h5py.File, cells: Labelled, empty: int, controls: Rows) -> None:
    shape = (empty + len(controls), len(cells.genes))
    chunks = tuple(max(min(have, most), 1) for have, most in zip(shape, CHUNK, strict=True))
    data = file.create_dataset(
        "X", shape=shape, dtype=np.float32, chunks=chunks, compression="gzip", compression_opts=1, track_times=False
    )
    data.attrs["encoding-type"], data.attrs["encoding-version"] = "array", "0.2.0"
    for start in range(0, empty, BLOCK_CELLS):
        data[start : min(start + BLOCK_CELLS, empty)] = np.nan
    start = empty
    for block in blocks(cells.expression, controls):
        data[start : start + len(block)] = block.astype(np.float32)
        start += len(block)
