"""Looks through an untrusted HDF5 file, in a process of its own: `python -m pertura.data.walk FILE SECONDS BYTES`.

Prints one JSON object: `{"facts": ...}` where the file is a usable .h5ad, `{"refused": ...}` where it is not. A crash,
a hang or an exhausted limit ends this process alone. Imports as little as it can.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Iterator

import h5py
import numpy as np
from jaxtyping import Int, Shaped

from pertura.data.stores import Array, Group, is_text, names_in, text_of
from pertura.data.values import Refusal, Tally

BLOCK_BYTES = 32 << 20
LARGEST_OUTPUT = 4 << 20
MOST_OBJECTS = 100_000
DEEPEST = 32
SUSPICIOUS_BYTES = 64 << 20
LARGEST_RATIO = 1100
"""gzip cannot shrink by more than about 1032; anything above is a bomb or was never written."""
REWRITE = "write the file again with a current anndata"
NULLABLE = ("nullable-integer", "nullable-boolean", "nullable-string-array")
MATRICES = {"csr_matrix": "csr", "csc_matrix": "csc"}


def walk(path: str) -> dict[str, object]:
    """Return the facts of an .h5ad file; raise `Refusal` at the first thing that makes it unusable."""
    with opened(path) as file:
        check_links(file)
        return facts_of(file)


def opened(path: str, wanted: str = "an AnnData file (.h5ad)") -> h5py.File:
    """Return an HDF5 file open for reading; raise where it is none. `wanted` says what to give in its place."""
    if os.path.getsize(path) == 0:
        raise Refusal("the file is empty", remedy="copy or download it again")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise Refusal(*_unopened(path, error, wanted)) from error


def _unopened(path: str, error: OSError, wanted: str) -> tuple[str, str, str]:
    if not h5py.is_hdf5(path):
        return "not an HDF5 file", "", f"give {wanted}"
    kind = "truncated" if "truncated" in str(error) else "damaged"
    return f"the HDF5 file is {kind} ({os.path.getsize(path):,} bytes are there)", "", "copy or download it again"


def facts_of(file: Group) -> dict[str, object]:
    """Return the facts of an AnnData whose objects are safe to read, of HDF5 or of zarr."""
    for name in ("X", "obs", "var"):
        if name not in file:
            raise Refusal(f"there is no {name}", "/", "give an AnnData file (.h5ad, .zarr) that holds obs, var and X")
    cells, genes = shape_of(file["X"])
    cell_names, gene_names = check_table(file["obs"], "obs", cells), check_table(file["var"], "var", genes)
    tally = Tally(cells, genes)
    tally_matrix(file["X"], "X", tally)
    tally.refuse(cell_names, gene_names, _other_matrices(file))
    layers = names_in(file.get("layers"))
    has_counts = "counts" in layers
    if has_counts:
        if shape_of(file["layers/counts"], "layers/counts") != (cells, genes):
            raise Refusal("has another shape than X", "layers/counts", REWRITE)
        tally_matrix(file["layers/counts"], "layers/counts", Tally(cells, genes))
    layout, dtype, memory = _storage(file["X"])
    return {
        "cells": cells,
        "genes": genes,
        "layout": layout,
        "dtype": dtype,
        "memory": memory,
        "density": tally.nonzero / max(cells * genes, 1),
        "lowest": min(tally.lowest, 0.0),
        "highest": max(tally.highest, 0.0),
        "whole_share": tally.whole_share,
        "layers": layers[:1000],
    }


def _other_matrices(file: Group) -> list[str]:
    """Where else in the file expression is kept, as one would write it in Python."""
    layers = names_in(file.get("layers"))[:10]
    return [*(f"layers[{name!r}]" for name in layers), *(["raw"] if "raw" in file else [])]


def _storage(x: Array | Group) -> tuple[str, str, int]:
    """Layout, dtype and bytes in memory of a matrix."""
    if isinstance(x, Array):
        return "dense", str(x.dtype), int(x.size) * x.dtype.itemsize
    size = x["data"].size * (x["data"].dtype.itemsize + x["indices"].dtype.itemsize) + x["indptr"].size * 8
    return MATRICES[str(x.attrs["encoding-type"])], str(x["data"].dtype), int(size)


# ---- links, storage and types of every object


def check_links(file: h5py.File) -> None:
    """Raise where anything in the file points out of it, is not stored in it, or expands without bound."""
    seen: set[int] = set()
    soft: list[tuple[h5py.Group, str]] = []
    waiting: list[tuple[h5py.Group, int]] = [(file["/"], 0)]
    _check_attributes(file["/"])
    while waiting:
        group, depth = waiting.pop()
        if depth > DEEPEST or len(seen) > MOST_OBJECTS:
            raise Refusal("groups are nested too deep or too many", group.name, REWRITE)
        for name in group:
            place = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                soft.append((group, name))
                continue
            if not isinstance(link, h5py.HardLink):
                raise Refusal("an external link: part of the data lies in another file", place, _merge())
            item = group[name]
            address = int(h5py.h5o.get_info(item.id).addr)
            if address in seen:
                continue
            seen.add(address)
            _check_attributes(item)
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                _check_dataset(item, place)
    # only now: nothing that a soft link can pass through leads out of the file any more
    for group, name in soft:
        if group.get(name) is None:
            place = f"{group.name.rstrip('/')}/{name}"
            raise Refusal("a soft link that leads out of the file or to nothing", place, _merge())


def _merge() -> str:
    return "write all data into one file, for example by reading it with anndata and writing it again"


def _check_dataset(item: h5py.Dataset, place: str) -> None:
    if item.is_virtual:
        raise Refusal("a virtual dataset: the data lies in other files", place, _merge())
    if item.external:
        raise Refusal("external storage: the data lies in another file", place, _merge())
    if _holds_references(item.dtype):
        raise Refusal("object references where data belongs", place, REWRITE)
    size = int(item.size or 0) * item.dtype.itemsize
    stored = int(item.id.get_storage_size())
    if size > SUSPICIOUS_BYTES and size > LARGEST_RATIO * stored:
        raise Refusal(f"{stored:,} stored bytes claim to hold {size:,}", place, "the file is damaged or hostile")


def _check_attributes(item: "h5py.Dataset | h5py.Group") -> None:
    for name in item.attrs:
        # older AnnData files keep a reference from the codes of a column to its categories; nothing else may
        if name != "categories" and _holds_references(item.attrs.get_id(name).dtype):
            raise Refusal("object references where data belongs", f"{item.name} attribute {name}", REWRITE)


def _holds_references(dtype: np.dtype) -> bool:
    if h5py.check_ref_dtype(dtype) is not None:
        return True
    inner = h5py.check_vlen_dtype(dtype)
    if inner is not None:
        return _holds_references(np.dtype(inner))
    if dtype.subdtype is not None:
        return _holds_references(dtype.subdtype[0])
    return any(_holds_references(dtype[name]) for name in dtype.names or ())


# ---- obs and var


def check_table(table: object, place: str, length: int) -> Shaped[np.ndarray, " names"]:
    """Return the row names of obs or var; raise where a column has another length, kind or code range."""
    if not isinstance(table, Group):
        raise Refusal("is not a table in the current layout", place, REWRITE)
    index = _text(table.attrs.get("_index", "_index"))
    if index not in table or not isinstance(table[index], Array):
        raise Refusal(f"has no row names (looked for {index!r})", place, REWRITE)
    names = read_column(table[index], f"{place}/{index}", length)
    unique, counts = np.unique(names, return_counts=True)
    if len(unique) != length:
        kind, remedy = ("cell", "obs_names_make_unique") if place == "obs" else ("gene", "var_names_make_unique")
        again = unique[counts > 1]
        raise Refusal(
            f"{len(again):,} {kind} names occur more than once (first: {again[0]})",
            f"{place}/{index}",
            f"make them unique, for example with adata.{remedy}()",
        )
    listed = [_text(one) for one in np.atleast_1d(table.attrs.get("column-order", np.empty(0)))]
    missing = [one for one in listed if one not in table]
    if missing:
        raise Refusal(f"lists a column {missing[0]!r} that is not there", place, REWRITE)
    for name in names_in(table):
        if name != "__categories":
            _check_column(table[name], f"{place}/{name}", length)
    return names


def _check_column(column: Array | Group, place: str, length: int) -> None:
    if isinstance(column, Array):
        codes = read_column(column, place, length)
        if "categories" in column.attrs:
            _check_codes(codes, _legacy_categories(column, place), place)
        return
    encoding = _text(column.attrs.get("encoding-type", ""))
    parts = {"categorical": ("codes", "categories")}.get(encoding, ("values", "mask") if encoding in NULLABLE else ())
    if not parts or any(not isinstance(column.get(part), Array) for part in parts):
        raise Refusal(f"a column of unknown kind {encoding!r}", place, "drop the column and write the file again")
    first = read_column(column[parts[0]], f"{place}/{parts[0]}", length)
    if encoding == "categorical":
        categories = column["categories"]
        read_column(categories, f"{place}/categories", int(categories.size or 0))
        _check_codes(first, int(categories.size or 0), place)
    else:
        read_column(column["mask"], f"{place}/mask", length)


def _legacy_categories(column: Array, place: str) -> int:
    reference, target = column.attrs["categories"], None
    if isinstance(column, h5py.Dataset) and isinstance(reference, h5py.Reference):
        target = column.file[reference]
    if not isinstance(target, h5py.Dataset) or "/__categories/" not in str(target.name):
        raise Refusal("its categories are not where they belong", place, REWRITE)
    read_column(target, place, int(target.size or 0))
    return int(target.size or 0)


def _check_codes(codes: Shaped[np.ndarray, " cells"], categories: int, place: str) -> None:
    if codes.dtype.kind not in "iu":
        raise Refusal("category codes are not integers", place, REWRITE)
    if codes.size and (codes.min() < -1 or codes.max() >= categories):
        at = int(np.flatnonzero((codes < -1) | (codes >= categories))[0])
        raise Refusal(f"code {codes[at]} in row {at} is not one of {categories} categories", place, REWRITE)


def read_column(column: Array, place: str, length: int) -> Shaped[np.ndarray, " rows"]:
    """Return a list of `length` words or numbers; raise where it is anything else."""
    if column.shape != (length,):
        raise Refusal(f"has shape {column.shape}, not ({length},)", place, REWRITE)
    if is_text(column):
        try:
            return text_of(column)
        except UnicodeDecodeError as error:
            raise Refusal("text that is not UTF-8", place, REWRITE) from error
    if column.dtype.kind not in "biuf":
        raise Refusal(f"a column of unknown type {column.dtype}", place, "drop the column and write the file again")
    return np.asarray(column[:])


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# ---- matrices


def shape_of(x: object, place: str = "X") -> tuple[int, int]:
    """Return cells and genes of a dense or sparse matrix; raise where it is neither."""
    if isinstance(x, Array):
        if x.ndim != 2 or x.dtype.kind not in "iuf":
            raise Refusal(f"is neither a table of numbers nor sparse (shape {x.shape}, type {x.dtype})", place, REWRITE)
        return int(x.shape[0]), int(x.shape[1])
    encoding = _text(x.attrs.get("encoding-type", "")) if isinstance(x, Group) else ""
    if not isinstance(x, Group) or encoding not in MATRICES:
        raise Refusal(f"is neither a table of numbers nor sparse (encoding {encoding!r})", place, REWRITE)
    shape = np.atleast_1d(x.attrs.get("shape", np.empty(0)))
    if shape.dtype.kind not in "iu" or shape.shape != (2,) or shape.min() < 0:
        raise Refusal("has no shape of two numbers", place, REWRITE)
    for part, kinds in (("data", "iuf"), ("indices", "iu"), ("indptr", "iu")):
        item = x.get(part)
        if not isinstance(item, Array) or item.ndim != 1 or item.dtype.kind not in kinds:
            raise Refusal("is missing or not a list of numbers", f"{place}/{part}", REWRITE)
    return int(shape[0]), int(shape[1])


def tally_matrix(x: Array | Group, place: str, tally: Tally) -> None:
    """Read every stored number once; raise where the sparse structure is wrong."""
    if isinstance(x, Array):
        for start, stop in _row_blocks(x):
            tally.add_dense(x[start:stop], start)
        return
    by_cell = MATRICES[_text(x.attrs["encoding-type"])] == "csr"
    major, minor = (tally.cells, tally.genes) if by_cell else (tally.genes, tally.cells)
    pointers = check_pointers(x, place, major, minor)
    for first, last in pointer_blocks(pointers):
        start, stop = int(pointers[first]), int(pointers[last])
        inner = x["indices"][start:stop].astype(np.int64)
        outer = np.repeat(np.arange(first, last), np.diff(pointers[first : last + 1]))
        check_indices(inner, outer, minor, f"{place}/indices", start)
        rows, columns = (outer, inner) if by_cell else (inner, outer)
        tally.add_entries(rows, columns, x["data"][start:stop])


def _row_blocks(x: Array) -> Iterator[tuple[int, int]]:
    rows = max(1, BLOCK_BYTES // max(x.shape[1] * x.dtype.itemsize, 1))
    if x.chunks:
        rows = max(x.chunks[0], rows // x.chunks[0] * x.chunks[0])
    for start in range(0, x.shape[0], rows):
        yield start, min(start + rows, x.shape[0])


def check_pointers(x: Group, place: str, major: int, minor: int) -> Int[np.ndarray, " pointers"]:
    """Return indptr; raise where it does not describe `major` rows of at most `minor` entries each."""
    where, stored = f"{place}/indptr", int(x["data"].size)
    if x["indptr"].size != major + 1:
        raise Refusal(f"has {x['indptr'].size:,} entries, not {major + 1:,}", where, REWRITE)
    pointers = np.asarray(x["indptr"][:]).astype(np.int64)
    steps = np.diff(pointers)
    wrong = np.flatnonzero((steps < 0) | (steps > minor))
    if len(wrong):
        raise Refusal(f"goes from {pointers[wrong[0]]} to {pointers[wrong[0] + 1]} at {wrong[0]}", where, REWRITE)
    if pointers[0] != 0 or pointers[-1] != stored or x["indices"].size != stored:
        raise Refusal(
            f"runs from {pointers[0]:,} to {pointers[-1]:,} for {stored:,} values and {x['indices'].size:,} indices",
            where,
            REWRITE,
        )
    return pointers


def pointer_blocks(pointers: Int[np.ndarray, " pointers"]) -> Iterator[tuple[int, int]]:
    """Cut the rows into stretches of about `BLOCK_BYTES` of values."""
    most, first, last_row = BLOCK_BYTES // 16, 0, len(pointers) - 1
    while first < last_row:
        last = int(np.searchsorted(pointers, pointers[first] + most, side="right")) - 1
        last = min(max(last, first + 1), last_row)
        yield first, last
        first = last


def check_indices(
    inner: Int[np.ndarray, " entries"], outer: Int[np.ndarray, " entries"], minor: int, place: str, start: int
) -> None:
    """Raise where an index is outside 0 to `minor` - 1, or occurs twice in one row."""
    wrong = np.flatnonzero((inner < 0) | (inner >= minor))
    if len(wrong):
        at = int(wrong[0])
        raise Refusal(f"index {inner[at]} at position {start + at:,} is outside 0 to {minor - 1}", place, REWRITE)
    backwards = (np.diff(inner) <= 0) & (np.diff(outer) == 0)
    if backwards.any() and len(np.unique(outer * minor + inner)) != len(inner):
        raise Refusal("one row holds the same index twice", place, "sum the duplicates and write the file again")


def _limit(seconds: int, memory: int) -> None:
    limits = [(resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, LARGEST_OUTPUT)]
    for which, value in limits:
        try:
            resource.setrlimit(which, (value, value))
        except (ValueError, OSError):  # some systems know no such limit, or a lower one already holds
            continue


def main(arguments: list[str], look: Callable[[str], dict[str, object]] = walk) -> int:
    """Look through the file named first, under the limits named next; print the outcome."""
    path, seconds, memory = arguments[0], int(arguments[1]), int(arguments[2])
    _limit(seconds, memory)
    try:
        answer: dict[str, object] = {"facts": look(path)}
    except Refusal as refusal:
        answer = {"refused": [refusal.problem, refusal.place, refusal.remedy]}
    except Exception as error:  # a hostile file may raise anything; whatever it is, the file is not usable
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        problem = f"the file is damaged, or needs more than {memory / 2**30:.3g} GiB of memory to read ({text})"
        answer = {"refused": [problem, "", "copy or download it again; if it is sound, store it in smaller chunks"]}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
