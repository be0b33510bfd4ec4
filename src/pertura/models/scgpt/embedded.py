"""Cell embeddings of AnnData and of files, by a published network."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import anndata.io
import h5py
import numpy as np
import pandas as pd
from jaxtyping import Shaped

from pertura.core.atomic import replacing
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import Expression, as_expression
from pertura.data.backed import BackedRows
from pertura.data.elements import read_element
from pertura.data.recognise import gene_names
from pertura.data.validate import walk_file
from pertura.models.scgpt.cell_embedding import LONGEST, Embedding, EmbedOptions
from pertura.models.scgpt.cell_embedding import embed as embed_cells
from pertura.models.scgpt.checkpoint import ForeignCheckpoint
from pertura.models.scgpt.foreign import load_foreign
from pertura.models.scgpt.tokens import PAD_VALUE

KEY = "X_scGPT"
RECORD = "pertura_embed"
IN_MEMORY_BYTES = 1 << 30
SHOWN = 5
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Wish:
    """How cells are embedded: `longest` counts the class token; `gene_column` of var holds symbols ("none": rows)."""

    gene_column: str | None = None
    longest: int = LONGEST
    batch: int = 64
    seed: int = 0
    device: str = "cpu"
    key: str = KEY


@dataclass(frozen=True, eq=False)
class Embedded:
    """Vectors of cells, and in words and numbers how much of the data the network knew."""

    embedding: Embedding
    record: Mapping[str, Any]

    @property
    def lines(self) -> list[str]:
        """Return the account in words."""
        record = self.record
        lines = [
            f"{record['model']}: {record['cells']:,} cells -> {record['width']} numbers each",
            f"genes: {record['genes_known']:,} of {record['genes']:,} have a token ({record['genes_from']})",
        ]
        if record["unknown"]:
            lines.append(f"left out, without a token: {', '.join(record['unknown'])}{_more(record)}")
        if record["shortened"]:
            lines.append(
                f"{record['shortened']:,} cells express more than {record['longest'] - 1:,} of them: of these a choice "
                "that depends on the name of the cell and the seed"
            )
        if record["silent"]:
            lines.append(f"{record['silent']:,} cells express no gene that has a token: their vectors are NaN")
        return [*lines, *(f"note: {one}" for one in record["notes"])]


def embed(
    adata: anndata.AnnData, folder: Path | str, wish: Wish | None = None, progress: Progress | None = None
) -> anndata.AnnData:
    """Return the same AnnData with a unit vector for each cell in `obsm["X_scGPT"]`.

    `folder` is a published or converted folder, or a hub name with a revision. `X` is taken as it is: counts and
    logarithms of them give nearly the same vectors, because only ranks within a cell matter. Random choices (tied
    counts, cells with more genes than fit) come from the name of the cell and the seed, so that a vector depends on
    neither row, batch nor machine. `uns["pertura_embed"]` says how many genes had a token and what was left out.
    """
    how = wish or Wish()
    if adata.isbacked or adata.X is None:
        raise UsageError("this AnnData holds no X in memory: give its file to `pertura embed`")
    made = embedded(load_foreign(folder), as_expression(adata.X), (adata.obs_names, adata.var), how, progress)
    adata.obsm[how.key] = made.embedding.vectors
    adata.uns[RECORD] = json.dumps(made.record)
    return adata


def embed_file(
    path: Path, checkpoint: ForeignCheckpoint, output: Path, wish: Wish, progress: Progress | None = None
) -> Embedded:
    """Write the file with the vectors added, all else as it was, and return the account; X may be larger than memory.

    The file is walked first; what is no sound .h5ad raises `BadDataError`.
    """
    facts = walk_file(path)
    with h5py.File(path, "r") as file:
        obs, var = read_element(file["obs"]), read_element(file["var"])
        large = facts.memory > IN_MEMORY_BYTES
        expression = BackedRows(path) if large else as_expression(read_element(file["X"]))
    var.index = var.index.astype(str)
    try:
        made = embedded(checkpoint, expression, (obs.index.astype(str), var), wish, progress)
    except BadDataError as error:
        raise BadDataError(error.problem, file=path, place=error.place, remedy=error.remedy) from error
    with replacing(output) as temporary:
        shutil.copyfile(path, temporary)
        _append(temporary, made, wish.key)
    return made


def embedded(
    checkpoint: ForeignCheckpoint,
    expression: Expression,
    names: tuple[pd.Index, pd.DataFrame],
    wish: Wish,
    progress: Progress | None = None,
) -> Embedded:
    """Return vectors of cells; `names` are those of the cells, and the table of the genes."""
    cells, var = names
    genes, column, _ = gene_names(var, wish.gene_column)
    ids = np.asarray([str(one) for one in cells], dtype=object)
    options = _options(checkpoint, wish)
    made = embed_cells(checkpoint.network, checkpoint.vocab, expression, (genes, ids), options, progress)
    source = f"var[{column!r}]" if column else "row names of var"
    return Embedded(made, _record(checkpoint, made, wish, (genes, ids, source)))


def _options(checkpoint: ForeignCheckpoint, wish: Wish) -> EmbedOptions:
    config, args = checkpoint.config, checkpoint.args
    stated, bins = args.get("pad_value", PAD_VALUE), args.get("n_bins", 51)
    pad = float(stated) if isinstance(stated, int | float) else PAD_VALUE
    if config.value_style == "category":
        pad = float(config.category_pad or 0)
    return EmbedOptions(
        batch=wish.batch,
        longest=wish.longest,
        bins=bins if isinstance(bins, int) else 51,
        pad_value=pad,
        seed=wish.seed,
        device=wish.device,
    )


def _record(
    checkpoint: ForeignCheckpoint,
    made: Embedding,
    wish: Wish,
    names: tuple[tuple[str, ...], Shaped[np.ndarray, " cells"], str],
) -> dict[str, Any]:
    genes, ids, source = names
    notes = []
    if checkpoint.config.flags:
        notes.append("this is a perturbation model, which was not trained with class tokens: use the pretrained one")
    return {
        "model": checkpoint.source,
        "cells": len(ids),
        "width": made.vectors.shape[1],
        "genes": len(genes),
        "genes_known": len(genes) - len(made.unknown),
        "genes_from": source,
        "unknown": list(made.unknown[:SHOWN]),
        "silent": len(made.silent),
        "shortened": made.shortened,
        "longest": wish.longest,
        "seed": wish.seed,
        "notes": notes,
    }


def _more(record: Mapping[str, Any]) -> str:
    rest = record["genes"] - record["genes_known"] - len(record["unknown"])
    return f" and {rest:,} more" if rest else ""


def _append(path: Path, made: Embedded, key: str) -> None:
    with h5py.File(path, "a") as file:
        for group in ("obsm", "uns"):
            if group not in file:
                anndata.io.write_elem(file, group, {})
        for place, value in ((f"obsm/{key}", made.embedding.vectors), (f"uns/{RECORD}", json.dumps(made.record))):
            if place in file:
                del file[place]
            anndata.io.write_elem(file, place, value)
