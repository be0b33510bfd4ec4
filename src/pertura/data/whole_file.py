"""From cells back to the AnnData they were read from, with everything else it held."""

from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Int

from pertura.core.cells import Cells
from pertura.core.expression import Expression, InMemory, Rows, Subset
from pertura.data.backed import BackedRows
from pertura.data.elements import read_element
from pertura.data.stores import Group, is_by_columns, names_in, root_of

CONDITION, CONTEXT, BATCH = "condition", "context", "batch"
BESIDE = ("obs", "var", "uns", "obsm", "varm", "obsp", "varp", "raw")
Columns = Int[np.ndarray, " genes"]


@dataclass(frozen=True, slots=True, eq=False)
class Held(InMemory):
    """A matrix in memory that knows the AnnData, or the file of one, that it is the X of."""

    origin: anndata.AnnData | Path


def to_anndata(cells: Cells) -> anndata.AnnData:
    """Return cells as an AnnData that scanpy takes, in the order of the cells.

    Cells that were read from an AnnData or a file bring back everything it holds beside them: obs, var, uns, layers,
    obsm, varm, obsp, varp, raw, for their cells and genes. Where their values are no longer those of its X (counts
    that were normalised, another table altogether), they come as they are now, with condition, context and batch in
    obs and the gene names in var.
    """
    place = _place_of(cells.expression)
    if place is None:
        return _bare(cells)
    origin, rows, columns = place
    found = _all_of(origin) if rows is None else _rows_of(origin, rows)
    return found if columns is None else found[:, columns].copy()


def _all_of(origin: anndata.AnnData | Path) -> anndata.AnnData:
    if isinstance(origin, anndata.AnnData):
        return origin.copy()
    return anndata.read_zarr(root_of(origin)) if origin.is_dir() else anndata.read_h5ad(origin)


def _rows_of(origin: anndata.AnnData | Path, rows: Rows) -> anndata.AnnData:
    """Some cells in their order; of a file no more of X is read than they need."""
    if isinstance(origin, anndata.AnnData):
        return origin[rows].copy()
    if origin.is_dir():
        return _rows_of_store(root_of(origin), origin, rows)
    wanted, back = np.unique(rows, return_inverse=True)
    whole = anndata.read_h5ad(origin, backed="r")
    try:
        found = whole[wanted].to_memory()
    finally:
        whole.file.close()
    if not np.array_equal(back, np.arange(len(wanted))):
        return found[back].copy()
    for place in (found.obsm, found.varm, found.obsp, found.varp, found.layers):
        for name in list(place):
            place[name] = place[name].copy()  # anndata leaves views here, of types of its own
    return found


def _rows_of_store(root: Group, path: Path, rows: Rows) -> anndata.AnnData:
    """Some cells of a zarr store; its X and layers are read row by row, all else as a whole."""
    parts = {name: read_element(root[name]) for name in BESIDE if name in root}
    whole = anndata.AnnData(**parts)
    found = whole[rows].copy()
    found.X = BackedRows(path).rows(rows)
    for name in names_in(root.get("layers")):
        layer = f"layers/{name}"
        by_rows = not is_by_columns(root[layer])
        found.layers[name] = BackedRows(path, layer).rows(rows) if by_rows else read_element(root[layer])[rows]
    return found


def _place_of(expression: Expression) -> tuple[anndata.AnnData | Path, Rows | None, Columns | None] | None:
    """The AnnData or file of an expression, with the rows and columns of it that are taken; None for all of them."""
    if isinstance(expression, Held):
        return expression.origin, None, None
    if isinstance(expression, BackedRows):
        return (expression.path, None, None) if expression.place == "X" else None
    if not isinstance(expression, Subset):
        return None
    inner = _place_of(expression.source)
    if inner is None:
        return None
    origin, rows, columns = inner
    rows = expression.index if rows is None else rows[expression.index]
    if expression.columns is not None:
        columns = expression.columns if columns is None else columns[expression.columns]
    return origin, rows, columns


def _bare(cells: Cells) -> anndata.AnnData:
    labels = [one.perturbation.label for one in cells.conditions]
    contexts = [one.context for one in cells.conditions]
    columns = {CONDITION: labels, CONTEXT: contexts}
    frame = pd.DataFrame({name: pd.Categorical(_of_cells(values, cells.codes)) for name, values in columns.items()})
    if cells.batch_codes is not None:
        frame[BATCH] = pd.Categorical(_of_cells(list(cells.batches), cells.batch_codes))
    if cells.library_sizes is not None:
        frame["library_size"] = cells.library_sizes
    frame.index = pd.Index([str(one) for one in cells.ids], dtype=object)
    every = cells.expression.rows(np.arange(len(cells)))
    var = pd.DataFrame(index=pd.Index(cells.genes, dtype=object))
    return anndata.AnnData(every.copy(), obs=frame, var=var)


def _of_cells(values: list[str], codes: Rows) -> list[str]:
    return [values[code] for code in codes]
