"""Cells from AnnData, from .h5ad files and .zarr stores, read by a convention."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Int, Num

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import BLOCK_CELLS, Expression, Subset, as_expression
from pertura.data.backed import BackedRows
from pertura.data.columns import Column, counted
from pertura.data.conventions import CONVENTIONS, Flags, Reading
from pertura.data.elements import read_element
from pertura.data.kept import kept
from pertura.data.labels import assign, genes_of, label_column
from pertura.data.manifest import read_manifest, verified_data
from pertura.data.recognise import gene_names, recognise
from pertura.data.scale import library_sizes, measure, sample
from pertura.data.stores import Array, Group, is_by_columns, is_text, names_in, opened, text_of
from pertura.data.validate import FileFacts, walk_file
from pertura.data.values import Refusal, Tally
from pertura.data.whole_file import Held
from pertura.genes.identified import approved_names, identified

IN_MEMORY_BYTES = 1 << 30
PREPARED = "pertura_prepare"

COMPUTED_BEFORE: tuple[tuple[str, str, str], ...] = (
    ("var", "highly_variable", "a choice of variable genes"),
    ("uns", "hvg", "a choice of variable genes"),
    ("uns", "rank_genes_groups", "rankings of differential expression"),
    ("uns", "top_", "rankings of differential expression"),
    ("uns", "non_zeros_gene_idx", "rankings of differential expression"),
    ("obsm", "X_", "an embedding of all cells"),
    ("varm", "PCs", "principal components of all cells"),
    ("obsp", "", "neighbours among all cells"),
    ("obs", "leiden", "clusters of all cells"),
    ("obs", "louvain", "clusters of all cells"),
)
"""Place, beginning of a name, meaning: what saw every cell before any split, so that test cells shaped it."""


@dataclass(frozen=True, eq=False)
class Source:
    """The parts of an AnnData that are looked at, in memory or on disk. Nothing else of it is read."""

    name: str
    obs: pd.DataFrame
    var: pd.DataFrame
    expression: Expression
    counts: Expression | None
    all_whole: bool
    log1p: Mapping[str, object] | None
    brought: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Screen:
    """Cells, how they were read, and the facts of their file."""

    cells: Cells
    reading: Reading
    facts: FileFacts
    path: Path


def open_cells(data: str | Path, **flags: object) -> Cells:
    """Return the cells of an .h5ad or .zarr, or of the one that a `dataset.toml` describes.

    Flags (those of `pertura inspect`, such as `control="NT"`) do not go with a `dataset.toml`, which
    holds its own.
    """
    return open_screen(data, **flags).cells


def open_screen(data: str | Path, **flags: object) -> Screen:
    """Return cells with their reading and file facts; see `open_cells`."""
    path = Path(data)
    asked = Flags.of(flags)
    if path.suffix != ".toml":
        return _screen(path, None, asked)
    if asked != Flags():
        raise UsageError(f"{path} already says how its file is read: change it there, or give flags with the .h5ad")
    manifest = read_manifest(path)
    return _screen(verified_data(path, manifest), manifest.reading, asked)


def cells_from_file(path: Path, reading: Reading, *, in_memory_bytes: int = IN_MEMORY_BYTES) -> Cells:
    """Return the cells of an .h5ad or .zarr as `reading` says, after walking it.

    Expression of more than `in_memory_bytes` stays on disk. Only obs, var and X are kept.
    """
    return _screen(path, reading, Flags(), in_memory_bytes).cells


def cells_from_anndata(adata: anndata.AnnData, reading: Reading | None = None, **flags: object) -> Cells:
    """Return the cells of an AnnData in memory, read as `reading` says or as recognised with the help of flags."""
    if adata.isbacked or adata.X is None:
        raise UsageError("this AnnData holds no X in memory; open its file with open_cells(path)")
    source = _source_of_anndata(adata)
    asked = Flags.of(flags)
    return _cells(source, read_as(source, asked) if reading is None else reading)


def read_as(source: Source, flags: Flags) -> Reading:
    """Return how a source is read: its convention, and the scale of its numbers."""
    genes, gene_column, gene_evidence = gene_names(source.var, flags.gene_column)
    reading = recognise(source.obs, genes, flags)
    taken = sample(source.expression, source.counts, source.obs, flags.library_size_column)
    measured = measure(taken, source.all_whole, source.log1p, flags.whole_transcriptome)
    return replace(
        reading,
        gene_column=gene_column,
        scale=measured.scale,
        library_size_column=measured.library_column,
        evidence=(*reading.evidence, *gene_evidence, *measured.warnings, *_unusual(reading.convention, measured.scale)),
    )


def _unusual(convention: str, scale: Scale) -> tuple[str, ...]:
    """Say where values are not on the scale on which the writer publishes."""
    usual = next((one.scale for one in CONVENTIONS if one.name == convention), scale.kind)
    words = {"counts": "counts", "lognormalised": "logarithms"}
    if usual == scale.kind:
        return ()
    return (f"{convention} files usually hold {words[usual]}; this one holds {words[scale.kind]}",)


def _cells(source: Source, reading: Reading) -> Cells:
    named, _, _ = gene_names(source.var, reading.gene_column or "none")
    chosen = kept(source.obs, reading)
    obs = source.obs if chosen.all else source.obs[chosen.cells]
    genes, renamed, renaming = _called(named, obs, reading)
    assigned = assign(obs, reading, renamed)
    batches, batch_codes = _batches(obs, reading.batch_column)
    return Cells(
        expression=source.expression if chosen.all else Subset(source.expression, np.flatnonzero(chosen.cells)),
        genes=genes,
        ids=np.asarray([str(name) for name in obs.index], dtype=object),
        conditions=assigned.conditions,
        codes=assigned.codes,
        scale=reading.scale,
        batches=batches,
        batch_codes=batch_codes,
        library_sizes=library_sizes(obs, reading.library_size_column),
        spellings=assigned.spellings,
        name=source.name,
        notes=(*source.brought, *chosen.notes, *renaming, *assigned.notes),
    )


def _called(
    genes: tuple[str, ...], obs: pd.DataFrame, reading: Reading
) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """The panel and the perturbed genes by approved symbols, where that is asked; otherwise as the file has them."""
    if reading.gene_names == "file":
        return genes, {}, ()
    panel = approved_names(genes)
    labels = label_column(obs, reading)
    targets = {gene for label in labels.values for gene in genes_of(label, reading)}
    perturbed = identified(targets).renamed
    counts = f"{counted(len(panel), 'gene')} of the panel and {counted(len(perturbed), 'perturbed gene')}"
    said = f"{counts} go by their approved symbols"
    return tuple(panel.get(gene, gene) for gene in genes), dict(perturbed), (said,)


def _batches(obs: pd.DataFrame, column: str) -> tuple[tuple[str, ...], Int[np.ndarray, " cells"] | None]:
    if not column:
        return (), None
    batch = Column.of(obs, column, "--batch-column")
    return batch.values, batch.codes


# ---- an AnnData in memory


def _source_of_anndata(adata: anndata.AnnData) -> Source:
    matrix = adata.X if sp.issparse(adata.X) else np.asarray(adata.X)
    if matrix.dtype.kind not in "iuf":
        raise BadDataError(f"is not a table of numbers ({matrix.dtype})", place="X", remedy="give counts or logarithms")
    expression = Held(_by_rows(matrix), adata)
    tally = _tally(expression)
    elsewhere = [*(f"layers[{name!r}]" for name in adata.layers), *(["raw"] if adata.raw is not None else [])]
    try:
        tally.refuse(np.asarray(adata.obs_names), np.asarray(adata.var_names), elsewhere)
    except Refusal as refusal:
        raise BadDataError(refusal.problem, place=refusal.place, remedy=refusal.remedy) from refusal
    places = {"obs": adata.obs, "var": adata.var, "obsm": adata.obsm, "varm": adata.varm, "obsp": adata.obsp}
    names = {place: [str(name) for name in held] for place, held in (*places.items(), ("uns", adata.uns))}
    return Source(
        name="AnnData",
        obs=adata.obs,
        var=adata.var,
        expression=expression,
        counts=as_expression(adata.layers["counts"]) if "counts" in adata.layers else None,
        all_whole=tally.all_whole,
        log1p=adata.uns.get("log1p"),
        brought=(*_brought(names, adata.var), *_prepared(adata.uns.get(PREPARED))),
    )


def _tally(expression: Expression) -> Tally:
    cells, genes = expression.shape
    tally = Tally(cells, genes)
    for start in range(0, cells, BLOCK_CELLS):
        block = expression.rows(np.arange(start, min(start + BLOCK_CELLS, cells)))
        tally.add(block, start)
    return tally


# ---- a file


def _screen(path: Path, reading: Reading | None, flags: Flags, in_memory_bytes: int = IN_MEMORY_BYTES) -> Screen:
    facts = walk_file(path)
    try:
        source = _source_of_file(path, facts, in_memory_bytes)
        if reading is None:
            reading = read_as(source, flags)
        return Screen(_cells(source, reading), reading, facts, path)
    except BadDataError as error:
        if error.file is not None:
            raise
        raise type(error)(error.problem, file=path, place=error.place, remedy=error.remedy) from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BadDataError(f"cannot be read ({type(error).__name__}: {error})", file=path) from error


def _source_of_file(path: Path, facts: FileFacts, in_memory_bytes: int) -> Source:
    with opened(path) as file:
        obs, var = read_element(file["obs"]), read_element(file["var"])
        obs.index, var.index = obs.index.astype(str), var.index.astype(str)
        places = ("obs", "var", "obsm", "varm", "obsp", "uns")
        names = {place: names_in(file.get(place)) for place in places}
        return Source(
            name=path.stem,
            obs=obs,
            var=var,
            expression=_expression(path, file["X"], facts, in_memory_bytes),
            counts=_counts(path, file),
            all_whole=facts.whole_share == 1.0,
            log1p=_log1p(file),
            brought=(*_brought(names, var), *_prepared(_text(file, PREPARED))),
        )


def _expression(path: Path, x: Array | Group, facts: FileFacts, in_memory_bytes: int) -> Expression:
    if facts.memory > in_memory_bytes:
        backed = BackedRows(path)
        backed.shape  # noqa: B018 (refuses CSC now rather than at the first row)
        return backed
    return Held(_by_rows(read_element(x)), path)


def _by_rows(matrix: object) -> Num[np.ndarray, "cells genes"] | sp.csr_matrix:
    return matrix if isinstance(matrix, np.ndarray) else sp.csr_matrix(matrix)


def _counts(path: Path, file: Group) -> Expression | None:
    layer = file.get("layers/counts")
    return None if layer is None or is_by_columns(layer) else BackedRows(path, "layers/counts")


def _log1p(file: Group) -> Mapping[str, object] | None:
    group = file.get("uns/log1p")
    if not isinstance(group, Group):
        return None
    base = group.get("base")
    stated = isinstance(base, Array) and base.shape == () and base.dtype.kind in "iuf"
    return {"base": float(base[()])} if stated else {}


def _brought(names: Mapping[str, Iterable[str]], var: pd.DataFrame) -> tuple[str, ...]:
    """What the file holds that was computed from all its cells."""
    notes = [
        f"computed before any split: {place}[{name!r}], {meaning}"
        for place, beginning, meaning in COMPUTED_BEFORE
        for name in sorted(names.get(place, ()))
        if name.startswith(beginning)
    ]
    chosen = var.get("highly_variable")
    if chosen is not None and len(chosen) and bool(np.all(chosen.to_numpy() == True)):  # noqa: E712 (may be objects)
        notes.append("the panel itself is a choice of variable genes made on all cells, test cells included")
    return tuple(notes)


def _prepared(account: object) -> tuple[str, ...]:
    """What `pertura prepare` wrote about the panel it chose."""
    from pertura.data.preparation.account import notes_of  # which reads cells itself

    return notes_of(account) if isinstance(account, str) else ()


def _text(file: Group, name: str) -> str | None:
    """Return a text of uns; None where there is none of that name."""
    stored = file.get(f"uns/{name}")
    is_word = isinstance(stored, Array) and stored.shape == () and is_text(stored)
    return str(text_of(stored)) if is_word else None
