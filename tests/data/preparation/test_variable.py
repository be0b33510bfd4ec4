"""The variable genes are those that scanpy finds on the same cells, whatever the order of cells and blocks."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.sparse as sp

from pertura.core.expression import InMemory
from pertura.data.preparation import passes
from pertura.data.preparation.variable import Moments, moments, most_variable, normalised_dispersions

GENES = [f"G{i:03d}" for i in range(300)]


@pytest.fixture(scope="module")
def logs() -> np.ndarray:
    """Counts of genes of very different means and dispersions, normalised; three genes are never seen."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.4, 3.0, size=300) * rng.gamma(rng.uniform(0.3, 5, size=300), 1.0, size=(400, 300))
    counts = rng.poisson(rates).astype(np.float64)
    counts[:, [4, 50, 299]] = 0
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def scanpy_table(logs: np.ndarray, number: int) -> pd.DataFrame:
    adata = anndata.AnnData(sp.csr_matrix(logs), var=pd.DataFrame(index=GENES))
    return scanpy.pp.highly_variable_genes(adata, n_top_genes=number, inplace=False)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("number", [1, 40, 150, 280])
def test_scanpy_chooses_the_same_genes(logs, layout, number):
    found = moments(InMemory(layout(logs)), np.arange(len(logs)))
    table = scanpy_table(logs, number)
    np.testing.assert_allclose(normalised_dispersions(found), table["dispersions_norm"], rtol=1e-8, atol=1e-8)
    chosen = most_variable(found, GENES, number)
    assert [GENES[i] for i in chosen] == list(table.index[table["highly_variable"]])


def test_moments_are_those_of_the_cells_asked_for(logs, monkeypatch):
    monkeypatch.setattr(passes, "BLOCK_BYTES", 1)  # 16 cells a block
    rows = np.asarray([7, 3, 250, 251, 252, *range(100, 180)])
    found = moments(InMemory(sp.csr_matrix(logs)), rows)
    plain = np.expm1(logs[rows])
    np.testing.assert_allclose(found.mean, plain.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, plain.var(axis=0, ddof=1), rtol=1e-10)
    np.testing.assert_array_equal(found.shown, (plain > 0).sum(axis=0))
    assert found.cells == len(rows)


def test_neither_the_order_of_cells_nor_that_of_genes_changes_the_choice(logs):
    rng = np.random.default_rng(1)
    cells, genes = rng.permutation(400), rng.permutation(300)
    names = [GENES[i] for i in genes]
    first = most_variable(moments(InMemory(logs), np.arange(400)), GENES, 60)
    second = most_variable(moments(InMemory(logs[cells][:, genes]), np.arange(400)), names, 60)
    assert {GENES[i] for i in first} == {names[i] for i in second}


def test_a_gene_that_few_cells_show_is_not_chosen(logs):
    rare = logs.copy()
    rare[:, 10] = 0
    rare[:2, 10] = 9.0
    found = moments(InMemory(rare), np.arange(400))
    assert 10 in most_variable(found, GENES, 100)
    assert 10 not in most_variable(found, GENES, 100, min_cells=3)


def test_genes_that_do_not_vary_are_never_chosen():
    found = Moments(5, np.asarray([0.0, 2.0, 1.0, 1.1]), np.asarray([0.0, 0.0, 3.0, 3.0]), np.asarray([0, 5, 5, 5]))
    assert list(most_variable(found, ["a", "b", "c", "d"], 4)) == [2, 3]


def test_equal_genes_are_ranked_by_name(logs):
    twins = logs.copy()
    best = most_variable(moments(InMemory(logs), np.arange(400)), GENES, 1)[0]
    twins[:, 20] = twins[:, best]
    chosen = most_variable(moments(InMemory(twins), np.arange(400)), GENES, 1)
    assert list(chosen) == [min(20, best)]
    renamed = ["z" if i == min(20, best) else gene for i, gene in enumerate(GENES)]
    assert list(most_variable(moments(InMemory(twins), np.arange(400)), renamed, 1)) == [max(20, best)]
