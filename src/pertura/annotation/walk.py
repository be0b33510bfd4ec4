"""Looks through an untrusted .h5ad or .zarr of which X, raw or a layer may be used: `python -m ... FILE SECONDS BYTES`.

Unlike `data.walk` it refuses no matrix by its numbers, but tells of each what speaks against it: an X that was scaled
does no harm where raw is what will be read.
"""

import sys
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from pertura.data.stores import Array, Group, names_in
from pertura.data.values import Refusal, Tally
from pertura.data.walk import REWRITE, check_links, check_table, main, opened, shape_of, tally_matrix
from pertura.data.walk_zarr import walk_zarr

MOST_LAYERS = 50
Names = Shaped[np.ndarray, " names"]


def walk_matrices(path: str) -> dict[str, object]:
    """Return the size of an AnnData on disk and what each matrix holds; raise `Refusal` where it is not sound."""
    if Path(path).is_dir():
        return walk_zarr(path, matrices_of)
    with opened(path) as file:
        check_links(file)
        return matrices_of(file)


def matrices_of(file: Group) -> dict[str, object]:
    """Return the size of an AnnData whose objects are safe to read, of HDF5 or of zarr, and what its matrices hold."""
    for name in ("X", "obs", "var"):
        if name not in file:
            raise Refusal(f"there is no {name}", "/", "give an AnnData file (.h5ad, .zarr) that holds obs, var and X")
    cells, genes = shape_of(file["X"])
    ids, names = check_table(file["obs"], "obs", cells), check_table(file["var"], "var", genes)
    found = {"X": _matrix(file, "X", ids, names)}
    for layer in names_in(file.get("layers"))[:MOST_LAYERS]:
        found[f"layers/{layer}"] = _matrix(file, f"layers/{layer}", ids, names)
    if {"X", "var"} <= set(names_in(file.get("raw"))):
        raw = check_table(file["raw/var"], "raw/var", shape_of(file["raw/X"], "raw/X")[1])
        found["raw/X"] = _matrix(file, "raw/X", ids, raw)
    return {"cells": cells, "genes": genes, "matrices": found}


def _matrix(file: Group, place: str, ids: Names, genes: Names) -> dict[str, object]:
    if shape_of(file[place], place) != (len(ids), len(genes)):
        raise Refusal("has another shape than obs and var", place, REWRITE)
    tally = Tally(len(ids), len(genes))
    tally_matrix(file[place], place, tally)
    matrix = file[place]
    size = matrix.size * matrix.dtype.itemsize if isinstance(matrix, Array) else matrix["data"].size * 12
    told = {"whole": tally.all_whole, "memory": int(size), "problem": "", "at": "", "remedy": ""}
    try:
        tally.refuse(ids, genes)
    except Refusal as refusal:
        told |= {"problem": refusal.problem, "at": refusal.place, "remedy": refusal.remedy}
    return told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], walk_matrices))
