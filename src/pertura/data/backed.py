"""Expression that stays in its file: only the rows that are asked for are read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp
from jaxtyping import Int, Num

from pertura.core.errors import BadDataError
from pertura.core.expression import Rows
from pertura.data.stores import Array, Group, is_by_columns, root_of

GAP_BYTES = 64 << 10
"""Reading over a gap this small is quicker than a second request."""
SPAN_BYTES = 64 << 20
CACHE_BYTES = 64 << 20


@dataclass(eq=False)
class BackedRows:
    """The matrix at `place` of an .h5ad or .zarr as an `Expression`: a dense array or CSR, opened when first used.

    CSC is refused: each of its rows lies scattered over the whole file. Give only files that have been walked.
    """

    path: Path
    place: str = "X"
    _file: h5py.File | None = field(default=None, init=False, repr=False)

    @cached_property
    def _matrix(self) -> Any:
        matrix = self._root()[self.place]
        if is_by_columns(matrix):
            raise BadDataError(
                "is stored column by column (CSC), so cells cannot be read one by one",
                file=self.path,
                place=self.place,
                remedy="store it by rows: adata.X = adata.X.tocsr(), then write the file again",
            )
        return matrix

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        matrix = self._matrix
        size = matrix.shape if isinstance(matrix, Array) else matrix.attrs["shape"]
        return int(size[0]), int(size[1])

    def rows(self, index: Rows) -> Num[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order; a row may be named twice."""
        wanted, back = np.unique(np.asarray(index, dtype=np.int64), return_inverse=True)
        if len(wanted) and (wanted[0] < 0 or wanted[-1] >= self.shape[0]):
            raise IndexError(f"row {wanted[0] if wanted[0] < 0 else wanted[-1]} of {self.shape[0]}")
        block = self._dense(wanted) if isinstance(self._matrix, Array) else self._sparse(wanted)
        return block if np.array_equal(back, np.arange(len(wanted))) else block[back]

    def _root(self) -> Group:
        if self.path.is_dir():
            return root_of(self.path)
        self._file = h5py.File(self.path, "r", rdcc_nbytes=CACHE_BYTES)
        return self._file

    def close(self) -> None:
        """Close the file; it opens again when rows are asked for."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self.__dict__.pop("_matrix", None)

    def _dense(self, wanted: Rows) -> Num[np.ndarray, "cells genes"]:
        matrix = self._matrix
        width = max(self.shape[1] * matrix.dtype.itemsize, 1)
        gap = max(GAP_BYTES // width, matrix.chunks[0] if matrix.chunks else 0)
        block = np.empty((len(wanted), self.shape[1]), dtype=matrix.dtype)
        for first, last in spans(wanted, gap, max(SPAN_BYTES // width, 1)):
            start, stop = wanted[first], wanted[last - 1] + 1
            if stop - start == last - first and isinstance(matrix, h5py.Dataset):
                matrix.read_direct(block, np.s_[start:stop], np.s_[first:last])
            else:
                block[first:last] = matrix[start:stop][wanted[first:last] - start]
        return block

    @cached_property
    def _pointers(self) -> Int[np.ndarray, " pointers"]:
        return self._matrix["indptr"][:].astype(np.int64)

    def _sparse(self, wanted: Rows) -> sp.csr_matrix:
        data, indices = self._matrix["data"], self._matrix["indices"]
        width = max(data.dtype.itemsize + indices.dtype.itemsize, 1)
        mean = max(float(self._pointers[-1]) / max(self.shape[0], 1) * width, 1.0)
        chunk = data.chunks[0] * width if data.chunks else 0
        pieces = []
        for first, last in spans(wanted, int(max(GAP_BYTES, chunk) / mean), max(int(SPAN_BYTES / mean), 1)):
            low, high = int(wanted[first]), int(wanted[last - 1]) + 1
            start, stop = int(self._pointers[low]), int(self._pointers[high])
            inner = self._pointers[low : high + 1] - start
            piece = sp.csr_matrix((data[start:stop], indices[start:stop], inner), shape=(high - low, self.shape[1]))
            pieces.append(piece if high - low == last - first else piece[wanted[first:last] - low])
        if not pieces:
            return sp.csr_matrix((0, self.shape[1]), dtype=data.dtype)
        return pieces[0] if len(pieces) == 1 else sp.vstack(pieces, format="csr")


def spans(wanted: Rows, gap: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut sorted rows into stretches to read at once: gaps of at most `gap`, at most `most` rows from end to end."""
    first = 0
    for i in range(1, len(wanted) + 1):
        if i == len(wanted) or wanted[i] - wanted[i - 1] > gap + 1 or wanted[i] - wanted[first] >= most:
            yield first, i
            first = i
