"""Rows read from a file equal those of the matrix in memory, whatever is asked for in whatever order."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, dense
from pertura.data.backed import BackedRows, spans

CELLS, GENES = 97, 13


def matrix() -> np.ndarray:
    values = np.random.default_rng(0).poisson(0.7, size=(CELLS, GENES)).astype(np.float32)
    values[10:15] = 0
    return values


def stored(path: Path, layout: str, chunk: int | None) -> Path:
    full = matrix()
    with h5py.File(path, "w") as file:
        if layout == "dense":
            file.create_dataset("X", data=full, chunks=(chunk, GENES) if chunk else None)
            return path
        made = sp.csr_matrix(full) if layout == "csr" else sp.csc_matrix(full)
        group = file.create_group("X")
        group.attrs.update({"encoding-type": f"{layout}_matrix", "shape": full.shape})
        for part in ("data", "indices", "indptr"):
            group.create_dataset(part, data=getattr(made, part), chunks=(chunk,) if chunk else None)
    return path


@pytest.fixture(scope="module", params=[("dense", None), ("dense", 10), ("csr", None), ("csr", 16)], ids=str)
def backed(request, tmp_path_factory):
    opened = BackedRows(stored(tmp_path_factory.mktemp("backed") / "x.h5ad", *request.param))
    yield opened
    opened.close()


@given(index=st.lists(st.integers(0, CELLS - 1), max_size=200))
@settings(max_examples=80, deadline=None)
def test_rows_equal_those_in_memory(backed, index):
    rows = np.asarray(index, dtype=np.int64)
    assert isinstance(backed, Expression)
    np.testing.assert_array_equal(dense(backed.rows(rows)), matrix()[rows])


@given(index=st.sets(st.integers(0, 500), min_size=1), gap=st.integers(0, 50), most=st.integers(1, 100))
@settings(max_examples=80, deadline=None)
def test_spans_cover_each_row_once_within_their_bounds(index, gap, most):
    wanted = np.asarray(sorted(index), dtype=np.int64)
    found = list(spans(wanted, gap, most))
    assert [i for first, last in found for i in range(first, last)] == list(range(len(wanted)))
    assert all(wanted[last - 1] - wanted[first] < most for first, last in found)
    assert all((np.diff(wanted[first:last]) <= gap + 1).all() for first, last in found)


def test_shape_and_type_are_the_files(backed):
    assert backed.shape == (CELLS, GENES)
    assert backed.rows(np.asarray([3])).dtype == np.float32


def test_it_opens_again_after_closing(backed):
    first = dense(backed.rows(np.asarray([5])))
    backed.close()
    np.testing.assert_array_equal(dense(backed.rows(np.asarray([5]))), first)


@pytest.mark.parametrize("row", [-1, CELLS])
def test_a_row_that_is_not_there_raises(backed, row):
    with pytest.raises(IndexError, match=str(row)):
        backed.rows(np.asarray([0, row]))


def test_nothing_is_opened_before_it_is_used(tmp_path):
    assert BackedRows(tmp_path / "none.h5ad")._file is None


def test_columns_first_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(BadDataError, match="tocsr"):
        BackedRows(stored(tmp_path / "x.h5ad", "csc", None)).shape  # noqa: B018
