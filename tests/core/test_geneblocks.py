"""Blocks of genes hold what the expression holds, in few passes and little memory."""

import numpy as np
import pytest
import scipy.sparse as sp

from pertura.core.expression import InMemory, Subset
from pertura.core.geneblocks import gene_blocks


class Rows:
    """A matrix that only gives rows, and counts them."""

    def __init__(self, matrix):
        self.matrix, self.shape, self.read = matrix, matrix.shape, 0

    def rows(self, index):
        self.read += len(index)
        return self.matrix[index]


def matrix(kind, cells=70, genes=40, dtype=np.float32):
    rng = np.random.default_rng(0)
    full = np.where(rng.random((cells, genes)) < np.linspace(0.05, 0.9, genes), rng.random((cells, genes)), 0)
    return full.astype(dtype) if kind == "dense" else sp.csr_matrix(full.astype(dtype))


def put_together(expression, memory):
    """All blocks side by side, and how many there are."""
    parts, start = [], 0
    for block in gene_blocks(expression, memory):
        assert block.start == start
        assert block.stop - block.start == block.matrix.shape[1]
        taken = block.matrix[block.rows]
        parts.append(taken if isinstance(taken, np.ndarray) else taken.toarray())
        start = block.stop
    return np.hstack(parts), len(parts)


@pytest.mark.parametrize("kind", ["csr", "dense"])
@pytest.mark.parametrize("memory", [1, 600, 6_000, 1 << 20])
@pytest.mark.parametrize("columns", [None, [30, 2, 2, 17]])
def test_blocks_hold_every_gene_once_and_all_cells_in_their_order(kind, memory, columns):
    whole = matrix(kind)
    index = np.random.default_rng(1).integers(0, 70, 50)
    subset = Subset(Rows(whole), index, None if columns is None else np.asarray(columns))
    full = whole if kind == "dense" else whole.toarray()
    expected = full[index] if columns is None else full[index][:, columns]
    found, _ = put_together(subset, memory)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_blocks_are_few_and_keep_the_bound(kind):
    whole = matrix(kind, cells=300, genes=200)
    size = whole.nbytes if kind == "dense" else 8 * whole.nnz
    source = Rows(whole)
    for block in gene_blocks(source, size // 2):
        held = block.matrix.nbytes if kind == "dense" else 8 * block.matrix.nnz
        assert held <= size // 2
    assert source.read <= 4 * 300 + 10


@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_a_float_matrix_in_memory_is_not_copied(kind):
    whole = matrix(kind)
    (block,) = gene_blocks(Subset(InMemory(whole), np.arange(5)), 1)
    assert np.shares_memory(*((block.matrix, whole) if kind == "dense" else (block.matrix.data, whole.data)))


@pytest.mark.parametrize("dtype", [np.int32, np.float16, np.float64])
def test_values_are_taken_in_a_float_type_that_holds_them(dtype):
    whole = np.arange(12).reshape(4, 3).astype(dtype)
    found, _ = put_together(InMemory(whole), 1 << 20)
    assert found.dtype == (np.float32 if dtype == np.float16 else np.float64)
    np.testing.assert_array_equal(found, whole)


def test_rows_that_are_not_there_are_refused():
    with pytest.raises(IndexError, match="row 70 of 70"):
        next(gene_blocks(Subset(InMemory(matrix("dense")), np.asarray([0, 70])), 1 << 20))
    with pytest.raises(IndexError, match="row -1 of 70"):
        next(gene_blocks(Subset(InMemory(matrix("dense")), np.asarray([-1])), 1 << 20))
