"""Labelled cells from .h5ad files, .zarr stores and AnnData: labels are taken as they are spelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Int, Shaped

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import BLOCK_CELLS, Expression, InMemory, as_expression
from pertura.core.perturbation import Perturbation
from pertura.data.backed import BackedRows
from pertura.data.conventions import known, nearest
from pertura.data.elements import read_element
from pertura.data.labelled import Labelled
from pertura.data.stores import Array, Group, opened
from pertura.data.validate import walk_file
from pertura.data.values import Refusal, Tally

IN_MEMORY_BYTES = 1 << 30
TRUTH = "truth"
"""The layer that holds observed cells beside predicted ones."""


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Which columns of obs hold label and context, and how control is spelled; None is recognised.

    A context is never recognised: where it is not given, all cells count as one.
    """

    perturbation: str | None = None
    control: str | None = None
    context: str | None = None


@dataclass(frozen=True, eq=False)
class LabelledFile:
    """All labelled cells of a file, the context of each, and what is known of the numbers.

    `whole` says that every value is a whole number. `notes` tell what was assumed.
    """

    cells: Labelled
    column: str
    contexts: tuple[str, ...]
    context_codes: Int[np.ndarray, " cells"]
    whole: bool
    notes: tuple[str, ...] = ()

    def of(self, context: str) -> Labelled:
        """Return the cells of a context with the labels that occur in it; without control raises `BadDataError`."""
        if self.contexts == (context,):
            return self.cells
        mine = self.cells.take(np.flatnonzero(self.context_codes == self.contexts.index(context)))
        present = [one for one, size in mine.counts.items() if size]
        if mine.control not in present:
            raise BadDataError(f"{mine.name}: no control cell in context {context!r}", remedy="add its controls")
        return mine.only(present)


def open_labelled(
    path: Path, columns: LabelColumns | None = None, *, layer: str = "", in_memory_bytes: int = IN_MEMORY_BYTES
) -> LabelledFile:
    """Return the labelled cells of an .h5ad or .zarr, from X or from a layer of it.

    The file is walked first. Expression of more than `in_memory_bytes` stays on disk. Raises `BadDataError` for values
    that are no expression, and `UsageError` where the columns are not clear.
    """
    facts = walk_file(path)
    place = f"layers/{layer}" if layer else "X"
    if layer and layer not in facts.layers:
        raise BadDataError("is not there", file=path, place=place, remedy=f"layers are: {', '.join(facts.layers)}")
    try:
        with opened(path) as file:
            obs, var = read_element(file["obs"]), read_element(file["var"])
            expression = _expression(path, file, place, in_memory_bytes)
        genes, ids = _names(var.index), np.asarray(obs.index.astype(str), dtype=object)
        whole = _whole(expression, place, genes, ids) if layer else facts.whole_share == 1.0
        return _assembled(expression, genes, obs, columns or LabelColumns(), (path.stem, whole))
    except BadDataError as error:
        if error.file is not None:
            raise
        raise BadDataError(error.problem, file=path, place=error.place, remedy=error.remedy) from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BadDataError(f"cannot be read ({type(error).__name__}: {error})", file=path) from error


def labelled_of_cells(cells: Cells) -> LabelledFile:
    """Return measured cells with the spelling of their perturbation as label; control is `control`."""
    labels = tuple(sorted({one.perturbation.label for one in cells.present}))
    place = {one: i for i, one in enumerate(labels)}
    contexts = cells.contexts
    label_of = np.asarray([place.get(one.perturbation.label, -1) for one in cells.conditions], dtype=np.int64)
    context_of = np.asarray([(*contexts, one.context).index(one.context) for one in cells.conditions], dtype=np.int64)
    made = Labelled(
        cells.expression, cells.genes, cells.ids, labels, label_of[cells.codes], Perturbation().label, cells.name
    )
    return LabelledFile(made, "", contexts, context_of[cells.codes], cells.scale.kind == "counts", cells.notes)


def layer_of_file(
    path: Path, layer: str, genes: Sequence[str], ids: Shaped[np.ndarray, " cells"]
) -> tuple[Expression, bool]:
    """Return a layer of a walked file, and whether it holds whole numbers only; what is no expression is refused."""
    place = f"layers/{layer}"
    try:
        with opened(path) as file:
            expression = _expression(path, file, place, IN_MEMORY_BYTES)
        return expression, _whole(expression, place, genes, ids)
    except BadDataError as error:
        raise BadDataError(error.problem, file=path, place=error.place, remedy=error.remedy) from error
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BadDataError(f"cannot be read ({type(error).__name__}: {error})", file=path, place=place) from error


def labelled_from_anndata(
    adata: anndata.AnnData, columns: LabelColumns | None = None, *, layer: str = "", name: str = "AnnData"
) -> LabelledFile:
    """Return the labelled cells of an AnnData in memory, from X or from a layer of it; see `open_labelled`."""
    values = adata.layers[layer] if layer else adata.X
    if adata.isbacked or values is None:
        raise UsageError(f"{name} holds no values in memory; give the path of its file")
    expression = as_expression(values if sp.issparse(values) else np.asarray(values))
    ids, genes = np.asarray(adata.obs_names.astype(str), dtype=object), _names(adata.var_names)
    whole = _whole(expression, f"layers/{layer}" if layer else "X", genes, ids)
    return _assembled(expression, genes, adata.obs, columns or LabelColumns(), (name, whole))


def _names(index: pd.Index) -> tuple[str, ...]:
    return tuple(str(one) for one in index)


def _assembled(
    expression: Expression,
    genes: tuple[str, ...],
    obs: pd.DataFrame,
    columns: LabelColumns,
    about: tuple[str, bool],
) -> LabelledFile:
    column, control, notes = found_columns(obs, columns)
    labels, codes = _coded(obs, column)
    contexts: tuple[str, ...] = ("",)
    context_codes = np.zeros(len(obs), dtype=np.int64)
    if columns.context is not None:
        contexts, context_codes = _coded(obs, columns.context)
    else:
        notes += _pooled(obs)
    ids, repeated = _told_apart(obs.index)
    if repeated:
        notes += (f"{about[0]}: {repeated:,} cell names repeat; the cells are told apart by their order",)
    cells = Labelled(expression, genes, ids, labels, codes, control, about[0])
    return LabelledFile(cells, column, contexts, context_codes, about[1], notes)


# ---- columns


def found_columns(obs: pd.DataFrame, columns: LabelColumns) -> tuple[str, str, tuple[str, ...]]:
    """Return the column of labels, the label of control, and what was assumed; `UsageError` where it is not clear."""
    column = columns.perturbation if columns.perturbation is not None else _recognised(obs, columns.control)
    if column not in obs.columns:
        names = [str(one) for one in obs.columns]
        raise UsageError(f"--perturbation-column {column!r}: obs has no such column{nearest(column, names)}")
    labels = {str(one) for one in obs[column].dropna().unique()}
    if columns.control is not None:
        if columns.control not in labels:
            raise BadDataError(
                f"no control: no cell is labelled {columns.control!r}",
                place=f"obs[{column!r}]",
                remedy=f"say how control is spelled with --control; labels are {_some(labels)}",
            )
        return column, columns.control, ()
    present = [one for one in known("control_labels") if one in labels]
    if len(present) > 1:
        raise UsageError(f"obs[{column!r}] holds {' and '.join(present)}: say which is control with --control")
    if not present:
        raise BadDataError(
            f"no control cells: none is labelled {' or '.join(known('control_labels'))}",
            place=f"obs[{column!r}]",
            remedy=f"say how control is spelled with --control; labels are {_some(labels)}",
        )
    return column, present[0], ()


def _recognised(obs: pd.DataFrame, control: str | None) -> str:
    """The one column of a known name that holds a control label; columns that say the same count once."""
    wanted = {control} if control is not None else set(known("control_labels"))
    here = [one for one in known("perturbation_columns") if one in obs.columns]
    holding = [one for one in here if wanted & {str(label) for label in obs[one].dropna().unique()}]
    if not holding:
        names = ", ".join(str(one) for one in obs.columns) or "none at all"
        if len(here) == 1:
            return here[0]
        raise UsageError(
            f"no column of a known name ({', '.join(known('perturbation_columns'))}) holds a control label; obs has "
            f"{names}: say which holds the perturbations with --perturbation-column, and --control"
        )
    first = obs[holding[0]].astype(str).to_numpy()
    others = [one for one in holding[1:] if not np.array_equal(first, obs[one].astype(str).to_numpy())]
    if others:
        listed = " or ".join([holding[0], *others])
        raise UsageError(f"two columns may hold the perturbations: {listed}; say which with --perturbation-column")
    return holding[0]


def _some(labels: set[str], most: int = 6) -> str:
    return ", ".join(sorted(labels)[:most]) + (" and more" if len(labels) > most else "")


def _coded(obs: pd.DataFrame, column: str) -> tuple[tuple[str, ...], Int[np.ndarray, " cells"]]:
    if column not in obs.columns:
        names = [str(one) for one in obs.columns]
        raise UsageError(f"obs has no column {column!r}{nearest(column, names)}")
    series = obs[column]
    missing = np.flatnonzero(series.isna().to_numpy())
    if len(missing):
        raise BadDataError(
            f"{len(missing):,} cells have no label (first: {obs.index[missing[0]]})",
            place=f"obs[{column!r}]",
            remedy="give each cell a label, or leave those cells out",
        )
    codes, values = pd.factorize(series.astype(str), sort=True)
    return tuple(str(one) for one in values), np.asarray(codes, dtype=np.int64)


def _pooled(obs: pd.DataFrame) -> tuple[str, ...]:
    """Say so where cells of several contexts are judged as one."""
    here = [one for one in known("context_columns") if one in obs.columns and obs[one].nunique() > 1]
    if not here:
        return ()
    values = sorted({str(one) for one in obs[here[0]].dropna().unique()})
    return (
        f"cells of {len(values)} contexts (obs[{here[0]!r}]: {_some(set(values))}) are judged as one, controls "
        f"included: give --context-column {here[0]} to judge each by itself",
    )


def _told_apart(index: pd.Index) -> tuple[Shaped[np.ndarray, " cells"], int]:
    """Cell names, the second of one name with its number behind it; and how many had to be changed."""
    names = [str(one) for one in index]
    if len(set(names)) == len(names):
        return np.asarray(names, dtype=object), 0
    seen: dict[str, int] = {}
    told = []
    for one in names:
        seen[one] = seen.get(one, 0) + 1
        told.append(one if seen[one] == 1 else f"{one}\x1f{seen[one]}")
    return np.asarray(told, dtype=object), len(names) - len(seen)


# ---- values


def _expression(path: Path, file: Group, place: str, in_memory_bytes: int) -> Expression:
    matrix = file[place]
    if isinstance(matrix, Array):
        size = int(matrix.size) * matrix.dtype.itemsize
    else:
        size = matrix["data"].size * (matrix["data"].dtype.itemsize + matrix["indices"].dtype.itemsize)
    if size > in_memory_bytes and place == "X":
        backed = BackedRows(path, place)
        backed.shape  # noqa: B018 (refuses CSC now rather than at the first row)
        return backed
    if size > in_memory_bytes and isinstance(matrix, Array):
        return BackedRows(path, place)
    values = read_element(matrix)
    if isinstance(values, np.ndarray):
        return InMemory(values)
    rows = sp.csr_matrix(values)
    rows.check_format(full_check=True)  # only X was looked through before
    return InMemory(rows)


def _whole(expression: Expression, place: str, genes: Sequence[str], ids: Shaped[np.ndarray, " cells"]) -> bool:
    """Whether all values are whole numbers; values that are no expression raise `BadDataError`."""
    cells, width = expression.shape
    tally = Tally(cells, width)
    for start in range(0, cells, BLOCK_CELLS):
        block = expression.rows(np.arange(start, min(start + BLOCK_CELLS, cells)))
        if block.dtype.kind not in "iuf":
            raise BadDataError(f"is not a table of numbers ({block.dtype})", place=place)
        tally.add(block, start)
    try:
        tally.refuse(ids, np.asarray(genes, dtype=object))
    except Refusal as refusal:
        where = refusal.place.replace("X", place, 1) if refusal.place else place
        raise BadDataError(refusal.problem, place=where, remedy=refusal.remedy) from refusal
    return tally.all_whole
