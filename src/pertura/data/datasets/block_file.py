"""An .h5ad whose matrix is appended block by block, in the layout anndata 0.12 reads."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Shaped

from pertura.core.atomic import replacing

CHUNK = 1 << 18
COLUMNS = ("condition", "cell_line", "batch", "perturbation_type")

Block = tuple[sp.csr_matrix, Float[np.ndarray, " cells"]]


def write_blocks(
    path: str | os.PathLike[str],
    labels: Mapping[str, Shaped[np.ndarray, " cells"]],
    genes: tuple[str, ...],
    blocks: Iterable[Block],
) -> None:
    """Write cells (`ids` and the columns in `labels`), the blocks' rows and library sizes."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
        libraries = _append(file, blocks, len(genes))
        obs = pd.DataFrame({name: pd.Categorical(labels[name]) for name in COLUMNS}, index=_index(labels["ids"]))
        obs["ncounts"] = libraries
        anndata.io.write_elem(file, "obs", obs)
        anndata.io.write_elem(file, "var", pd.DataFrame(index=_index(np.asarray(genes))))
        for name in ("uns", "layers", "obsm", "varm", "obsp", "varp"):
            anndata.io.write_elem(file, name, {})


def _index(names: Shaped[np.ndarray, " names"]) -> pd.Index:
    return pd.Index(names.astype(object))


def _append(file: h5py.File, blocks: Iterable[Block], genes: int) -> Float[np.ndarray, " cells"]:
    """Write X as it comes and return the library sizes."""
    libraries, indptr = [], [np.zeros(1, dtype=np.int64)]
    with _growing(file) as (data, indices):
        for matrix, sizes in blocks:
            start, end = len(data), len(data) + matrix.nnz
            data.resize((end,))
            indices.resize((end,))
            data[start:end], indices[start:end] = matrix.data, matrix.indices
            indptr.append(matrix.indptr[1:].astype(np.int64) + start)
            libraries.append(sizes)
    pointers = np.concatenate(indptr)
    file["X"].create_dataset("indptr", data=pointers)
    file["X"].attrs["shape"] = np.asarray([len(pointers) - 1, genes], dtype=np.int64)
    return np.concatenate(libraries)


@contextmanager
def _growing(file: h5py.File) -> Iterator[tuple[h5py.Dataset, h5py.Dataset]]:
    group = file.create_group("X")
    group.attrs["encoding-type"], group.attrs["encoding-version"] = "csr_matrix", "0.1.0"
    yield tuple(
        group.create_dataset(name, shape=(0,), maxshape=(None,), dtype=kind, chunks=(CHUNK,))
        for name, kind in (("data", np.float32), ("indices", np.int32))
    )
