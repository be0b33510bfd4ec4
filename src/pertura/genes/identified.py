"""What the names of many genes stand for, and which of them are found among other names."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pertura.genes.identifiers import How, Identifiers, Resolved, dates_in, human_identifiers

RENAMED: tuple[How, ...] = ("alias", "date", "ensembl", "entrez")
"""Ways in which a name stands for a symbol that it is not itself."""


@dataclass(frozen=True)
class Identified:
    """What some names stand for.

    `renamed`: name -> approved symbol, where the name is another one of that gene. `ambiguous`: name -> the symbols
    it may stand for; such a name is never decided. `mouse`: names spelled as in the mouse. `shared`: approved symbol
    -> the names that stand for it, where there are several. `dates`: names that a spreadsheet turned into dates.
    """

    names: int
    approved: int
    renamed: Mapping[str, str]
    ambiguous: Mapping[str, tuple[str, ...]]
    mouse: tuple[str, ...]
    nameless: tuple[str, ...]
    unknown: tuple[str, ...]
    shared: Mapping[str, tuple[str, ...]]
    dates: tuple[str, ...]
    how: Mapping[How, int]

    @property
    def certain(self) -> int:
        """How many names stand for one approved symbol."""
        return self.approved + len(self.renamed)

    @property
    def is_human(self) -> bool:
        """At least half of the names are names of human genes."""
        return 2 * (self.certain + len(self.nameless) + len(self.ambiguous)) >= self.names > 0

    @property
    def is_mouse(self) -> bool:
        """More names are spelled as in the mouse than are human, and not by a few that happen to be."""
        return len(self.mouse) > max(self.certain, self.names // 10)


def identified(names: Iterable[str], identifiers: Identifiers | None = None) -> Identified:
    """Return what `names` stand for among human genes, or among those of other `identifiers`."""
    table = identifiers or human_identifiers()
    found = {name: table.approved(name) for name in names}
    by_symbol: dict[str, list[str]] = {}
    for name, one in found.items():
        if one.symbol is not None:
            by_symbol.setdefault(one.symbol, []).append(name)
    return Identified(
        names=len(found),
        approved=sum(one.how == "approved" for one in found.values()),
        renamed={name: one.symbol for name, one in found.items() if one.symbol is not None and one.how in RENAMED},
        ambiguous={name: one.candidates for name, one in found.items() if one.how == "ambiguous"},
        mouse=tuple(name for name, one in found.items() if _of_mouse(name, one)),
        nameless=tuple(name for name, one in found.items() if one.how == "ensembl" and one.symbol is None),
        unknown=tuple(name for name, one in found.items() if one.how == "unknown" and not _of_mouse(name, one)),
        shared={symbol: tuple(sorted(several)) for symbol, several in by_symbol.items() if len(several) > 1},
        dates=tuple(name for name, one in found.items() if one.how in ("date", "ambiguous") and dates_in(name)),
        how=dict(Counter(one.how for one in found.values())),
    )


def _of_mouse(name: str, one: Resolved) -> bool:
    """Mouse genes without a human namesake, such as Gm1992 or 1700001C02Rik, are known by their spelling alone."""
    if one.how == "mouse":
        return True
    return one.how == "unknown" and (name.endswith("Rik") or (name.startswith("Gm") and name[2:].isdigit()))


def found_among(names: Iterable[str], others: Sequence[str], identifiers: Identifiers | None = None) -> dict[str, str]:
    """Return name -> the one of `others` that means the same gene, for each name that has one.

    A name is looked for as it is, then by its approved symbol, whatever `others` call that gene. Where several of
    `others` stand for the symbol and none is spelled so, none is taken: they may be different genes.
    """
    table = identifiers or human_identifiers()
    present = frozenset(others)
    wanted = list(dict.fromkeys(names))
    if all(name in present for name in wanted):
        return {name: name for name in wanted}
    symbols = table.symbols_of(others)
    by_symbol: dict[str, tuple[str, ...]] = {}
    for other, symbol in symbols.items():
        if by_symbol.get(symbol) != (symbol,):
            by_symbol[symbol] = (other,) if other == symbol else (*by_symbol.get(symbol, ()), other)
    wanted_symbols = table.symbols_of(wanted)
    found: dict[str, str] = {}
    for name in wanted:
        known_as = (name,) if name in present else by_symbol.get(wanted_symbols.get(name, ""), ())
        if len(known_as) == 1:
            found[name] = known_as[0]
    return found


def approved_names(names: Sequence[str], identifiers: Identifiers | None = None) -> dict[str, str]:
    """Return name -> approved symbol for every name that can be renamed without two names becoming one."""
    found = identified(names, identifiers)
    present = frozenset(names)
    return {
        name: symbol for name, symbol in found.renamed.items() if symbol not in present and symbol not in found.shared
    }
