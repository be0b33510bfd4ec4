"""What a folder of cellranger holds: its matrix, and the guides it called."""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp

from pertura.core.errors import BadDataError, MissingError
from pertura.data.imports.counts import EXPRESSION, Counts, Features, counts_of_genes
from pertura.data.imports.matrix_market import Triple, read_triple
from pertura.data.validate import facts_in, looked_through

WALK = "pertura.data.imports.walk_tenx"
MATRIX_NAMES = ("filtered_feature_bc_matrix", "sample_filtered_feature_bc_matrix", "filtered_gene_bc_matrices")
CALLS_NAME = "protospacer_calls_per_cell.csv"
CALLS_FOLDER = "crispr_analysis"
OUTS = "outs"
MATRIX_ENDS = ("matrix.mtx", "matrix.mtx.gz")
BARCODE_ENDS = ("barcodes.tsv", "barcodes.tsv.gz")
FEATURE_ENDS = ("features.tsv", "features.tsv.gz", "genes.tsv", "genes.tsv.gz")


def read_counts(folder: Path) -> Counts:
    """Return the filtered counts in a folder of cellranger: the .h5 where there is one, else the triple of text files.

    Files may carry a prefix, as those of public archives do. `MissingError` says what was looked for.
    """
    if not folder.exists():
        raise MissingError(f"{folder}: no such folder")
    for home in (folder, folder / OUTS):
        single = _single_file(home)
        if single is not None:
            return read_tenx_file(single)
        for place in (home, *(home / name for name in MATRIX_NAMES)):
            triple = _triple(place)
            if triple is not None:
                return read_triple(triple)
    raise MissingError(
        f"{folder}: neither {MATRIX_NAMES[0]}.h5 nor matrix.mtx, barcodes.tsv and features.tsv (or .gz) in it or in "
        f"{MATRIX_NAMES[0]}/; name the folder outs of cellranger"
    )


def _single_file(folder: Path) -> Path | None:
    if folder.is_file():
        return folder
    if not folder.is_dir():
        return None
    found = _ending(folder, [f"{name}.h5" for name in MATRIX_NAMES])
    return _only(folder, found, f"{MATRIX_NAMES[0]}.h5")


def _triple(folder: Path) -> Triple | None:
    if not folder.is_dir():
        return None
    matrix = _only(folder, _ending(folder, MATRIX_ENDS), "matrix.mtx")
    if matrix is None:
        return None
    barcodes = _only(folder, _ending(folder, BARCODE_ENDS), "barcodes.tsv")
    features = _only(folder, _ending(folder, FEATURE_ENDS), "features.tsv")
    if barcodes is None or features is None:
        absent = "barcodes.tsv" if barcodes is None else "features.tsv (or genes.tsv)"
        raise MissingError(f"{folder}: {matrix.name} is there, but {absent} is not")
    return Triple(matrix, barcodes, features)


def called_guides(folder: Path) -> Path:
    """Return where cellranger wrote the guides of each cell."""
    home = folder.parent if folder.is_file() or folder.name in MATRIX_NAMES else folder
    for place in (home, home / CALLS_FOLDER, home / OUTS, home / OUTS / CALLS_FOLDER):
        if place.is_dir():
            found = _only(place, _ending(place, (CALLS_NAME, f"{CALLS_NAME}.gz")), CALLS_NAME)
            if found is not None:
                return found
    raise MissingError(
        f"{folder}: no {CALLS_NAME}, neither there nor in {CALLS_FOLDER}/; if another tool called the guides, give its "
        "table with --assignments FILE --assignment-column COLUMN"
    )


def _ending(folder: Path, ends: Iterable[str]) -> list[Path]:
    marks = tuple(ends)
    return sorted(one for one in folder.iterdir() if one.name.endswith(marks) and one.is_file())


def _only(folder: Path, found: list[Path], what: str) -> Path | None:
    if len(found) > 1:
        listed = ", ".join(one.name for one in found[:5])
        raise BadDataError(f"holds {listed}: which is meant?", file=folder, remedy=f"leave one {what} in the folder")
    return found[0] if found else None


def read_tenx_file(path: Path) -> Counts:
    """Return the counts of a 10x .h5 after a limited child process has looked through it."""
    facts = facts_in(looked_through(path, WALK), path)
    try:
        with h5py.File(path, "r") as file:
            group = file[str(facts["place"])]
            words = [_words(group[str(name)]) for name in facts["names"]]
            shape = int(facts["cells"]), int(facts["features"])
            parts = group["data"][:].astype(np.int32), group["indices"][:], group["indptr"][:]
            matrix = sp.csr_matrix(parts, shape=shape)
            barcodes = _words(group["barcodes"])
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise BadDataError(f"cannot be read ({type(error).__name__}: {error})", file=path) from error
    types = words[2] if len(words) > 2 else (EXPRESSION,) * shape[1]
    return counts_of_genes(path, matrix, barcodes, Features(words[0], words[1], types))


def _words(column: h5py.Dataset) -> tuple[str, ...]:
    return tuple(str(word).strip() for word in column.asstr()[:])
