"""What scanpy hands in comes back: every field, for the cells and genes that were kept; and plots take it as it is."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import pertura
from h5ad_files import GENES, gears, written
from pertura.core import Cells, Prediction, Provenance
from pertura.data.anndata_io import cells_from_anndata, cells_from_file, open_cells, open_screen
from pertura.data.normalise import log_normalise
from pertura.data.predictions import write_predictions
from pertura.data.whole_file import to_anndata
from screens import Screen, pairs_screen

PLACES = ("obs", "var", "uns", "obsm", "varm", "layers", "obsp", "varp")


def full() -> anndata.AnnData:
    """A screen with something in every place that an AnnData has."""
    adata = gears()
    rng = np.random.default_rng(0)
    cells, genes = adata.shape
    adata.layers["counts"] = sp.csr_matrix(rng.poisson(1.0, size=adata.shape).astype(np.int32))
    adata.layers["by_gene"] = sp.csc_matrix(adata.X)
    adata.obsm["X_pca"], adata.varm["PCs"] = rng.normal(size=(cells, 3)), rng.normal(size=(genes, 3))
    adata.obsp["distances"] = sp.random(cells, cells, 0.05, format="csr", random_state=0)
    adata.varp["network"] = sp.random(genes, genes, 0.1, format="csr", random_state=0)
    adata.uns = {"log1p": {"base": None}, "palette": np.asarray(["#000000", "#ffffff"]), "deep": {"a": {"b": 1}}}
    adata.obs["quality"] = pd.Categorical(np.resize(["good", "bad"], cells), ["bad", "good"], ordered=True)
    adata.uns["quality_colors"] = np.asarray(["#aa0000", "#00aa00"])
    adata.obs["note"] = np.resize(["x", "y", "z"], cells)
    adata.var["highly_variable"] = rng.random(genes) > 0.5
    adata.raw = adata.copy()
    return adata


def assert_same(found: anndata.AnnData, expected: anndata.AnnData) -> None:
    for name in ("obs", "var"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name))
    assert type(found.X) is type(expected.X)
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    np.testing.assert_array_equal(found.raw.X.toarray(), expected.raw.X.toarray())
    for name in PLACES[3:]:
        mine, its = getattr(found, name), getattr(expected, name)
        assert set(mine) == set(its)
        for key in its:
            assert type(mine[key]) is type(its[key]), (name, key)
            np.testing.assert_array_equal(sp.csr_matrix(mine[key]).toarray(), sp.csr_matrix(its[key]).toarray())
    assert set(found.uns) == set(expected.uns)
    assert found.uns["deep"] == expected.uns["deep"]
    for colours in ("palette", "quality_colors"):
        np.testing.assert_array_equal(found.uns[colours], expected.uns[colours])


def predicted(screen: Screen) -> Prediction:
    rng = np.random.default_rng(4)
    size = {one: (len(screen.cells.rows_of(one)), len(screen.cells.genes)) for one in screen.asked}
    facts = Provenance("made", tuple(screen.cells.modes), screen.cells.scale, "abc", screen.split.fingerprint, 7, {})
    cells = {one: rng.uniform(0, 5, size=size[one]).astype(np.float32) for one in screen.asked}
    return Prediction(genes=screen.cells.genes, cells=cells, provenance=facts)


def assert_all_comes_back(cells: Cells, expected: anndata.AnnData) -> None:
    """All of it, and some cells and genes in an order of their own."""
    assert_same(to_anndata(cells), expected)
    rows, genes = np.asarray([70, 3, 12]), (GENES[5], GENES[2])
    assert_same(to_anndata(cells.take(rows).with_genes(genes)), expected[rows][:, [5, 2]].copy())
    assert_same(to_anndata(cells.take(rows).take(np.asarray([2, 0]))), expected[[12, 70]].copy())


def test_every_field_comes_back():
    adata = full()
    assert_all_comes_back(cells_from_anndata(adata), adata)


@pytest.mark.slow
@pytest.mark.parametrize("bound", [0, 1 << 30])
def test_every_field_of_a_file_comes_back(bound, tmp_path):
    path = written(full(), tmp_path)
    cells = cells_from_file(path, open_screen(path).reading, in_memory_bytes=bound)
    assert_all_comes_back(cells, anndata.read_h5ad(path))


def test_cells_that_were_left_out_stay_out():
    adata = full()
    found = to_anndata(cells_from_anndata(adata, exclude="OUTSIDE+ctrl"))
    assert set(found.obs["condition"]) == {"ctrl", "GENE1+ctrl", "ctrl+GENE2", "GENE1+GENE2"}
    assert found.n_obs == 80


def test_what_comes_back_is_a_copy():
    adata = full()
    found = to_anndata(cells_from_anndata(adata))
    found.obs["condition"], found.uns["deep"]["a"]["b"] = "changed", 2
    assert "changed" not in set(adata.obs["condition"])
    assert adata.uns["deep"]["a"]["b"] == 1


def test_read_again_it_is_the_same_screen():
    first = cells_from_anndata(full())
    again = cells_from_anndata(to_anndata(first))
    assert (again.conditions, again.scale, again.spellings) == (first.conditions, first.scale, first.spellings)
    np.testing.assert_array_equal(again.codes, first.codes)


def test_values_that_are_no_longer_those_of_the_file_come_with_what_is_known_of_them():
    adata = gears(scale="counts")
    cells = log_normalise(cells_from_anndata(adata))
    found = to_anndata(cells)
    np.testing.assert_array_equal(found.X.toarray(), cells.dense(np.arange(len(cells))))
    assert list(found.obs_names) == list(adata.obs_names)
    assert list(found.obs["condition"][:3]) == ["control", "GENE1", "GENE2"]
    assert set(found.obs["context"]) == {"K562"}
    np.testing.assert_array_equal(found.obs["library_size"], adata.obs["ncounts"])


def test_it_is_offered_at_the_top():
    assert pertura.to_anndata is to_anndata


def test_a_prediction_file_has_what_plots_ask_for(tmp_path):
    screen = pairs_screen()
    write_predictions(tmp_path / "p.h5ad", predicted(screen), screen.cells, screen.split)
    adata = anndata.read_h5ad(tmp_path / "p.h5ad")
    assert isinstance(adata.obs["condition"].dtype, pd.CategoricalDtype)
    assert adata.obs_names.is_unique
    assert np.isfinite(adata.X).all()
    assert adata.layers["truth"].shape == adata.shape


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_predictions_go_into_scanpys_plots_as_they_are(tmp_path):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import scanpy as sc

    screen = pairs_screen()
    write_predictions(tmp_path / "p.h5ad", predicted(screen), screen.cells, screen.split)
    adata = sc.read_h5ad(tmp_path / "p.h5ad")
    genes = list(adata.var_names[:3])
    sc.pp.pca(adata, n_comps=3)
    sc.tl.rank_genes_groups(adata, "condition", reference="ctrl", n_genes=3)
    sc.pl.pca(adata, color=["condition", genes[0]], show=False)
    sc.pl.violin(adata, genes, groupby="condition", show=False)
    sc.pl.violin(adata, genes[0], groupby="condition", layer="truth", show=False)
    sc.pl.dotplot(adata, genes, groupby="condition", show=False)
    sc.pl.matrixplot(adata, genes, groupby="condition", layer="truth", show=False)
    sc.pl.heatmap(adata, genes, groupby="condition", show=False)
    sc.pl.rank_genes_groups_dotplot(adata, n_genes=2, show=False)
    assert len(plt.get_fignums()) >= 6
    plt.close("all")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_cells_that_came_back_go_into_scanpys_plots(tmp_path):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import scanpy as sc

    adata = to_anndata(open_cells(written(gears(), tmp_path)))
    sc.pl.violin(adata, list(GENES[:2]), groupby="condition", show=False)
    sc.pl.dotplot(adata, list(GENES[:4]), groupby="condition", show=False)
    plt.close("all")
