"""What the gene names of a screen stand for, as a report."""

from collections.abc import Iterable
from dataclasses import dataclass

from pertura.core.cells import Cells
from pertura.genes.identified import Identified, identified

SHOWN = 4


@dataclass(frozen=True)
class GeneReport:
    """What the names of the panel and of the perturbed genes stand for."""

    panel: Identified
    targets: Identified


def gene_report(cells: Cells) -> GeneReport:
    """Return what the gene names of a screen stand for; the cells keep the names they have."""
    targets = sorted({gene for one in cells.perturbed for gene in one.genes})
    return GeneReport(identified(cells.genes), identified(targets))


def gene_warnings(found: GeneReport) -> tuple[str, ...]:
    """Return what is wrong with gene names, in words."""
    said = []
    for words, one in (("genes of the panel", found.panel), ("perturbed genes", found.targets)):
        if one.dates:
            said.append(f"{_some(one.dates)}: {words} that a spreadsheet turned into dates")
        if one.ambiguous:
            said.append(f"{_some(one.ambiguous)}: {words} whose name may mean several genes; they are never decided")
        if one.shared:
            several = [" and ".join(names) for names in one.shared.values()]
            said.append(f"{_some(several)}: {words} under several names; both are kept as they are")
    return tuple(said)


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN:,} more" if len(every) > SHOWN else "")


def described(found: Identified, shown: int | None = SHOWN) -> str:
    """Return in one line how many names are approved symbols, other names, ambiguous or unknown, with examples."""
    older = [f"{name} is {symbol}" for name, symbol in found.renamed.items()]
    unclear = [f"{name}: {' or '.join(several)}" for name, several in found.ambiguous.items()]
    shared = [f"{symbol}: {' and '.join(names)}" for symbol, names in found.shared.items()]
    parts = [
        f"{found.approved:,} of {found.names:,} are approved symbols",
        _listed("{:,} other names of one gene", older, shown),
        _listed("{:,} may mean several genes", unclear, shown),
        _listed("{:,} genes under several names", shared, shown),
        _listed("{:,} genes without a symbol", list(found.nameless), shown),
        _listed("{:,} spelled as in the mouse", list(found.mouse), shown),
        _listed("{:,} known under no human name", list(found.unknown), shown),
    ]
    return "; ".join(part for part in parts if part)


def _listed(words: str, names: list[str], shown: int | None) -> str:
    if not names:
        return ""
    some = names if shown is None else names[:shown]
    return f"{words.format(len(names))} ({', '.join(some)}{', ...' if len(some) < len(names) else ''})"
