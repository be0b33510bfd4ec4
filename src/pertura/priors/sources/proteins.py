"""Protein sequences by symbol."""

from pertura.priors.sources.bundled_tables import rows_of
from pertura.priors.sources.knowledge import Knowledge
from pertura.priors.sources.summaries import STRING_LICENCE, symbol_of

PARTIAL = "sequences of 4,036 human genes come with the package, a fifth of all that code for a protein"


def protein(term_limit: int) -> Knowledge:
    """Return the bundled amino-acid sequences; they cover a fifth of the coding genes, which is noted."""
    sequences: dict[str, str] = {}
    seconds = 0
    rows = [(symbol_of(name), name, sequence) for name, _, sequence in rows_of("protein_sequences.tsv.gz", 3)]
    for symbol, _, sequence in sorted(rows, key=lambda row: row[0] != row[1]):
        seconds += symbol in sequences
        sequences.setdefault(symbol, sequence)
    genes = tuple(sorted(sequences))
    return Knowledge(
        name="protein",
        genes=genes,
        parts=tuple((sequences[gene],) for gene in genes),
        licence=f"{STRING_LICENCE.replace('v12', 'v11')}; sequences of Ensembl",
        content="protein",
        dropped={"second sequence of a gene": seconds} if seconds else {},
        notes=(PARTIAL,),
    )
