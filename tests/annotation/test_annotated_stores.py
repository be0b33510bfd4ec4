"""Stores of zarr are read, labelled and written as files of the same cells are."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from annotated_files import labelled, with_scaled_x
from annotated_runs import CLUSTERS, labels, quietly, same_labels

from pertura.annotation import source
from pertura.annotation.source import open_source
from pertura.core.errors import BadDataError
from pertura.data.backed import BackedRows
from pertura.recipes.annotating.querying import labelled_file
from pertura.recipes.annotating.wish import Wish


@pytest.fixture(scope="module")
def linear():
    return quietly(labelled(), "cell_type", strategy="linear")


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_store_is_labelled_as_the_file_of_the_same_cells(linear, tmp_path, version):
    query = labelled(30, seed=3, name="new")
    query.raw = query
    write_store(query, tmp_path / "query.zarr", version)
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr/stale").write_text("of an earlier run")
    wish = Wish("cell_type", layer="raw", clusters=CLUSTERS)
    found = labelled_file(tmp_path / "query.zarr", tmp_path / "out.zarr", linear.annotator, wish, lambda *_: None)
    same_labels(found.columns.set_index(query.obs_names), labels(linear, query))
    written = read_store(tmp_path / "out.zarr")
    same_labels(written.obs, labels(linear, query))
    assert written.obs["donor"].tolist() == query.obs["donor"].tolist()
    assert written.obsm["X_pertura"].shape == (30, linear.annotator.trusted.known.shape[1])
    np.testing.assert_array_equal(written.X.toarray(), query.X.toarray())
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out.zarr", "query.zarr"]
    assert not (tmp_path / "out.zarr/stale").exists()


def test_a_zarr_store_is_learnt_from_and_gives_an_annotated_store(tmp_path, monkeypatch):
    write_store(labelled(60), tmp_path / "ref.zarr", 3)
    made = quietly(tmp_path / "ref.zarr", "cell_type", strategy="linear", clusters=CLUSTERS, output=tmp_path / "out")
    same = quietly(labelled(60), "cell_type", strategy="linear")
    pd.testing.assert_frame_equal(
        made.folds.drop(columns="runtime_sec"), same.folds.drop(columns="runtime_sec"), rtol=1e-5
    )
    assert read_store(tmp_path / "out/annotated.zarr").obs["pertura_out_of_fold"].all()
    assert "annotated.zarr" in (tmp_path / "out/report.html").read_text()
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", 0)
    assert isinstance(open_source(tmp_path / "ref.zarr").expression, BackedRows)


def test_a_zarr_store_of_scaled_values_is_refused_and_raw_is_named(tmp_path):
    write_store(with_scaled_x(labelled(30)), tmp_path / "scaled.zarr", 3)
    with pytest.raises(BadDataError, match=r"scaled values.*--layer raw"):
        open_source(tmp_path / "scaled.zarr")
    assert len(open_source(tmp_path / "scaled.zarr", "raw")) == 30
    (tmp_path / "scaled.zarr/obs").rename(tmp_path / "obs")
    (tmp_path / "scaled.zarr/obs").symlink_to(tmp_path / "obs")
    with pytest.raises(BadDataError, match="a link"):
        open_source(tmp_path / "scaled.zarr", "raw")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(BadDataError, match="metadata of a zarr store"):
        open_source(tmp_path / "empty.zarr")


def write_store(adata, path, version):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with anndata.settings.override(zarr_write_format=version):
            adata.write_zarr(path)


def read_store(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_zarr(path)
