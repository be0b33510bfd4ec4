"""Genes that belong together are close in a prior, judged by facts that were not in what was encoded.

Texts are judged by Gene Ontology terms of other sources: a gene counts for a term only where its text has none of the
words of the term's name, so that the name itself cannot bring genes together. Gene Ontology priors and sequences are
judged by families: symbols that differ in their number alone, where no text of a member holds the symbol's stem.
"""

import re
from collections import defaultdict
from functools import lru_cache

import numpy as np
import pytest

from pertura.core.seeds import generator
from pertura.priors.build import build_prior
from pertura.priors.prior import GenePrior
from pertura.priors.sources import knowledge_of
from pertura.priors.sources.ontology import terms

MEMBERS = 8
TERM_GENES = range(MEMBERS, 101)
FAMILY_GENES = range(4, 61)
FAMILIES = 50
NO_WORDS = frozenset(
    [
        "of",
        "to",
        "in",
        "and",
        "the",
        "a",
        "by",
        "or",
        "via",
        "from",
        "with",
        "process",
        "activity",
        "regulation",
        "positive",
        "negative",
    ]
)


@lru_cache
def built(source, dim=512):
    return build_prior(source, dim=dim)


def permuted(prior):
    order = generator(0, "permuted prior").permutation(len(prior.genes))
    return GenePrior("permuted", prior.genes, prior.table[order])


def directions(prior):
    table = prior.table.astype(np.float64)
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def closeness(rows):
    """Return the mean cosine over pairs of different rows."""
    total = rows.sum(axis=0)
    return (total @ total - len(rows)) / (len(rows) * (len(rows) - 1))


def stems(text):
    """Return the beginnings of the words: five letters, so that forms of one word count as one."""
    return {word[:5] for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in NO_WORDS}


def margins_of_terms(prior, branch):
    """Return for each held-out term how much closer its genes are than as many genes drawn from the same pool.

    The pool, and the genes that count, are those whose text has no word of the term's name.
    """
    knowledge = knowledge_of(prior_source(prior))
    said = dict(zip(knowledge.genes, knowledge.texts))
    row = {gene: place for place, gene in enumerate(prior.genes)}
    naming = defaultdict(set)
    for gene, place in row.items():
        for stem in stems(said[gene]):
            naming[stem].add(place)
    rows, rng, margins = directions(prior), generator(0, "held-out terms"), []
    for term in terms():
        if term.branch != branch or len(term.genes) not in TERM_GENES:
            continue
        named = set().union(*(naming[stem] for stem in stems(term.name)))
        members = [row[gene] for gene in term.genes if gene in row and row[gene] not in named]
        if len(members) < MEMBERS:
            continue
        pool = np.setdiff1d(np.arange(len(rows)), np.fromiter(named, dtype=np.int64))
        drawn = [closeness(rows[rng.choice(pool, len(members), replace=False)]) for _ in range(5)]
        margins.append(closeness(rows[members]) - np.mean(drawn))
    return np.asarray(margins)


def prior_source(prior):
    return prior.facts.source.split(";")[0]


def families(source, prior):
    """Return rows of the genes of each family, without families whose stem is in a text of theirs."""
    knowledge = knowledge_of(source)
    said = dict(zip(knowledge.genes, knowledge.texts))
    groups = defaultdict(list)
    for place, gene in enumerate(prior.genes):
        symbol = re.fullmatch(r"([A-Z]{3,})\d+[A-Z]?\d*", gene)
        if symbol:
            groups[symbol[1]].append(place)
    kept = {stem: rows for stem, rows in groups.items() if len(rows) in FAMILY_GENES}
    if knowledge.content == "protein":
        return list(kept.values())
    told = {stem: any(stem.lower() in said[prior.genes[row]].lower() for row in rows) for stem, rows in kept.items()}
    return [rows for stem, rows in kept.items() if not told[stem]]


def margins_of_families(source, prior):
    rows = directions(prior)
    ground = closeness(rows)
    return np.asarray([closeness(rows[family]) - ground for family in families(source, prior)])


def check(margins, nothing, *, median, share):
    """Most groups are closer than chance by a margin; of a permuted prior half are, by nothing."""
    assert len(margins) == len(nothing) >= FAMILIES
    assert np.median(margins) > median
    assert (margins > 0).mean() > share
    assert abs(np.median(nothing)) < min(0.01, median / 3)
    assert 0.3 < (nothing > 0).mean() < 0.6


TEXTS = [("ncbi", 0.02, 0.85), ("uniprot", 0.03, 0.9), ("ncbi+uniprot", 0.04, 0.95)]
QUICKEST = {("ncbi", "C"), ("uniprot", "F")}


def of_every_branch():
    for source, median, share in TEXTS:
        for branch in "PCF":
            marks = () if (source, branch) in QUICKEST else (pytest.mark.proof,)
            yield pytest.param(source, median, share, branch, marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "median", "share", "branch"), list(of_every_branch()))
def test_genes_of_a_held_out_term_are_close_in_a_text_prior(source, branch, median, share):
    prior = built(source)
    shuffled = GenePrior("permuted", prior.genes, permuted(prior).table, prior.facts)
    check(margins_of_terms(prior, branch), margins_of_terms(shuffled, branch), median=median, share=share)


def test_families_are_close_in_the_prior_of_components():
    prior = built("go-c", 64)
    check(margins_of_families("go-c", prior), margins_of_families("go-c", permuted(prior)), median=0.3, share=0.9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "median", "share"),
    [
        ("go-c", 0.3, 0.9),
        ("go-f", 0.5, 0.95),
        ("go-p", 0.25, 0.95),
        pytest.param("go-all", 0.35, 0.95, marks=pytest.mark.proof),
        pytest.param("protein", 0.05, 0.75, marks=pytest.mark.proof),
    ],
)
def test_families_are_close_in_every_prior_of_terms_or_sequences(source, median, share):
    prior = built(source)
    check(margins_of_families(source, prior), margins_of_families(source, permuted(prior)), median=median, share=share)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["go-c", "go-f", "go-p"])
def test_the_mean_of_terms_knows_families_too(source):
    prior = build_prior(source, how="mean")
    check(margins_of_families(source, prior), margins_of_families(source, permuted(prior)), median=0.25, share=0.9)
