"""What is no knowledge is taken out of a text, and nothing else."""

import pytest

from pertura.priors.sources.cleaning import cleaned

SAID = "This gene encodes a kinase."


@pytest.mark.parametrize(
    "extra",
    [
        "[provided by RefSeq, Jul 2008]",
        "[provided by OMIM, Mar 2008].",
        "[supplied by OMIM, Mar 2008]",
        "(summary by Smith et al., 2002 [PubMed 123456]).",
        "(PubMed:123456, PubMed:234567).",
        "{ECO:0000250|UniProtKB:P12345}.",
        "Multiple transcript variants encoding different isoforms have been found for this gene.",
        "Alternative splicing results in multiple transcript variants.",
        "Alternatively spliced variants encoding distinct products have been described.",
        "Two transcript variants encoding the same protein have been found for this gene, at 1q2.3 alone.",
        "The RefSeq represents the predicted microRNA stem-loop.",
        "Publication Note: This RefSeq record includes a subset of the publications that are available for this gene.",
    ],
)
def test_credits_and_boilerplate_are_taken_out(extra):
    assert cleaned(f"{SAID} {extra}").rstrip(".") == SAID.rstrip(".")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Binds DNA (PMID:20805888) in nuclei.", "Binds DNA in nuclei."),
        ("(NS; PMID:24939586) occurs.", "(NS) occurs."),
        ("A gene- specific and pre- and postsynaptic factor.", "A gene-specific and pre- and postsynaptic factor."),
        ("Binds actin (By similarity).", "Binds actin."),
        ("Promotes growth in response to v [...] ", "Promotes growth in response to"),
        ("Kinase; ; Belongs to the family.", "Kinase; Belongs to the family."),
    ],
)
def test_a_text_is_mended_in_place(text, kept):
    assert cleaned(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "annotation not available",
        "Uncharacterized protein.",
        "Novel protein.",
        "[...]",
        "Putative uncharacterized protein FLJ1.",
    ],
)
def test_a_text_that_says_nothing_is_empty(text):
    assert cleaned(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        SAID,
        "Variants of this gene cause anemia. One isoform is secreted.",
        "Two SH2 domains bind phosphotyrosine.",
        "Splicing factor that removes introns from pre-mRNA [Na+ is needed].",
    ],
)
def test_knowledge_stays_as_it_is(text):
    assert cleaned(text) == text


def test_cleaning_twice_changes_nothing_more():
    text = (
        f"{SAID} [provided by RefSeq, Jul 2008] Several transcript variants are known. Acts; ; (By similarity). [...]"
    )
    assert cleaned(cleaned(text)) == cleaned(text)
