"""Embeddings of AnnData and of files: alike, independent of order, with everything that was left out counted."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import pertura.models.scgpt as scgpt
from pertura.core.errors import BadDataError
from pertura.models.scgpt.cell_embedding import EmbedOptions
from pertura.models.scgpt.embedded import RECORD, Wish, embed_file
from pertura.models.scgpt.foreign import load_foreign
from written_out_networks import Variant, WrittenOut, published

REFERENCE = Path(__file__).parents[2] / "reference/scgpt/pretrained"


@pytest.fixture
def cells():
    """Counts, so that values are tied; one cell shows nothing, two genes have no token."""
    genes = [*(f"GENE{i}" for i in range(40)), "OTHER1", "OTHER2"]
    counts = np.random.default_rng(0).poisson(0.9, (12, len(genes))).astype(np.float32)
    counts[4, :40] = 0
    return anndata.AnnData(
        counts, obs=pd.DataFrame(index=[f"cell {i}" for i in range(12)]), var=pd.DataFrame(index=genes)
    )


def vectors(adata, **wish):
    return scgpt.embed(adata.copy(), REFERENCE, Wish(**wish)).obsm["X_scGPT"]


def test_vectors_have_length_one_and_a_silent_cell_has_none(cells):
    made = vectors(cells)
    there = np.arange(12) != 4
    np.testing.assert_allclose(np.linalg.norm(made[there], axis=1), 1, atol=1e-5)
    assert np.isnan(made[4]).all()


@pytest.mark.parametrize("wish", [{}, {"longest": 9}])
def test_neither_row_batch_nor_gene_order_changes_a_vector(cells, wish):
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(12), rng.permutation(42)
    first = vectors(cells, **wish)
    turned = vectors(cells[rows, columns].copy(), batch=5, **wish)
    np.testing.assert_allclose(turned, first[rows], atol=1e-5)


def test_another_seed_decides_ties_otherwise(cells):
    assert np.nanmax(np.abs(vectors(cells, seed=1) - vectors(cells))) > 1e-4


def test_a_file_gives_what_its_anndata_gives_and_keeps_all_else(cells, tmp_path):
    cells.layers["counts"] = cells.X.copy()
    cells.uns["note"] = "kept"
    cells.write_h5ad(tmp_path / "cells.h5ad")
    made = embed_file(tmp_path / "cells.h5ad", load_foreign(REFERENCE), tmp_path / "out.h5ad", Wish(longest=20))
    stored = anndata.read_h5ad(tmp_path / "out.h5ad")
    np.testing.assert_array_equal(stored.obsm["X_scGPT"], vectors(cells, longest=20))
    np.testing.assert_array_equal(stored.layers["counts"], cells.X)
    assert stored.uns["note"] == "kept"
    record = json.loads(stored.uns[RECORD])
    assert (record["genes"], record["genes_known"], record["silent"]) == (42, 40, 1)
    assert record["unknown"] == ["OTHER1", "OTHER2"]
    assert record["shortened"] == int(((cells.X[:, :40] > 0).sum(axis=1) > 19).sum())
    assert any("without a token: OTHER1, OTHER2" in line for line in made.lines)


def test_ensembl_rows_give_way_to_symbols(cells):
    named = cells.copy()
    named.var["feature_name"] = named.var_names.to_numpy()
    named.var_names = [f"ENSG{i:011d}" for i in range(42)]
    np.testing.assert_allclose(vectors(named), vectors(cells), atol=1e-6)


def test_scaled_values_are_refused(cells):
    scaled = cells.copy()
    scaled.X = scaled.X - scaled.X.mean(axis=0)
    with pytest.raises(BadDataError, match="below zero"):
        vectors(scaled)


def test_a_network_of_category_values_pads_with_a_bin_of_its_own(cells, tmp_path):
    folder = published(
        WrittenOut(Variant(flags=False, decoder="plain", values="category")), tmp_path, {"n_bins": 7, "pad_value": 7}
    )
    made = scgpt.embed(cells[:, :37].copy(), folder, Wish(longest=12)).obsm["X_scGPT"]
    assert np.isfinite(made[np.arange(12) != 4]).all()
    assert load_foreign(folder).config.category_pad == 7


def test_the_usual_options_are_the_published_ones():
    assert (EmbedOptions().longest, EmbedOptions().bins, EmbedOptions().pad_value) == (1200, 51, -2.0)
