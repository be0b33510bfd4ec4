"""Labels are taken as a file spells them; what is not clear is asked for, what is no expression refused."""

from dataclasses import replace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from foreign_screens import CONTROL, LABELS, screen
from pertura.core.errors import BadDataError, UsageError
from pertura.data.anndata_io import cells_from_anndata
from pertura.data.labelled import Labelled
from pertura.data.labelled_file import LabelColumns, labelled_from_anndata, labelled_of_cells, open_labelled


@pytest.fixture(scope="module")
def cells():
    return screen(contexts=("K562", "RPE1"))


def dense(labelled):
    rows = labelled.expression.rows(np.arange(len(labelled.codes)))
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


def test_a_file_and_its_anndata_are_read_alike(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    by_file, by_object = open_labelled(tmp_path / "cells.h5ad"), labelled_from_anndata(cells)
    for one in (by_file, by_object):
        assert one.cells.labels == (*LABELS, CONTROL)
        assert (one.cells.control, one.column, one.whole) == (CONTROL, "target_gene", False)
    np.testing.assert_array_equal(dense(by_file.cells), dense(by_object.cells))
    np.testing.assert_array_equal(by_file.cells.codes, by_object.cells.codes)
    on_disk = open_labelled(tmp_path / "cells.h5ad", in_memory_bytes=0)
    np.testing.assert_array_equal(dense(on_disk.cells), dense(by_file.cells))


def test_labels_are_opaque(cells):
    """A label that another reader would take for two genes, or for a guide, is a label like any other."""
    odd = cells.copy()
    names = {"GENE00": "A+ctrl", "GENE01": "A_2|B", "GENE02": " a "}
    odd.obs["target_gene"] = odd.obs["target_gene"].astype(str).replace(names).astype("category")
    made = labelled_from_anndata(odd).cells
    assert {"A+ctrl", "A_2|B", " a "} < set(made.labels)
    assert made.labels == tuple(sorted(made.labels))


def test_contexts_are_cut_only_where_their_column_is_given(cells):
    pooled = labelled_from_anndata(cells)
    assert pooled.contexts == ("",)
    assert "judged as one" in pooled.notes[0]
    cut = labelled_from_anndata(cells, LabelColumns(context="cell_line"))
    assert not cut.notes
    sizes = [len(cut.of(one).codes) for one in cut.contexts]
    assert sum(sizes) == len(pooled.cells.codes)
    own = cells.obs_names[(cells.obs["cell_line"] == "RPE1").to_numpy()]
    assert list(cut.of("RPE1").ids) == list(own)


def test_a_context_without_controls_is_refused(cells):
    kept = ~((cells.obs["target_gene"] == CONTROL) & (cells.obs["cell_line"] == "RPE1")).to_numpy()
    cut = labelled_from_anndata(cells[kept].copy(), LabelColumns(context="cell_line"))
    with pytest.raises(BadDataError, match="no control cell in context 'RPE1'"):
        cut.of("RPE1")


@pytest.mark.parametrize(
    ("change", "columns", "error", "message"),
    [
        (
            lambda obs: obs,
            LabelColumns("nowhere"),
            UsageError,
            "--perturbation-column 'nowhere': obs has no such column",
        ),
        (lambda obs: obs, LabelColumns(control="DMSO"), BadDataError, "no control: no cell is labelled 'DMSO'"),
        (lambda obs: obs, LabelColumns("target_gene", "DMSO"), BadDataError, "no cell is labelled 'DMSO'"),
        (lambda obs: obs, LabelColumns("cell_line"), BadDataError, "no control cells: none is labelled"),
        (lambda obs: obs, LabelColumns(context="nowhere"), UsageError, "obs has no column 'nowhere'"),
        (
            lambda obs: obs.replace({"target_gene": {"GENE00": "ctrl"}}),
            LabelColumns(),
            UsageError,
            "say which is control",
        ),
        (
            lambda obs: obs.replace({"target_gene": {"GENE00": None}}),
            LabelColumns(),
            BadDataError,
            "cells have no label",
        ),
    ],
    ids=["column", "control", "given control", "no control", "context", "two controls", "missing"],
)
def test_what_is_not_clear_is_named_with_the_flag(change, columns, error, message, cells):
    obs = change(cells.obs.astype(str))
    with pytest.raises(error, match=message):
        labelled_from_anndata(anndata.AnnData(cells.X, obs=obs, var=cells.var), columns)


def test_columns_that_say_the_same_are_one(cells):
    twice = cells.copy()
    twice.obs["gene"] = twice.obs["target_gene"]
    assert labelled_from_anndata(twice).cells.labels == (*LABELS, CONTROL)


def test_a_layer_is_looked_at_like_x(cells, tmp_path):
    layered = cells.copy()
    layered.layers["truth"] = cells.X.copy()
    layered.X = sp.csr_matrix(np.round(np.expm1(cells.X.toarray())))
    layered.write_h5ad(tmp_path / "both.h5ad")
    assert open_labelled(tmp_path / "both.h5ad").whole
    truth = open_labelled(tmp_path / "both.h5ad", layer="truth")
    assert not truth.whole
    np.testing.assert_array_equal(dense(truth.cells), cells.X.toarray())
    with pytest.raises(BadDataError, match="layers/nowhere: is not there"):
        open_labelled(tmp_path / "both.h5ad", layer="nowhere")
    layered.layers["truth"].data[5] = np.nan
    layered.write_h5ad(tmp_path / "broken.h5ad")
    with pytest.raises(BadDataError, match=r"layers/truth\[.* 1 NaN values"):
        open_labelled(tmp_path / "broken.h5ad", layer="truth")


def test_a_layer_with_indices_that_lead_out_of_it_is_refused(cells, tmp_path):
    path = tmp_path / "hostile.h5ad"
    layered = cells.copy()
    layered.layers["truth"] = cells.X.copy()
    layered.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        file["layers/truth/indices"][3] = 1_000_000
    with pytest.raises(BadDataError):
        open_labelled(path, layer="truth")


def test_repeated_names_of_cells_are_told_apart_and_counted(cells):
    again = cells.copy()
    again.obs_names = ["a", "a", "a", *again.obs_names[3:]]
    made = labelled_from_anndata(again)
    assert len(set(made.cells.ids)) == len(made.cells.ids)
    assert any("2 cell names repeat" in note for note in made.notes)


def test_measured_cells_become_labelled_ones(cells):
    measured = cells_from_anndata(cells, None, perturbation_column="target_gene")
    made = labelled_of_cells(measured)
    assert made.contexts == ("K562", "RPE1")
    assert made.cells.labels == (*LABELS, "control")
    assert made.of("RPE1").counts == {**dict.fromkeys(LABELS, 12), "control": 30}


def test_only_some_labels_are_taken_without_copying(cells):
    whole = labelled_from_anndata(cells).cells
    some = whole.only(["GENE03", CONTROL])
    assert some.labels == ("GENE03", CONTROL)
    assert some.counts == {"GENE03": 24, CONTROL: 60}
    np.testing.assert_array_equal(dense(some), dense(whole)[np.isin(whole.codes, [3, 5])])
    assert whole.only(whole.labels) is whole


def test_genes_of_one_name_are_refused(cells):
    made = labelled_from_anndata(cells).cells
    with pytest.raises(BadDataError, match=r"gene names repeat \(first: GENE01\)"):
        replace(made, genes=("GENE01", *made.genes[1:]))
    with pytest.raises(BadDataError, match="no cell is labelled 'x'"):
        Labelled(made.expression, made.genes, made.ids, made.labels, made.codes, "x")
    assert isinstance(cells.obs, pd.DataFrame)
