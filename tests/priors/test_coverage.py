"""Which genes of a screen have a vector, and why the others have none."""

import numpy as np
import pytest

from pertura.genes.identifiers import human_identifiers
from pertura.priors.coverage import Missing, coverage, covered
from pertura.priors.prior import GenePrior
from screens import measured, perturbed

PRIOR = GenePrior("made", ("KLF1", "POU5F1", "MTARC1", "CEBPA"), np.eye(4, dtype=np.float32))


@pytest.mark.parametrize(
    ("gene", "missing"),
    [
        ("TP53", Missing("TP53", "no row")),
        ("p53", Missing("p53", "older name of a gene without a row")),
        ("1-Mar", Missing("1-Mar", "several genes", ("MTARC1",))),
        ("Klf1", Missing("Klf1", "not human", ("KLF1",))),
        ("CEBPQ", Missing("CEBPQ", "unknown", ("CEBPA",))),
        ("ZZZZ", Missing("ZZZZ", "unknown")),
    ],
)
def test_a_missing_gene_has_its_reason_and_near_names(gene, missing):
    assert covered(PRIOR, [gene], human_identifiers()).missing == (missing,)


def test_genes_found_under_another_name_are_covered_and_listed():
    found = covered(PRIOR, ["KLF1", "OCT4", "ENSG00000245848", "TP53"], human_identifiers())
    assert (found.genes, found.covered) == (4, 3)
    assert found.renamed == {"OCT4": "POU5F1", "ENSG00000245848": "CEBPA"}
    assert found.reasons == {"no row": 1}


def test_a_gene_of_ensembl_without_a_symbol_says_so():
    human = human_identifiers()
    nameless = next(number for number, symbols in human.ensembl.items() if not symbols)
    assert covered(PRIOR, [f"ENSG{nameless:011d}"], human).reasons == {"no symbol": 1}


def test_panel_and_perturbed_genes_are_counted_apart():
    panel = ("POU5F1", "GAPDH")
    deltas = {perturbed(one): np.ones(2) for one in ("KLF1+TP53", "CEBPA")}
    found = coverage(PRIOR, measured(panel, {"": np.ones(2)}, deltas))
    assert (found.prior, found.screen) == ("made", "made")
    assert (found.panel.genes, found.panel.covered) == (2, 1)
    assert (found.targets.genes, found.targets.covered) == (3, 2)
    assert [one.gene for one in found.targets.missing] == ["TP53"]


def test_every_gene_is_either_covered_or_missing_for_one_reason():
    genes = [f"GENE{number}" for number in range(500)] + ["KLF1"]
    found = covered(PRIOR, genes, human_identifiers())
    assert found.covered + sum(found.reasons.values()) == len(genes)
