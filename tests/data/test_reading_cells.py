"""Cells of a file equal those of the AnnData it was written from, in memory or on disk."""

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from h5ad_files import GENES, gears, perturbench, screen, state, written
from pertura.core import Condition, Perturbation
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import InMemory
from pertura.data.anndata_io import cells_from_anndata, cells_from_file, open_cells, open_screen
from pertura.data.backed import BackedRows
from pertura.data.known_genes import NotGenesError


@pytest.mark.slow
@pytest.mark.parametrize("make", [gears, state, perturbench])
@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("bound", [0, 1 << 30])
def test_a_file_gives_the_same_cells_as_its_anndata(make, layout, bound, tmp_path):
    adata = make(layout=layout)
    path = written(adata, tmp_path)
    expected = cells_from_anndata(adata)
    found = cells_from_file(path, open_screen(path).reading, in_memory_bytes=bound)
    assert isinstance(found.expression, BackedRows if bound == 0 else InMemory)
    assert (found.genes, found.conditions, found.scale) == (expected.genes, expected.conditions, expected.scale)
    assert (found.batches, found.spellings) == (expected.batches, expected.spellings)
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.library_sizes, adata.obs["ncounts"])
    rows = np.asarray([5, 0, 5, 79])
    np.testing.assert_array_equal(found.dense(rows), expected.dense(rows))


def test_columns_first_is_turned_where_it_fits_and_refused_where_not(tmp_path):
    path = written(gears(layout="csc"), tmp_path)
    rows = np.arange(100)
    np.testing.assert_array_equal(open_cells(path).dense(rows), cells_from_anndata(gears()).dense(rows))
    with pytest.raises(BadDataError, match="tocsr") as caught:
        cells_from_file(path, open_screen(path).reading, in_memory_bytes=0)
    assert caught.value.file == path


def test_the_order_of_rows_of_obs_changes_no_cell(tmp_path):
    adata = gears()
    order = np.random.default_rng(0).permutation(adata.n_obs)
    first, second = cells_from_anndata(adata), cells_from_anndata(adata[order].copy())
    assert first.conditions == second.conditions
    assert first.spellings == second.spellings
    for name in ("cell3", "cell50"):
        i, j = first.row_of_id[name], second.row_of_id[name]
        assert first.codes[i] == second.codes[j]
        np.testing.assert_array_equal(first.dense(np.asarray([i])), second.dense(np.asarray([j])))


def test_what_was_computed_before_a_split_is_listed(tmp_path):
    adata = gears()
    adata.var["highly_variable"] = True
    adata.obsm["X_pca"] = np.zeros((100, 2))
    adata.uns["rank_genes_groups_cov_all"] = {"a": np.asarray(["x"])}
    expected = ("highly_variable", "the panel itself", "X_pca", "rank_genes_groups_cov_all")
    for cells in (cells_from_anndata(adata), open_cells(written(adata, tmp_path))):
        assert all(any(word in note for note in cells.notes) for word in expected)
    assert cells_from_anndata(gears()).notes == ()


def test_only_obs_var_and_x_are_read(tmp_path):
    path = written(gears(), tmp_path)
    with h5py.File(path, "r+") as file:
        file["obsm"].create_dataset("X_odd", data=np.zeros(3))
        file["uns"].attrs["encoding-type"] = "something-of-the-future"
    assert len(open_cells(path)) == 100


def test_symbols_are_used_where_row_names_are_numbers(tmp_path):
    adata = gears()
    adata.var["gene_name"] = list(adata.var_names)
    adata.var_names = [f"ENSG{i:011d}" for i in range(30)]
    screen_found = open_screen(written(adata, tmp_path))
    assert screen_found.reading.gene_column == "gene_name"
    assert screen_found.cells.genes[:2] == ("GENE0", "GENE1")


def test_two_modes_of_one_gene_are_two_conditions():
    adata = screen("condition", ("control", "GENE1"), perturbation_type=["CRISPRa", "CRISPRi"])
    cells = cells_from_anndata(adata)
    assert len(cells.perturbed) == 2
    assert sum(len(cells.rows_of(one)) for one in cells.perturbed) == 20


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_an_anndata_in_memory_is_looked_through_too(value):
    adata = gears()
    adata.X[4, 1] = value
    with pytest.raises(BadDataError, match=r"X\[4, 1\] \(cell cell4, gene GENE1\)"):
        cells_from_anndata(adata)


def test_names_that_repeat_in_memory_are_refused():
    adata = gears()
    adata.var_names = ["A"] * 30
    with pytest.raises(BadDataError, match="repeat"):
        cells_from_anndata(adata)


def test_an_anndata_without_values_points_to_its_file(tmp_path):
    adata = gears()
    adata.X = None
    with pytest.raises(UsageError, match="open_cells"):
        cells_from_anndata(adata)


def test_a_reading_can_be_handed_in():
    adata = screen("guide", ("NT", "GENE1"))
    reading = open_reading(adata)
    adata.X = sp.csr_matrix(adata.X)
    cells = cells_from_anndata(adata, reading)
    assert set(cells.conditions) == {Condition(Perturbation()), Condition(Perturbation.of("GENE1"))}


def open_reading(adata):
    from pertura.data.anndata_io import _source_of_anndata, read_as
    from pertura.data.conventions import Flags

    return read_as(_source_of_anndata(adata), Flags.of({"perturbation_column": "guide", "control": "NT"}))


def test_errors_of_meaning_name_the_file(tmp_path):
    path = written(screen("condition", ("control", "non-targeting", "GENE1")), tmp_path)
    with pytest.raises(UsageError, match=r"screen\.h5ad.*--control"):
        open_cells(path)
    path = written(screen("condition", ("GENE2", "GENE1")), tmp_path)
    with pytest.raises(BadDataError, match=r"screen\.h5ad.*no control cells"):
        open_cells(path)


def test_genes_keep_the_names_of_the_file_unless_asked():
    adata = screen("condition", ("control", "KIAA1804", "KIAA1804+OCT4"))
    adata.var_names = ["MAP3K21", "7-Sep", "DEC1", *GENES[3:]]
    kept = cells_from_anndata(adata)
    assert kept.genes[:3] == ("MAP3K21", "7-Sep", "DEC1")
    assert {one.genes for one in kept.perturbed} == {("KIAA1804",), ("KIAA1804", "OCT4")}
    renamed = cells_from_anndata(adata, gene_names="approved")
    assert renamed.genes[:3] == ("MAP3K21", "SEPTIN7", "DEC1")
    assert {one.genes for one in renamed.perturbed} == {("MAP3K21",), ("MAP3K21", "POU5F1")}
    assert renamed.spellings[Condition(Perturbation.of("MAP3K21"))] == "KIAA1804"
    assert any("1 gene of the panel and 2 perturbed genes go by their approved symbols" in one for one in renamed.notes)


def test_what_kind_of_refusal_it_was_survives_the_name_of_the_file(tmp_path):
    path = written(screen("condition", ("control", "dexamethasone")), tmp_path)
    with pytest.raises(NotGenesError, match=r"screen\.h5ad.*dexamethasone"):
        open_cells(path)
