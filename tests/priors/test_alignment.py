"""Rows of a prior in the order that is asked, by exact name, and by approved symbol where that is wanted."""

import numpy as np
import pytest

from pertura.core.errors import BadDataError
from pertura.genes.identifiers import human_identifiers
from pertura.priors.prior import GenePrior, PriorFacts


def prior_of(*genes):
    return GenePrior("made", genes, np.arange(1, len(genes) + 1, dtype=np.float32)[:, None])


def rows(prior, genes, **options):
    table, present = prior.aligned_to(genes, **options)
    assert not table[~present].any()
    return table[:, 0].astype(int).tolist()


def test_rows_follow_the_genes_asked_for_and_absent_ones_are_zero():
    assert rows(prior_of("KLF1", "TP53", "MYC"), ["MYC", "NONE", "KLF1", "MYC"]) == [3, 0, 1, 3]


def test_an_alias_is_another_gene_unless_identifiers_are_given():
    prior = prior_of("POU5F1", "SEPT7", "KLF1")
    genes = ["OCT4", "SEPTIN7", "7-Sep", "ENSG00000105610.5", "10661"]
    assert rows(prior, genes) == [0, 0, 0, 0, 0]
    assert rows(prior, genes, identifiers=human_identifiers()) == [1, 2, 2, 3, 3]


def test_ambiguous_names_and_mouse_genes_have_no_row():
    prior = prior_of("MARCHF1", "MTARC1", "KLF1")
    assert rows(prior, ["1-Mar", "Klf1", "DEC1"], identifiers=human_identifiers()) == [0, 0, 0]


def test_the_own_name_of_a_symbol_counts_before_its_older_names():
    prior = prior_of("SEPT7", "SEPTIN7")
    assert rows(prior, ["SEPTIN7", "SEPT7", "CDC10"], identifiers=human_identifiers()) == [2, 1, 2]


def test_two_older_names_of_one_symbol_give_it_no_row():
    assert rows(prior_of("SEPT7", "CDC10"), ["SEPTIN7", "SEPT7"], identifiers=human_identifiers()) == [0, 1]


def test_an_exact_name_is_never_changed_by_identifiers():
    prior = prior_of("NRF1", "OCT4", "not a gene")
    genes = list(prior.genes)
    assert rows(prior, genes, identifiers=human_identifiers()) == rows(prior, genes) == [1, 2, 3]


@pytest.mark.parametrize("table", [np.full((2, 1), np.nan), np.ones((3, 1)), np.asarray([[1.0], [np.inf]])])
def test_a_table_that_is_not_finite_or_does_not_fit_its_genes_is_refused(table):
    with pytest.raises(BadDataError, match="prior made"):
        GenePrior("made", ("A", "B"), table)


def test_a_number_that_is_not_finite_is_found_in_every_block():
    table = np.ones((10_000, 2), dtype=np.float16)
    table[9_999, 1] = np.nan
    with pytest.raises(BadDataError, match="not finite"):
        GenePrior("made", tuple(map(str, range(10_000))), table)


def test_facts_are_empty_until_they_are_known():
    assert prior_of("A").facts == PriorFacts() == PriorFacts("", "", "", "", "knowledge", ())
