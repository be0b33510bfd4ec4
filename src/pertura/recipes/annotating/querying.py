"""Labels for new cells: in memory for an AnnData, block by block for a file of any size."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from pertura.annotation.annotator import BLOCK_CELLS, Annotator, Query
from pertura.annotation.labels import column_of
from pertura.annotation.source import open_source
from pertura.annotation.voting import Majority, chosen_for_clustering, clustering, majority
from pertura.core.errors import BadDataError
from pertura.data.elements import read_element
from pertura.data.stores import Group
from pertura.recipes.annotating.columns import (
    EMBEDDING,
    OUT_OF_FOLD,
    PREFIX,
    as_obs,
    cell_columns,
    majority_columns,
)
from pertura.recipes.annotating.copied import new_array, replace_table, writable_copy
from pertura.recipes.annotating.wish import Wish

MOST_DRAWN = 5000
Vectors: TypeAlias = Float32[np.ndarray, "cells width"]
Codes: TypeAlias = Int[np.ndarray, " cells"]
Told = Callable[[str, int, int], None]
Keep = Callable[[int, Vectors], None]
Read = Callable[[int, int], Vectors]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What is known better than by the annotator: cells that it learnt from, as a fold labelled that did not."""

    rows: Codes
    first: Codes
    columns: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Labelled:
    """A query with its labels. `drawn` are the rows that are shown in figures, `vectors` their places."""

    query: Query
    columns: pd.DataFrame
    drawn: Int[np.ndarray, " drawn"]
    vectors: Float32[np.ndarray, "drawn width"]

    @property
    def counts(self) -> dict[str, int]:
        """Cells of each label, unknown among them, most first."""
        return {str(name): int(size) for name, size in self.columns[f"{PREFIX}label"].value_counts().items() if size}


def open_query(data: str | Path | anndata.AnnData, annotator: Annotator, wish: Wish) -> Query:
    """Return the cells of a query as an annotator reads them; see `Annotator.query` for what is refused."""
    source = open_source(data, wish.query_layer or wish.layer, wish.gene_column)
    if wish.clusters is not None:
        column_of(source.obs, wish.clusters, "--clusters")
    taken = [name for name in source.obs.columns if str(name).startswith(PREFIX)]
    query = annotator.query(source, wish.min_query_genes)
    if not taken:
        return query
    said = f"obs had {len(taken)} columns of an earlier annotation ({', '.join(taken[:3])}); they are replaced"
    return Query(source, query.view, query.measured, query.notes, (*query.warnings, said))


def labelled_cells(
    data: str | Path | anndata.AnnData, annotator: Annotator, wish: Wish, told: Told, given: OutOfFold | None = None
) -> tuple[Labelled, Vectors]:
    """Return the labels of cells and their places in the embedding, both held in memory."""
    query = open_query(data, annotator, wish)
    vectors = np.full((len(query.view), annotator.trusted.known.shape[1]), np.nan, dtype=np.float32)

    def keep(start: int, block: Vectors) -> None:
        vectors[start : start + len(block)] = block

    return _labelled(query, annotator, wish, (keep, lambda i, j: vectors[i:j]), (told, given)), vectors


def labelled_anndata(
    adata: anndata.AnnData, annotator: Annotator, wish: Wish, told: Told, given: OutOfFold | None = None
) -> tuple[Labelled, anndata.AnnData]:
    """Return the labels of an AnnData, and a copy of it with them in obs and obsm."""
    made, vectors = labelled_cells(adata, annotator, wish, told, given)
    written = adata.copy()
    written.obs = _joined(adata.obs, made.columns, adata.obs.index)
    written.obsm[EMBEDDING] = vectors
    return made, written


def labelled_file(
    path: Path, output: Path, annotator: Annotator, wish: Wish, told: Told, given: OutOfFold | None = None
) -> Labelled:
    """Write a copy of an .h5ad or .zarr with labels in obs and the embedding in obsm, and return the labels.

    Nothing else of the file changes, and nothing but obs is ever held as a whole.
    """
    query = open_query(path, annotator, wish)
    width = annotator.trusted.known.shape[1]
    with writable_copy(path, output) as file:
        stored = _fresh_obsm(file, (len(query.view), width), str(path))

        def keep(start: int, block: Vectors) -> None:
            stored[start : start + len(block)] = block

        made = _labelled(query, annotator, wish, (keep, lambda i, j: stored[i:j]), (told, given))
        obs = read_element(file["obs"])
        replace_table(file, "obs", _joined(obs, made.columns, obs.index))
    return made


def _fresh_obsm(file: Any, shape: tuple[int, int], name: str) -> Any:
    if "obsm" not in file:
        anndata.io.write_elem(file, "obsm", {})
    if not isinstance(file["obsm"], Group):
        raise BadDataError("is no group", file=name, place="obsm", remedy="write the file again")
    return new_array(file["obsm"], EMBEDDING, shape, min(BLOCK_CELLS, shape[0]))


def _joined(obs: pd.DataFrame, columns: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    kept = obs[[name for name in obs.columns if not str(name).startswith(PREFIX)]]
    return pd.concat([kept, as_obs(columns, index)], axis=1)


def _labelled(
    query: Query,
    annotator: Annotator,
    wish: Wish,
    vectors: tuple[Keep, Read],
    about: tuple[Told, OutOfFold | None],
) -> Labelled:
    """Label block by block; `vectors` puts away and brings back the places of cells."""
    (keep, read), (told, given) = vectors, about
    total = len(query.view)
    chosen = chosen_for_clustering(query.view.ids, wish.seed)
    few = np.empty((len(chosen), annotator.trusted.known.shape[1]), dtype=np.float32)
    at = np.full(total, -1, dtype=np.int64)
    at[chosen] = np.arange(len(chosen))
    frames, first = [], np.empty(total, dtype=np.int64)
    for rows, calls in annotator.calls(query):
        told("labelling", int(rows[0]), total)
        frames.append(cell_columns(calls, annotator.classes))
        keep(int(rows[0]), calls.space)
        first[rows] = calls.first
        mine = at[rows] >= 0
        few[at[rows][mine]] = calls.space[mine]
    columns = pd.concat(frames, ignore_index=True)
    if given is not None:
        first[given.rows] = given.first
        columns.loc[given.rows, given.columns.columns] = given.columns.to_numpy()
        columns = columns.astype(frames[0].dtypes)
        columns[OUT_OF_FOLD] = np.isin(np.arange(total), given.rows)
    told("majority vote over clusters", total, total + 1)
    voted = _voted(query, wish, (few, first), read, len(annotator.classes))
    columns = pd.concat([columns, majority_columns(voted, annotator.classes)], axis=1)
    shown = chosen if len(chosen) <= MOST_DRAWN else chosen[:: -(-len(chosen) // MOST_DRAWN)]
    return Labelled(query, columns, shown, few[at[shown]])


def _voted(
    query: Query, wish: Wish, found: tuple[Float32[np.ndarray, "chosen width"], Codes], read: Read, classes: int
) -> Majority:
    few, first = found
    if wish.clusters is not None:
        words = query.source.obs[wish.clusters].astype(str).to_numpy()
        return majority(np.unique(words, return_inverse=True)[1].astype(np.int64), first, classes)
    made = clustering(few)
    clusters = np.empty(len(first), dtype=np.int64)
    for start in range(0, len(first), BLOCK_CELLS):
        stop = min(start + BLOCK_CELLS, len(first))
        clusters[start:stop] = made.of(read(start, stop))
    return majority(clusters, first, classes)
