"""The counts of one library: cells x genes, however its matrix was written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from pertura.core.errors import BadDataError

EXPRESSION = "Gene Expression"
LARGEST_COUNT = 2**31 - 1
EXPORT = "export the matrix again"


@dataclass(frozen=True, eq=False)
class Counts:
    """Integer counts (int32, CSR) of cells by barcode and genes by id; `others` counts features that are no genes."""

    path: Path
    matrix: sp.csr_matrix
    barcodes: tuple[str, ...]
    gene_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    others: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Features:
    """The rows of a 10x matrix: id, name and type of each."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    types: tuple[str, ...]


def counts_of_genes(path: Path, matrix: sp.csr_matrix, barcodes: Sequence[str], features: Features) -> Counts:
    """Return the counts of the genes among the features; names that repeat or are empty raise `BadDataError`."""
    _refuse_repeats(path, barcodes, "barcode")
    genes = [i for i, kind in enumerate(features.types) if kind == EXPRESSION]
    if not genes or not barcodes:
        what = f"no feature is of type {EXPRESSION!r}" if barcodes else "there is no cell"
        raise BadDataError(what, file=path, remedy="give the filtered matrix of a gene expression library")
    ids = tuple(features.ids[i] for i in genes)
    _refuse_repeats(path, ids, "gene id")
    others = Counter(kind for kind in features.types if kind != EXPRESSION)
    columns = matrix if len(genes) == matrix.shape[1] else matrix[:, np.asarray(genes, dtype=np.int64)]
    symbols = tuple(features.names[i] or features.ids[i] for i in genes)
    return Counts(path, sp.csr_matrix(columns), tuple(barcodes), ids, symbols, dict(sorted(others.items())))


def _refuse_repeats(path: Path, names: Sequence[str], kind: str) -> None:
    if len(set(names)) == len(names) and all(names):
        return
    again = next((name for name, times in Counter(names).items() if times > 1), "")
    problem = f"{kind} {again!r} is there more than once" if again else f"a {kind} is empty"
    raise BadDataError(problem, file=path, remedy=EXPORT)
