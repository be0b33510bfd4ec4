"""Where knowledge about genes can be had."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pertura.core.errors import UsageError
from pertura.priors.sources.knowledge import Knowledge
from pertura.priors.sources.ontology import ontology
from pertura.priors.sources.own_file import own_file
from pertura.priors.sources.proteins import protein
from pertura.priors.sources.summaries import ncbi, ncbi_and_uniprot, uniprot

TERM_LIMIT = 500
"""Terms of more genes than this are too general to say anything about one of them."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source that can be had by name; `read(term_limit)` gives what it says."""

    description: str
    read: Callable[[int], Knowledge]


SOURCES: Mapping[str, SourceEntry] = {
    "ncbi": SourceEntry("RefSeq gene summaries", ncbi),
    "uniprot": SourceEntry("protein names and functions of STRING v12, in place of UniProt's", uniprot),
    "ncbi+uniprot": SourceEntry("the two texts one after the other", ncbi_and_uniprot),
    "go-f": SourceEntry("Gene Ontology: molecular functions", ontology("go-f", ("F",))),
    "go-c": SourceEntry("Gene Ontology: cellular components", ontology("go-c", ("C",))),
    "go-p": SourceEntry("Gene Ontology: biological processes", ontology("go-p", ("P",))),
    "go-all": SourceEntry("Gene Ontology: functions, processes, components", ontology("go-all", ("F", "P", "C"))),
    "protein": SourceEntry("amino-acid sequences of 4,036 genes", protein),
}
"""Name -> source. To add one: write its reader and name it here."""

OWN = "file:"


def knowledge_of(source: str, *, term_limit: int = TERM_LIMIT) -> Knowledge:
    """Return what a source says about each gene: a row of `SOURCES`, or `file:PATH` for texts of the user's."""
    if source.startswith(OWN):
        return own_file(Path(source.removeprefix(OWN)))
    if source not in SOURCES:
        raise UsageError(f"no source {source!r}; there are {', '.join(SOURCES)}, and {OWN}PATH for your own texts")
    if term_limit < 1:
        raise UsageError(f"a limit of {term_limit} genes leaves no term; --term-limit is 1 or more")
    return SOURCES[source].read(term_limit)


__all__ = ["OWN", "SOURCES", "TERM_LIMIT", "Knowledge", "SourceEntry", "knowledge_of"]
