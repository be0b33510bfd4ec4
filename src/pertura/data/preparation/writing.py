"""A prepared screen as an .h5ad whose matrices are appended block by block, whole or not at all."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Int

from pertura.core.atomic import replacing
from pertura.data.preparation.passes import Told, blocks_of, nobody
from pertura.data.preparation.scaled import Scaled

CHUNK = 1 << 18
NOTHING = ("obsm", "varm", "obsp", "varp")


@dataclass(frozen=True, eq=False)
class Tables:
    """What stands beside the matrices."""

    obs: pd.DataFrame
    var: pd.DataFrame
    uns: Mapping[str, object]


def write_prepared(
    path: str | os.PathLike[str],
    made: Scaled,
    columns: Int[np.ndarray, " genes"],
    tables: Tables,
    told: Told = nobody,
) -> int:
    """Write logarithms (X) and counts (layers["counts"], where known) of some genes; return the values stored in X.

    Both are float32 and CSR, whatever they were before.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
        x = _Growing.at(file, "X")
        layers = file.create_group("layers")
        layers.attrs["encoding-type"], layers.attrs["encoding-version"] = "dict", "0.1.0"
        beside = None if made.counts is None else _Growing.at(file, "layers/counts", compression="gzip")
        rows = np.arange(len(made.cells), dtype=np.int64)
        for some in blocks_of(rows, len(made.cells.genes), "writing", told):
            logs, counts = made.block(some, columns)
            x.add(logs)
            if beside is not None and counts is not None:
                beside.add(counts)
        for matrix in (x, beside):
            if matrix is not None:
                matrix.finish(len(columns))
        anndata.io.write_elem(file, "obs", tables.obs)
        anndata.io.write_elem(file, "var", tables.var)
        anndata.io.write_elem(file, "uns", dict(tables.uns))
        for name in NOTHING:
            anndata.io.write_elem(file, name, {})
        return len(x.data)


@dataclass(frozen=True, eq=False)
class _Growing:
    """A CSR matrix of a file to which rows are appended."""

    group: h5py.Group
    data: h5py.Dataset
    indices: h5py.Dataset
    lengths: list[Int[np.ndarray, " rows"]] = field(default_factory=list)

    @classmethod
    def at(cls, file: h5py.File, place: str, compression: str | None = None) -> "_Growing":
        group = file.create_group(place)
        group.attrs["encoding-type"], group.attrs["encoding-version"] = "csr_matrix", "0.1.0"
        # counts are small whole numbers that are seldom read again: worth packing; X is read over and over
        packed = {"compression": compression, "compression_opts": 1, "shuffle": True} if compression else {}
        data, indices = (
            group.create_dataset(name, shape=(0,), maxshape=(None,), dtype=kind, chunks=(CHUNK,), **packed)
            for name, kind in (("data", np.float32), ("indices", np.int32))
        )
        return cls(group, data, indices)

    def add(self, block: sp.csr_matrix) -> None:
        """Append the rows of a block."""
        start, end = len(self.data), len(self.data) + block.nnz
        self.data.resize((end,))
        self.indices.resize((end,))
        self.data[start:end], self.indices[start:end] = block.data, block.indices
        self.lengths.append(np.diff(block.indptr).astype(np.int64))

    def finish(self, genes: int) -> None:
        """Write where each row begins."""
        lengths = np.concatenate([np.zeros(1, dtype=np.int64), *self.lengths])
        self.group.create_dataset("indptr", data=np.cumsum(lengths))
        self.group.attrs["shape"] = np.asarray([len(lengths) - 1, genes], dtype=np.int64)
