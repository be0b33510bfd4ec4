"""What is known of a screen's genes is counted by their own name or another one, and what is not is named."""

import pytest

from h5ad_files import GENES, screen
from pertura.core import Cells
from pertura.data.anndata_io import cells_from_anndata
from pertura.genes.vocab import Vocab, human_vocab
from pertura.priors.sources import SOURCES, knowledge_of
from pertura.recipes import gene_coverage as gene_coverage_module
from pertura.recipes.gene_coverage import VOCABULARY, gene_coverage


def cells() -> Cells:
    adata = screen("condition", ("control", "KLF1", "KIAA1804+TP53", "RHOXF2BB"))
    adata.var_names = ["KLF1", "OCT4", "TP53", *GENES[3:]]
    return cells_from_anndata(adata)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_vocabulary_is_asked_by_every_name(whole, monkeypatch):
    genes = human_vocab().genes if whole else frozenset({"POU5F1", "KLF1", "TP53", "MAP3K21", "CD4"})
    assert "POU5F1" in genes
    assert "OCT4" not in genes
    monkeypatch.setattr(gene_coverage_module, "human_vocab", lambda: Vocab(dict(zip(sorted(genes), range(len(genes))))))
    (found,) = gene_coverage(cells(), priors=False)
    assert found.name == VOCABULARY
    assert (found.panel, found.panel_found, found.panel_renamed) == (30, 3, 1)
    assert (found.targets, found.targets_found) == (4, 3)
    assert found.targets_missing == ("RHOXF2BB",)
    assert dict(found.targets_renamed) == {"KIAA1804": "MAP3K21"}


def test_every_source_is_asked_and_counts_what_it_has(monkeypatch):
    quick = {name: SOURCES[name] for name in ("protein", "ncbi+uniprot")}
    monkeypatch.setattr(gene_coverage_module, "SOURCES", quick)
    monkeypatch.setattr(gene_coverage_module, "human_vocab", lambda: Vocab({"KLF1": 0}))
    found = {one.name: one for one in gene_coverage(cells(), priors=True)}
    assert set(found) == {VOCABULARY, "protein"}  # what is two sources has no row of its own
    assert all("RHOXF2BB" in one.targets_missing for one in found.values())
    genes = set(knowledge_of("protein").genes)
    assert set(found["protein"].targets_missing) == {"KLF1", "KIAA1804", "TP53", "RHOXF2BB"} - genes
