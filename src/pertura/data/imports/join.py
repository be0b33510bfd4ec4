"""Several libraries as one matrix, joined by gene id."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from pertura.core.errors import BadDataError
from pertura.data.imports.counts import Counts

GENERIC = frozenset(("outs", "count", "crispr_analysis", "filtered_feature_bc_matrix", "filtered_gene_bc_matrices"))
"""Folders that are called the same in every library."""


@dataclass(frozen=True, eq=False)
class Joined:
    """Counts of the genes that all libraries have, in the order of the first; what each loses by that."""

    matrix: sp.csr_matrix
    gene_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    lost: tuple[frozenset[str], ...]
    lost_share: tuple[float, ...]
    renamed: tuple[str, ...]


def joined(parts: Sequence[Counts]) -> Joined:
    """Return several libraries under one another; genes that one of them lacks are left out of all, and named."""
    common = set(parts[0].gene_ids).intersection(*(one.gene_ids for one in parts[1:]))
    ids = tuple(gene for gene in parts[0].gene_ids if gene in common)
    if not ids:
        raise BadDataError(
            f"no gene is also in {parts[0].path} ({parts[1].gene_ids[0]} here, {parts[0].gene_ids[0]} there)",
            file=parts[1].path,
            remedy="import libraries of one reference together",
        )
    first = dict(zip(parts[0].gene_ids, parts[0].symbols))
    cut = [one.matrix[:, _columns(one, ids)] for one in parts]
    totals = [float(one.matrix.sum(dtype=np.int64)) for one in parts]
    kept = [float(one.sum(dtype=np.int64)) for one in cut]
    renamed = {
        gene
        for one in parts[1:]
        for gene, symbol in zip(one.gene_ids, one.symbols)
        if first.get(gene, symbol) != symbol
    }
    return Joined(
        matrix=sp.csr_matrix(cut[0] if len(cut) == 1 else sp.vstack(cut, format="csr")),
        gene_ids=ids,
        symbols=tuple(first[gene] for gene in ids),
        lost=tuple(frozenset(one.gene_ids) - common for one in parts),
        lost_share=tuple(1 - part / total if total else 0.0 for part, total in zip(kept, totals)),
        renamed=tuple(sorted(renamed)),
    )


def _columns(part: Counts, ids: tuple[str, ...]) -> np.ndarray:
    return pd.Index(part.gene_ids).get_indexer(pd.Index(ids))


def gene_names(ids: Sequence[str], symbols: Sequence[str]) -> tuple[str, ...]:
    """Return the symbol of each gene, and the id where several genes share the symbol."""
    times = pd.Series(symbols).value_counts()
    named = tuple(symbol if times[symbol] == 1 else gene for gene, symbol in zip(ids, symbols))
    taken = pd.Series(named).value_counts()
    return tuple(name if taken[name] == 1 else gene for name, gene in zip(named, ids))


def lane_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return a short name for each folder: the nearest part of its path that tells it from the others."""
    choices = [[part for part in reversed(folder.resolve().parts[1:]) if part not in GENERIC] for folder in folders]
    for depth in range(max(map(len, choices), default=0)):
        names = [one[min(depth, len(one) - 1)] if one else "library" for one in choices]
        if len(set(names)) == len(names):
            return tuple(names)
    return tuple(f"lane{i + 1}" for i in range(len(folders)))
