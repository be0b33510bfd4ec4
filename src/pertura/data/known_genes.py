"""Whether a name in a label is a gene: measured in the panel, or known among human genes; what is not is refused."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pertura.core.errors import BadDataError
from pertura.data.columns import counted
from pertura.genes.identified import Identified, identified
from pertura.genes.identifiers import Identifiers, human_identifiers

SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.\-@]*|.*C(?:\d+|X|Y)orf\d+.*")
"""How symbols of human genes are spelled; all but a handful of 41,628 approved ones are."""
REAGENTS = frozenset(
    {"DMSO", "PBS", "LPS", "H2O", "ETOH", "VEHICLE", "MOCK", "UNTREATED", "UNSTIMULATED", "PMA", "BSA"}
)
"""What is given to cells and is spelled like a symbol."""
SHORTEST_ALIAS = 3
"""Shorter old names (`A`, `B`, `p`) are letters of guides and replicates more often than genes."""
ENTREZ = re.compile(r"[1-9]\d{3,}")
"""Smaller numbers count guides and replicates."""
MOST_UNKNOWN = 0.5
"""With at least this share of unknown names, labels hold something else than genes."""
SHOWN = 6


class NotGenesError(BadDataError):
    """Conditions that perturb no gene: a drug, a cytokine, a cell state."""


class NotHumanError(BadDataError):
    """Genes of another species."""


@dataclass(frozen=True, eq=False)
class KnownGenes:
    """The genes of a panel, and all human genes by any of their names."""

    panel: tuple[str, ...]
    identifiers: Identifiers

    @classmethod
    def of(cls, panel: Sequence[str]) -> "KnownGenes":
        """Return what is known to one who has this panel."""
        return cls(tuple(panel), human_identifiers())

    @cached_property
    def measured(self) -> frozenset[str]:
        """The genes of the panel."""
        return frozenset(self.panel)

    @cached_property
    def meaning(self) -> Identified:
        """What the names of the panel stand for."""
        return identified(self.panel, self.identifiers)

    def has(self, name: str) -> bool:
        """The name is measured, or is a name of a human gene; a bare number or a letter or two is not enough."""
        if name in self.measured:
            return True
        if name.upper() in REAGENTS:
            return False
        found = self.identifiers.approved(name)
        if found.how in ("approved", "ensembl") or (found.how == "entrez" and ENTREZ.fullmatch(name)):
            return True
        return found.how in ("alias", "ambiguous", "date") and len(name) >= SHORTEST_ALIAS and not name.isdigit()

    def refuse_other_species(self) -> None:
        """Raise `NotHumanError` where the panel is of the mouse."""
        if self.meaning.is_mouse:
            shown = ", ".join(self.meaning.mouse[:SHOWN])
            raise NotHumanError(
                f"{len(self.meaning.mouse):,} of {len(self.panel):,} genes are spelled as mouse genes ({shown}), "
                f"{self.meaning.certain:,} as human ones",
                place="var",
                remedy="vocabularies and priors know human genes only, and a changed spelling is not a mapping: "
                "replace the names by those of the human orthologues, leave out genes without one, and write the file "
                "again",
            )


@dataclass(frozen=True, slots=True)
class Sorted:
    """Names in labels: `unknown` are spelled like a symbol but known nowhere; `others` are no genes."""

    unknown: tuple[str, ...]
    others: tuple[str, ...]
    mouse: tuple[str, ...]


def sorted_names(names: Iterable[str], known: KnownGenes) -> Sorted:
    """Return which names are no genes, or not known to be. With human genes measured, mostly unknown names are none."""
    every = list(dict.fromkeys(names))
    strange = [name for name in every if not known.has(name)]
    mouse = tuple(name for name in strange if known.identifiers.approved(name).how == "mouse")
    rest = [name for name in strange if name not in mouse]
    others = [name for name in rest if not SYMBOL.fullmatch(name) or name.upper() in REAGENTS]
    if known.meaning.is_human and len(rest) >= MOST_UNKNOWN * len(every):
        others = rest
    return Sorted(tuple(one for one in rest if one not in others), tuple(others), mouse)


def refuse_others(found: Sorted, place: str, why: str = "") -> None:
    """Raise where names are of the mouse (`NotHumanError`) or no genes at all (`NotGenesError`)."""
    if found.mouse:
        raise NotHumanError(
            f"{counted(len(found.mouse), 'perturbed gene')} spelled as in the mouse ({', '.join(found.mouse[:SHOWN])})",
            place=place,
            remedy="name the human genes that were perturbed; a changed spelling alone is not a mapping",
        )
    if found.others:
        raise NotGenesError(
            f"{counted(len(found.others), 'name')} of no gene ({', '.join(found.others[:SHOWN])}){why}: a drug, a "
            "cytokine or a state of the cells is not a perturbed gene",
            place=place,
            remedy="--not-genes exclude leaves these cells out; --not-genes keep takes the names as genes that are "
            "known nowhere; if labels name guides, give the column with their genes with --perturbation-column",
        )
