"""Vectors of genes in files of other projects: pickles `{symbol: numbers}` and torch files `{symbol: tensor}`."""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from pertura.core.errors import BadDataError, MissingError
from pertura.priors.array_records import ArrayNames, ArrayRecord, TensorRecord
from pertura.priors.pickles import plain, read_pickle
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.priors.torch_files import torch_archive

ZIP_START = b"PK\x03\x04"
OLD_TORCH_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
WIDEST = 1_000_000
Vectors = Iterator[tuple[str, np.ndarray]]


def read_foreign(path: Path, *, name: str = "") -> GenePrior:
    """Return the vectors in a pickle or torch file that maps each symbol to its numbers, as float32.

    Read are GenePT's and scGenePT's `{symbol: list or array}` pickles and `{symbol: tensor}` files in torch's archive
    layout. Nothing in the file is executed or imported. `BadDataError` for everything that is not plain data, and for
    vectors of different widths or with numbers that are not finite, by the name of the gene.
    """
    if not path.is_file():
        raise MissingError(f"{path}: no such file")
    with path.open("rb") as source:
        start = source.read(len(OLD_TORCH_START))
    try:
        if start == OLD_TORCH_START:
            raise BadDataError("a torch file of before 1.6", remedy="load it and save it again with a newer torch")
        vectors = _from_torch(path) if start.startswith(ZIP_START) else _from_pickle(path)
    except BadDataError as error:
        raise BadDataError(error.problem, file=path, remedy=error.remedy) from error
    genes, table = vectors
    return GenePrior(name or path.stem, genes, table, PriorFacts(source=path.name, kind="file"))


def _from_pickle(path: Path) -> tuple[tuple[str, ...], Float32[np.ndarray, "genes width"]]:
    if path.stat().st_size == 0:
        raise BadDataError("the file is empty")
    with path.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _table(plain(read_pickle(content, ArrayNames())), None)


def _from_torch(path: Path) -> tuple[tuple[str, ...], Float32[np.ndarray, "genes width"]]:
    with torch_archive(path) as archive:
        return _table(archive.value(), archive.values)


def _table(
    value: Any, tensors: Callable[[TensorRecord], np.ndarray] | None
) -> tuple[tuple[str, ...], Float32[np.ndarray, "genes width"]]:
    """Return genes, in the order of the file, and their vectors; a row is made and dropped at a time."""
    if not isinstance(value, dict) or not value:
        raise BadDataError(
            f"expected a dict of vectors, found {'an empty one' if value == {} else type(value).__name__}"
        )
    table = np.zeros((0, 0), dtype=np.float32)
    for row, (gene, one) in enumerate(value.items()):
        vector = _vector(gene, one, tensors)
        if row == 0:
            table = np.empty((len(value), len(vector)), dtype=np.float32)
        if len(vector) != table.shape[1]:
            raise BadDataError(f"{gene[:60]!r} has {len(vector)} numbers, the genes before it {table.shape[1]}")
        table[row] = vector
    return tuple(value), table


def _vector(gene: str, value: Any, tensors: Callable[[TensorRecord], np.ndarray] | None) -> np.ndarray:
    """Return the numbers of one gene, as a row of float32."""
    if isinstance(value, TensorRecord) and tensors is not None:
        found = tensors(value)
    elif isinstance(value, ArrayRecord) and value.values is not None:
        found = value.values
    elif isinstance(value, np.ndarray):
        found = value
    elif isinstance(value, list | tuple) and value and all(type(one) in (int, float) for one in value):
        found = np.asarray([float(one) for one in value])
    else:
        raise BadDataError(f"{gene[:60]!r} has no vector of numbers but {_kind(value)}")
    if found.size == 0 or found.size != max(found.shape, default=0) or found.size > WIDEST or found.dtype.kind == "b":
        raise BadDataError(f"{gene[:60]!r} has no vector of numbers but an array {found.shape} of {found.dtype}")
    with np.errstate(over="ignore"):  # refused in the next line, by name
        vector = found.ravel().astype(np.float32)
    if not np.isfinite(vector).all():
        raise BadDataError(f"{gene[:60]!r} has numbers that are not finite")
    return vector


def _kind(value: Any) -> str:
    inside = {type(one).__name__ for one in value} if isinstance(value, list | tuple) else set()
    return (
        f"{type(value).__name__} of {', '.join(sorted(inside)) or 'nothing'}"
        if inside or value == []
        else type(value).__name__
    )
