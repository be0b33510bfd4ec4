"""Cells to learn types from, or to name: obs, genes and one matrix of an .h5ad file, a .zarr store or an AnnData."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Shaped

from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import BLOCK_CELLS, Expression, as_expression
from pertura.data.backed import BackedRows
from pertura.data.conventions import nearest
from pertura.data.elements import read_element
from pertura.data.recognise import gene_names
from pertura.data.scale import Measured, measure, sample
from pertura.data.stores import Array, Group, opened
from pertura.data.validate import facts_in, looked_through
from pertura.data.values import Refusal, Tally

IN_MEMORY_BYTES = 1 << 30
WALK = "pertura.annotation.walk"
RAW = "raw"


@dataclass(frozen=True, eq=False)
class Source:
    """One matrix of a file or an AnnData with its genes and obs, and the scale that its numbers were found to have.

    `origin` is where the rest of the data is: the path, or the AnnData itself.
    """

    name: str
    obs: pd.DataFrame
    genes: tuple[str, ...]
    expression: Expression
    place: str
    measured: Measured
    origin: Path | anndata.AnnData
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> Shaped[np.ndarray, " cells"]:
        """The names of the cells."""
        return np.asarray(self.obs.index.astype(str), dtype=object)

    def __len__(self) -> int:
        return len(self.obs)


def open_source(data: str | Path | anndata.AnnData, layer: str = "X", gene_column: str | None = None) -> Source:
    """Return the cells of an .h5ad or .zarr, which is walked first, or of an AnnData.

    `layer` is `X`, `raw` or the name of a layer. A matrix of more than 1 GiB stays on disk. Values that are neither
    counts nor logarithms of counts raise `BadDataError`, which names the matrices of the same file that are.
    """
    if isinstance(data, anndata.AnnData):
        return _of_anndata(data, layer, gene_column)
    path = Path(data)
    matrices = facts_in(looked_through(path, WALK), path)["matrices"]
    place = _place(layer, matrices, str(path))
    _refuse(place, matrices, str(path))
    try:
        return _of_file(path, place, matrices[place], gene_column)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BadDataError(f"cannot be read ({type(error).__name__}: {error})", file=path) from error


def layer_name(place: str) -> str:
    """Return what the option `--layer` calls a place."""
    return RAW if place == "raw/X" else place.removeprefix("layers/")


def _place(layer: str, matrices: Mapping[str, Any], name: str) -> str:
    place = {"X": "X", RAW: "raw/X"}.get(layer, f"layers/{layer}")
    if place not in matrices:
        raise UsageError(
            f"{name}: --layer {layer!r} is not there{nearest(layer, [layer_name(one) for one in matrices])}"
        )
    return place


def _refuse(place: str, matrices: Mapping[str, Any], name: str) -> None:
    """Raise where the numbers of a matrix cannot be expression; say which others of the file can."""
    facts = matrices[place]
    if not facts["problem"]:
        return
    sound = [layer_name(one) for one, other in matrices.items() if not other["problem"]]
    remedy = facts["remedy"].partition(", as they were before scaling; this file keeps none")[0]
    if sound:
        remedy += "; this file also holds them: " + " or ".join(f"--layer {one}" for one in sound)
    else:
        remedy += "; this file keeps none"
    raise BadDataError(facts["problem"], file=name, place=facts["at"].replace("X", place, 1), remedy=remedy)


# ---- a file


def _of_file(path: Path, place: str, facts: Mapping[str, Any], gene_column: str | None) -> Source:
    with opened(path) as file:
        obs, var = read_element(file["obs"]), read_element(file["raw/var" if place == "raw/X" else "var"])
        obs.index, var.index = obs.index.astype(str), var.index.astype(str)
        log1p = _log1p(file)
        expression: Expression
        if facts["memory"] > IN_MEMORY_BYTES:
            expression = BackedRows(path, place)
            expression.shape  # noqa: B018 (refuses CSC now rather than at the first row)
        else:
            matrix = read_element(file[place])
            expression = as_expression(matrix if isinstance(matrix, np.ndarray) else sp.csr_matrix(matrix))
    return _assembled(path.stem, obs, (var, gene_column), (expression, place, bool(facts["whole"])), (log1p, path))


def _log1p(file: Group) -> Mapping[str, object] | None:
    group = file.get("uns/log1p")
    if not isinstance(group, Group):
        return None
    base = group.get("base")
    stated = isinstance(base, Array) and base.shape == () and base.dtype.kind in "iuf"
    return {"base": float(base[()])} if stated else {}


# ---- an AnnData


def _of_anndata(adata: anndata.AnnData, layer: str, gene_column: str | None) -> Source:
    if adata.isbacked:
        raise UsageError("this AnnData is on disk: give the path of its file")
    held: dict[str, Any] = {"X": adata.X, **{f"layers/{name}": adata.layers[name] for name in adata.layers}}
    if adata.raw is not None:
        held["raw/X"] = adata.raw.X
    held = {place: matrix for place, matrix in held.items() if matrix is not None}
    place = _place(layer, held, "AnnData")
    for axis, names in (("obs", adata.obs_names), ("var", adata.var_names)):
        if not names.is_unique:
            again = names[names.duplicated()][0]
            raise BadDataError(f"{axis}_names repeat (first: {again})", remedy=f"adata.{axis}_names_make_unique()")
    expressions = {one: as_expression(m if sp.issparse(m) else np.asarray(m)) for one, m in held.items()}
    var = adata.raw.var if place == "raw/X" else adata.var
    facts = {place: _facts(expressions[place], adata, var)}
    if facts[place]["problem"]:
        others = {one: _facts(each, adata, _var(adata, one)) for one, each in expressions.items() if one != place}
        _refuse(place, facts | others, "AnnData")
    about = (expressions[place], place, bool(facts[place]["whole"]))
    obs = adata.obs.copy(deep=False)
    obs.index = obs.index.astype(str)
    return _assembled("AnnData", obs, (var, gene_column), about, (adata.uns.get("log1p"), adata))


def _var(adata: anndata.AnnData, place: str) -> pd.DataFrame:
    return adata.raw.var if place == "raw/X" else adata.var


def _facts(expression: Expression, adata: anndata.AnnData, var: pd.DataFrame) -> dict[str, object]:
    cells, genes = expression.shape
    tally = Tally(cells, genes)
    for start in range(0, cells, BLOCK_CELLS):
        block = expression.rows(np.arange(start, min(start + BLOCK_CELLS, cells)))
        tally.add(block, start)
    told: dict[str, object] = {"whole": tally.all_whole, "problem": "", "at": "", "remedy": ""}
    try:
        tally.refuse(np.asarray(adata.obs_names), np.asarray(var.index))
    except Refusal as refusal:
        told |= {"problem": refusal.problem, "at": refusal.place, "remedy": refusal.remedy}
    return told


def _assembled(
    name: str,
    obs: pd.DataFrame,
    genes: tuple[pd.DataFrame, str | None],
    matrix: tuple[Expression, str, bool],
    about: tuple[Mapping[str, object] | None, Path | anndata.AnnData],
) -> Source:
    named, _, said = gene_names(*genes)
    repeated = len(named) - len(set(named))
    if repeated:
        raise BadDataError(f"{repeated:,} gene names repeat", place="var", remedy="make them unique before reading")
    expression, place, whole = matrix
    log1p, origin = about
    if not len(obs) or not named:
        raise BadDataError(f"{len(obs):,} cells x {len(named):,} genes: nothing to read", file=name)
    measured = measure(sample(expression, None, obs, None), whole, log1p, None)
    return Source(name, obs, named, expression, place, measured, origin, said)
