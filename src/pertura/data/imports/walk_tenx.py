"""Looks through an untrusted 10x .h5, in a process of its own: `python -m ... FILE SECONDS BYTES`; see `data.walk`."""

import sys

import h5py
import numpy as np
from jaxtyping import Int

from pertura.data.values import Refusal
from pertura.data.walk import (
    check_indices,
    check_links,
    check_pointers,
    main,
    opened,
    pointer_blocks,
    read_column,
)

WANTED = "the filtered_feature_bc_matrix.h5 of cellranger"
EXPORT = "export the matrix again"
LARGEST_COUNT = 2**31 - 1
CURRENT, ID, NAME, TYPE = "matrix", "features/id", "features/name", "features/feature_type"
OLD_ID, OLD_NAME = "genes", "gene_names"
PARTS = ("barcodes", "data", "indices", "indptr", "shape")


def walk_tenx(path: str) -> dict[str, object]:
    """Return where a 10x file keeps its matrix and how large it is; raise `Refusal` where it is not sound."""
    with opened(path, WANTED) as file:
        try:
            check_links(file)
            return _facts(file)
        except Refusal as refusal:
            remedy = EXPORT if "anndata" in refusal.remedy else refusal.remedy  # which wrote no file of this kind
            raise Refusal(refusal.problem, refusal.place, remedy) from refusal


def _facts(file: h5py.File) -> dict[str, object]:
    group, names = _layout(file)
    place = group.name.strip("/")
    for part in (*PARTS, *names):
        if not isinstance(group.get(part), h5py.Dataset):
            raise Refusal("is missing", f"{place}/{part}", f"give {WANTED}")
    features, cells = _shape(group, place)
    for part in names:
        _words(group[part], f"{place}/{part}", features)
    _words(group["barcodes"], f"{place}/barcodes", cells)
    stored = _check_counts(group, place, cells, features)
    return {"place": place, "names": list(names), "cells": cells, "features": features, "stored": stored}


def _layout(file: h5py.File) -> tuple[h5py.Group, tuple[str, ...]]:
    """The group of the matrix, and its lists of feature id, name and (in current files) type."""
    if isinstance(file.get(CURRENT), h5py.Group):
        return file[CURRENT], (ID, NAME, TYPE)
    old = [name for name in file if isinstance(file[name], h5py.Group) and OLD_ID in file[name]]
    if len(old) == 1:
        return file[old[0]], (OLD_ID, OLD_NAME)
    if old:
        raise Refusal(f"holds the matrices of {len(old)} genomes", "/", "export one genome into a file of its own")
    raise Refusal("there is no matrix", "/", f"give {WANTED}")


def _shape(group: h5py.Group, place: str) -> tuple[int, int]:
    shape = group["shape"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or np.asarray(shape[:]).min() < 0:
        raise Refusal("is not a shape of two numbers", f"{place}/shape", EXPORT)
    return int(shape[0]), int(shape[1])


def _words(column: h5py.Dataset, place: str, length: int) -> None:
    if h5py.check_string_dtype(column.dtype) is None:
        raise Refusal("is not a list of words", place, EXPORT)
    read_column(column, place, length)


def _check_counts(group: h5py.Group, place: str, cells: int, features: int) -> int:
    """Return how many values are stored; raise where the structure is wrong or a value is no count."""
    for part, kinds in (("data", "iuf"), ("indices", "iu"), ("indptr", "iu")):
        if group[part].ndim != 1 or group[part].dtype.kind not in kinds:
            raise Refusal("is not a list of numbers", f"{place}/{part}", EXPORT)
    pointers = check_pointers(group, place, cells, features)
    names = np.asarray(group["barcodes"].asstr()[:], dtype=object)
    for first, last in pointer_blocks(pointers):
        start, stop = int(pointers[first]), int(pointers[last])
        inner = group["indices"][start:stop].astype(np.int64)
        outer = np.repeat(np.arange(first, last), np.diff(pointers[first : last + 1]))
        check_indices(inner, outer, features, f"{place}/indices", start)
        _check_values(group, place, start, outer, names)
    return int(pointers[-1])


def _check_values(
    group: h5py.Group, place: str, start: int, outer: Int[np.ndarray, " entries"], names: np.ndarray
) -> None:
    values = np.asarray(group["data"][start : start + len(outer)])
    wrong = np.flatnonzero(~((values >= 0) & (values <= LARGEST_COUNT) & (values == np.rint(values))))
    if len(wrong):
        at = int(wrong[0])
        raise Refusal(
            f"{values[at]} (cell {names[outer[at]]}) is not a count",
            f"{place}/data[{start + at:,}]",
            "give raw counts, whole and not negative",
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], walk_tenx))
