"""What the Gene Ontology says: names of the functions, components and processes of each gene."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pertura.priors.sources.bundled_tables import rows_of
from pertura.priors.sources.knowledge import Knowledge
from pertura.priors.sources.summaries import symbol_of

LICENCE = "CC BY 4.0 (Gene Ontology)"
BRANCHES = ("F", "P", "C")
"""Molecular function, biological process, cellular component; texts of several branches follow this order."""

INHERITED = ("is_a", "part_of")
"""Relations along which a gene of a term is also one of the term's parent."""


@dataclass(frozen=True, slots=True)
class Term:
    """A term, the genes annotated with it, and `spread`: how many genes it has with those of the terms below it.

    Components and functions are annotated up to the root in the table, processes are not; `spread` makes the
    three comparable.
    """

    id: str
    branch: str
    name: str
    genes: tuple[str, ...]
    spread: int


@lru_cache(maxsize=1)
def terms() -> tuple[Term, ...]:
    """Return every bundled term, sorted by branch and id, with genes by approved symbol."""
    approved = _Approved(symbol_of)
    rows = list(rows_of("go_terms.tsv.gz", 4))
    annotated = {go_id: frozenset(approved[one] for one in genes.split("|")) for _, go_id, _, genes in rows}
    processes = {go_id: annotated[go_id] for branch, go_id, _, _ in rows if branch == "P"}
    spread = {go_id: len(genes) for go_id, genes in annotated.items()} | _spread(processes)
    return tuple(
        Term(go_id, branch, name, tuple(sorted(annotated[go_id])), spread[go_id]) for branch, go_id, name, _ in rows
    )


@lru_cache(maxsize=1)
def edges_of_processes() -> tuple[tuple[str, str, str], ...]:
    """Return the edges between process terms: child, relation, parent."""
    return tuple((child, relation, parent) for child, relation, parent in rows_of("go_process_edges.tsv.gz", 3))


class _Approved(dict[str, str]):
    """Name -> approved symbol, looked up once: the table names each gene dozens of times."""

    def __init__(self, look_up: Callable[[str], str]) -> None:
        self.look_up = look_up

    def __missing__(self, name: str) -> str:
        self[name] = self.look_up(name)
        return self[name]


def _spread(annotated: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """Return for each process how many genes it has with those of the processes below it."""
    parents = defaultdict(list)
    for child, relation, parent in edges_of_processes():
        if relation in INHERITED:
            parents[child].append(parent)
    genes: dict[str, set[str]] = defaultdict(set)
    for go_id, own in annotated.items():
        for ancestor in _with_ancestors(go_id, parents):
            genes[ancestor] |= own
    return {go_id: len(genes[go_id]) for go_id in annotated}


def _with_ancestors(go_id: str, parents: Mapping[str, Iterable[str]]) -> set[str]:
    found, waiting = {go_id}, [go_id]
    while waiting:
        above = [one for one in parents.get(waiting.pop(), ()) if one not in found]
        found.update(above)
        waiting.extend(above)
    return found


def ontology(name: str, branches: tuple[str, ...]) -> Callable[[int], Knowledge]:
    """Return the source of the given branches; called with a limit it gives each gene the names of its terms.

    Terms that spread over more genes than the limit are dropped: they say nothing about a gene. Branches come in the
    order F, P, C; within one the rarest term comes first, and among equally rare ones the smaller id.
    """

    def knowledge(term_limit: int) -> Knowledge:
        chosen = [term for term in terms() if term.branch in branches]
        kept = [term for term in chosen if term.spread <= term_limit]
        kept.sort(key=lambda term: (BRANCHES.index(term.branch), term.spread, term.id))
        names: dict[str, list[str]] = defaultdict(list)
        for term in kept:
            for gene in term.genes:
                names[gene].append(term.name)
        genes = tuple(sorted(names))
        return Knowledge(
            name=name,
            genes=genes,
            parts=tuple(tuple(names[gene]) for gene in genes),
            licence=LICENCE,
            dropped=_dropped(chosen, kept, term_limit),
        )

    return knowledge


def _dropped(chosen: list[Term], kept: list[Term], term_limit: int) -> dict[str, int]:
    genes = ({gene for term in some for gene in term.genes} for some in (chosen, kept))
    before, after = (len(one) for one in genes)
    counts = Counter(
        {
            f"term of more than {term_limit} genes": len(chosen) - len(kept),
            "gene that has no other term": before - after,
        }
    )
    return {why: count for why, count in counts.items() if count}
