"""Which genes of a screen are known to the vocabulary and to the priors that come with the package."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pertura.core.cells import Cells
from pertura.genes.identified import found_among
from pertura.genes.vocab import human_vocab
from pertura.priors.sources import SOURCES, knowledge_of

VOCABULARY = "scGPT vocabulary"


@dataclass(frozen=True)
class KnownTo:
    """How many genes of a screen something knows, by their own name or another one, and which it does not.

    `targets_missing` are perturbed genes that it has nothing on: as targets it can only guess about them.
    """

    name: str
    panel: int
    panel_found: int
    panel_renamed: int
    targets: int
    targets_renamed: tuple[tuple[str, str], ...]
    targets_missing: tuple[str, ...]

    @property
    def targets_found(self) -> int:
        """How many perturbed genes it knows."""
        return self.targets - len(self.targets_missing)


def gene_coverage(cells: Cells, *, priors: bool) -> Iterator[KnownTo]:
    """Yield what the vocabulary, and with `priors` every bundled source of knowledge, knows of a screen's genes.

    Reading all sources takes some seconds.
    """
    yield _known_to(VOCABULARY, sorted(human_vocab().genes), cells)
    for name in SOURCES if priors else ():
        if "+" not in name:  # two sources, each of which has a row of its own
            yield _known_to(name, knowledge_of(name).genes, cells)


def _known_to(name: str, genes: Sequence[str], cells: Cells) -> KnownTo:
    targets = sorted({gene for one in cells.perturbed for gene in one.genes})
    found = found_among([*cells.genes, *targets], genes)
    return KnownTo(
        name=name,
        panel=len(cells.genes),
        panel_found=sum(gene in found for gene in cells.genes),
        panel_renamed=sum(found.get(gene, gene) != gene for gene in cells.genes),
        targets=len(targets),
        targets_renamed=tuple((gene, found[gene]) for gene in targets if found.get(gene, gene) != gene),
        targets_missing=tuple(gene for gene in targets if gene not in found),
    )
