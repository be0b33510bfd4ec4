"""Texts about genes: RefSeq summaries, and the protein function text of STRING."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from pertura.genes.identifiers import human_identifiers
from pertura.priors.sources.bundled_tables import rows_of
from pertura.priors.sources.cleaning import cleaned
from pertura.priors.sources.knowledge import Knowledge

REFSEQ_LICENCE = "text of NCBI RefSeq, a work of the United States government in the public domain"
STRING_LICENCE = "CC BY 4.0 (STRING v12)"
STAND_IN = "protein text is that of STRING v12, written from UniProt and shortened; it stands in for UniProt's own"
NO_GENE = re.compile(r"ENSP\d+|\w+_HUMAN|.+-[2-9]")
"""Names STRING gives to proteins without a symbol, and to the second protein of one."""


@cache
def ncbi(term_limit: int) -> Knowledge:
    """Return the RefSeq summaries of human genes.

    A symbol that stands for several Entrez genes keeps the text of the smallest number, which is the oldest record.
    """
    rows = sorted(rows_of("refseq_summaries.tsv.gz", 3), key=lambda row: (row[0], int(row[1])))
    return _knowledge("ncbi", ((symbol, text) for symbol, _, text in rows), REFSEQ_LICENCE)


@cache
def uniprot(term_limit: int) -> Knowledge:
    """Return name and function of human proteins as STRING tells them: a stand-in for UniProt's text, and noted so."""
    rows = (row for row in rows_of("string_protein_text.tsv.gz", 2))
    return _knowledge("uniprot", ((name, text) for name, text in rows), STRING_LICENCE, (STAND_IN,))


def ncbi_and_uniprot(term_limit: int) -> Knowledge:
    """Return the RefSeq summary, then the protein text, of genes that have either."""
    first, second = ncbi(term_limit), uniprot(term_limit)
    parts: dict[str, tuple[str, ...]] = {}
    for one in (first, second):
        for gene, texts in zip(one.genes, one.parts):
            parts[gene] = (*parts.get(gene, ()), *texts)
    genes = tuple(sorted(parts))
    dropped = {f"{one.name}: {why}": count for one in (first, second) for why, count in one.dropped.items()}
    return Knowledge(
        name="ncbi+uniprot",
        genes=genes,
        parts=tuple(parts[gene] for gene in genes),
        licence=f"{first.licence}; {second.licence}",
        dropped=dropped,
        notes=(*first.notes, *second.notes),
    )


def _knowledge(name: str, rows: Iterable[tuple[str, str]], licence: str, notes: tuple[str, ...] = ()) -> Knowledge:
    """Return the cleaned texts by approved symbol; a symbol's own text counts before that of an older name."""
    dropped: Counter[str] = Counter()
    texts: dict[str, str] = {}
    symbols = [(own, symbol_of(own), text) for own, text in rows]
    for own, symbol, text in sorted(symbols, key=lambda row: row[0] != row[1]):
        said = cleaned(text)
        if NO_GENE.fullmatch(own) and symbol not in human_identifiers().symbols:
            dropped["name of a protein, not of a gene"] += 1
        elif symbol in texts:
            dropped["second text of a gene"] += 1
        elif not said:
            dropped["says nothing"] += 1
        else:
            texts[symbol] = said
    genes = tuple(sorted(texts))
    return Knowledge(name, genes, tuple((texts[one],) for one in genes), licence, dropped=dict(dropped), notes=notes)


def symbol_of(name: str) -> str:
    """Return the approved symbol of a name, or the name itself where it is unknown or stands for several genes."""
    return human_identifiers().approved(name).symbol or name
