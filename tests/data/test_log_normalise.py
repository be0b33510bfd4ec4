"""Normalising counts equals its closed form, and is refused where only the panel's own sum is there."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from h5ad_files import gears, transcriptome
from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.expression import InMemory, dense
from pertura.data.anndata_io import cells_from_anndata
from pertura.data.normalise import log_normalise, sums_of


def counted(layout: str = "csr", **flags: object) -> Cells:
    return cells_from_anndata(gears(scale="counts", layout=layout), **flags)


@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("target", [1e4, 777.0])
def test_it_equals_the_closed_form(layout, target):
    made = log_normalise(counted(layout), target_sum=target)
    whole = transcriptome(100)
    expected = np.log1p(whole[:, :30] / whole.sum(axis=1, keepdims=True) * target)
    rows = np.asarray([99, 3, 3, 50])
    np.testing.assert_allclose(made.dense(rows), expected[rows], rtol=1e-12)
    assert (made.scale.target_sum, made.scale.whole_transcriptome) == (target, True)


def test_the_scale_of_the_result_is_found_again_from_its_numbers():
    adata = gears(scale="counts")
    made = log_normalise(cells_from_anndata(adata))
    adata.X = sp.csr_matrix(made.dense(np.arange(100)))
    again = cells_from_anndata(adata).scale
    assert (again.kind, again.target_sum, again.log_base) == ("lognormalised", 1e4, pytest.approx(np.e))


def test_a_panel_without_library_sizes_is_refused_unless_it_is_all_there_is():
    unknown = counted(library_size_column="none")
    assert unknown.library_sizes is None
    with pytest.raises(BadDataError, match="--library-size-column"):
        log_normalise(unknown)
    made = log_normalise(counted(library_size_column="none", whole_transcriptome=True))
    np.testing.assert_allclose(np.expm1(made.dense(np.arange(100))).sum(axis=1), 1e4)


def test_values_that_are_no_counts_are_refused():
    with pytest.raises(BadDataError, match="no counts"):
        log_normalise(cells_from_anndata(gears()))


def test_an_empty_cell_is_named():
    cells = counted()
    sizes = cells.library_sizes.copy()
    sizes[4] = 0
    with pytest.raises(BadDataError, match="cell4"):
        log_normalise(replace(cells, library_sizes=sizes))


def test_taking_cells_and_normalising_commute():
    rows = np.asarray([7, 2, 90])
    np.testing.assert_array_equal(
        log_normalise(counted()).take(rows).dense(np.arange(3)), log_normalise(counted().take(rows)).dense(np.arange(3))
    )


@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix])
def test_sums_are_read_block_by_block(make):
    values = np.random.default_rng(0).poisson(1.0, size=(5000, 3)).astype(float)
    expression = InMemory(make(values))
    np.testing.assert_array_equal(sums_of(expression), values.sum(axis=1))
    assert dense(expression.rows(np.asarray([0]))).shape == (1, 3)
