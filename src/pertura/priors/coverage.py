"""Which genes of a screen a prior knows, and why it does not know the others."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pertura.core.cells import Cells
from pertura.genes.identifiers import Identifiers, human_identifiers
from pertura.priors.prior import GenePrior

Reason = Literal["no row", "older name of a gene without a row", "several genes", "not human", "no symbol", "unknown"]
"""Why a gene has no vector: the gene is known but the prior lacks it, or it is not clear which gene is meant."""

NEAR, LIKENESS = 3, 0.6
PREFIX = 2
"""Near names begin with the same letters: comparing with all of 20,000 genes takes a second for each missing one."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A gene without a vector: why, and which genes with one it may stand for or is spelled like."""

    gene: str
    why: Reason
    near: tuple[str, ...] = ()


@dataclass(frozen=True)
class GenesCovered:
    """How many of some genes have a vector. `renamed`: those found under another name, and that name."""

    genes: int
    renamed: Mapping[str, str]
    missing: tuple[Missing, ...]

    @property
    def covered(self) -> int:
        """How many have a vector, renamed ones included."""
        return self.genes - len(self.missing)

    @property
    def reasons(self) -> dict[Reason, int]:
        """How many are missing for each reason, the most frequent first."""
        return dict(Counter(one.why for one in self.missing).most_common())


@dataclass(frozen=True)
class Coverage:
    """What a prior knows of a screen: of its panel, and of the genes perturbed in it."""

    prior: str
    screen: str
    panel: GenesCovered
    targets: GenesCovered


def coverage(prior: GenePrior, cells: Cells, identifiers: Identifiers | None = None) -> Coverage:
    """Return what a prior knows of the panel and of the perturbed genes of a screen, aliases resolved.

    Names are those of human genes unless other `identifiers` are given.
    """
    names = identifiers or human_identifiers()
    targets = sorted({gene for one in cells.perturbed for gene in one.genes})
    return Coverage(prior.name, cells.name, covered(prior, cells.genes, names), covered(prior, targets, names))


def covered(prior: GenePrior, genes: Sequence[str], identifiers: Identifiers) -> GenesCovered:
    """Return how many of `genes` have a vector, in the order they were given."""
    rows = prior.rows_of(genes, identifiers=identifiers).tolist()
    present = frozenset(prior.genes)
    by_prefix = _by_prefix(prior.genes)
    return GenesCovered(
        genes=len(genes),
        renamed={gene: prior.genes[row] for gene, row in zip(genes, rows) if row >= 0 and gene not in present},
        missing=tuple(_missing(gene, identifiers, present, by_prefix) for gene, row in zip(genes, rows) if row < 0),
    )


def _missing(
    gene: str, identifiers: Identifiers, present: frozenset[str], by_prefix: Mapping[str, list[str]]
) -> Missing:
    found = identifiers.approved(gene)
    meant = tuple(one for one in found.candidates if one in present)
    if found.how == "ambiguous":
        return Missing(gene, "several genes", meant)
    if found.how == "mouse":
        return Missing(gene, "not human", meant)
    if found.how == "approved":
        return Missing(gene, "no row", meant)
    if found.symbol is not None:
        return Missing(gene, "older name of a gene without a row", meant)
    if found.how == "ensembl":
        return Missing(gene, "no symbol")
    return Missing(gene, "unknown", _spelled_alike(gene, by_prefix))


def _by_prefix(genes: Iterable[str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for gene in genes:
        groups[gene[:PREFIX].upper()].append(gene)
    return groups


def _spelled_alike(gene: str, by_prefix: Mapping[str, list[str]]) -> tuple[str, ...]:
    alike = by_prefix.get(gene[:PREFIX].upper(), [])
    return tuple(difflib.get_close_matches(gene.upper(), sorted(alike), n=NEAR, cutoff=LIKENESS))
