"""What a gene is called: approved symbol, older names, Ensembl and Entrez numbers, names a spreadsheet broke."""

import gzip
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Literal

How = Literal["approved", "alias", "date", "ensembl", "entrez", "ambiguous", "mouse", "unknown"]
"""How a name was understood. `alias` covers previous symbols: the facts do not tell the two apart."""

ENSEMBL = re.compile(r"ENSG(\d{11})(?:\.\d+)?(?:_PAR_Y)?", re.IGNORECASE)
OTHER_SPECIES = re.compile(r"ENS[A-Z]{3}G\d{11}(?:\.\d+)?", re.IGNORECASE)
MOUSE_SPELLING = re.compile(r"[A-Z](?=[^A-Z]*[a-z])[^A-Z]*")
HUMAN_SPELLING = re.compile(r"C(?:\d+|X|Y)orf.+")
"""Open reading frames of a human chromosome, as C9orf72: small letters, yet no mouse."""
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DATES = (
    re.compile(r"(?P<day>\d{1,2})[-/ ](?P<name>[A-Z]{3})(?:[-/ ]\d{2,4})?"),
    re.compile(r"(?P<name>[A-Z]{3})[-/ ](?P<day>\d{1,2})"),
    re.compile(r"\d{4}[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})(?: 00:00:00)?"),
    re.compile(r"(?P<month>\d{1,2})[-/](?P<day>\d{1,2})(?:[-/]\d{4})?"),
    re.compile(r"(?P<day>\d{1,2})[-/](?P<month>\d{1,2})(?:[-/]\d{4})?"),
)
"""Ways in which spreadsheets show a date; `3/9` is read both ways round."""
LIKE_A_NUMBER_OR_DATE = re.compile(rf"ENSG\d|\d+$|\d{{1,4}}[-/ ]|(?:{'|'.join(MONTHS)})[-/ ]")
"""The beginning of every name that is understood without being listed."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What one name stands for: its approved `symbol` (None where it is not certain) and how that was found.

    `candidates` are all symbols the name may stand for, the one taken first.
    """

    symbol: str | None
    how: How
    candidates: tuple[str, ...] = ()


UNKNOWN = Resolved(None, "unknown")


@dataclass(frozen=True, eq=False)
class Identifiers:
    """Approved symbols and what else their genes are called.

    `other_names`: name in capitals -> the symbols it may stand for, dates as `1-MAR`. `ensembl`, `entrez`: number ->
    symbols; an Ensembl gene without a symbol has none.
    """

    symbols: frozenset[str]
    other_names: Mapping[str, tuple[str, ...]]
    ensembl: Mapping[int, tuple[str, ...]]
    entrez: Mapping[int, tuple[str, ...]]

    def approved(self, name: str) -> Resolved:
        """Return the approved symbol of a name in any of its forms.

        An approved symbol stands for itself, even where it is also another gene's old name (that gene is among the
        candidates). A name of several genes is never decided; the name of a mouse gene only suggests a human one.
        """
        name = name.strip()
        capitals = name.upper()
        if name in self.symbols:
            others = (one for one in self.other_names.get(capitals, ()) if one != name)
            return Resolved(name, "approved", (name, *others))
        numbered = self._by_number(capitals)
        if numbered is not None:
            return numbered
        dated = self._of_dates(capitals)
        if dated:
            return _one_of(dated, "date")
        found = self._spelled(capitals)
        if found and MOUSE_SPELLING.fullmatch(name) and not HUMAN_SPELLING.fullmatch(name):
            return Resolved(None, "mouse", found)
        return _one_of(found, "alias")

    def symbols_of(self, names: Iterable[str]) -> dict[str, str]:
        """Return name -> approved symbol for each name that certainly has one; for very many names at once."""
        found: dict[str, str] = {}
        capitals = self._in_capitals
        for name in names:
            if name in self.symbols:
                found[name] = name
                continue
            upper = name.strip().upper()
            if upper in self.other_names or upper in capitals or LIKE_A_NUMBER_OR_DATE.match(upper):
                symbol = self.approved(name).symbol
                if symbol is not None:
                    found[name] = symbol
        return found

    def _by_number(self, name: str) -> Resolved | None:
        """Return what an Ensembl or Entrez number stands for; None for a name that is no number."""
        ensembl = ENSEMBL.fullmatch(name)
        if ensembl:
            return _one_of(self.ensembl.get(int(ensembl[1])), "ensembl")
        if OTHER_SPECIES.fullmatch(name):
            return Resolved(None, "mouse" if name.startswith("ENSMUSG") else "unknown")
        if name.isascii() and name.isdigit():
            return _one_of(self.entrez.get(int(name)), "entrez")
        return None

    def _spelled(self, capitals: str) -> tuple[str, ...]:
        """Return the symbols of a name in capitals: the symbol that differs by capitals alone, else the aliases."""
        symbol = self._in_capitals.get(capitals)
        return (symbol,) if symbol else self.other_names.get(capitals, ())

    def _of_dates(self, name: str) -> tuple[str, ...]:
        found = (self.other_names.get(date, ()) for date in dates_in(name))
        return tuple(sorted({symbol for symbols in found for symbol in symbols}))

    @cached_property
    def _in_capitals(self) -> dict[str, str]:
        return {symbol.upper(): symbol for symbol in self.symbols}


def _one_of(symbols: tuple[str, ...] | None, how: How) -> Resolved:
    """Return the only symbol there is, or that there are several or none."""
    if symbols is None or (not symbols and how != "ensembl"):
        return UNKNOWN
    if len(symbols) > 1:
        return Resolved(None, "ambiguous", symbols)
    return Resolved(symbols[0] if symbols else None, how, symbols)


def dates_in(name: str) -> tuple[str, ...]:
    """Return a date that a spreadsheet made of a symbol, as `1-MAR`; two where day and month can be swapped."""
    found: dict[str, None] = {}
    for pattern in DATES:
        date = pattern.fullmatch(name.upper())
        month = _month(**date.groupdict()) if date else ""
        if date and month:
            found[f"{int(date['day'])}-{month}"] = None
    return tuple(found)


def _month(day: str, name: str = "", month: str = "") -> str:
    """Return a month in three letters, whether it was spelled or numbered; empty where it is none."""
    if month:
        return MONTHS[int(month) - 1] if 1 <= int(month) <= len(MONTHS) else ""
    return name if name in MONTHS else ""


def read_identifiers(lines: Iterable[str]) -> Identifiers:
    """Return the identifiers in lines of symbol, Ensembl numbers, Entrez numbers and other names, tab-separated.

    Several values in one field stand between bars; genes without a symbol share the line that has none.
    """
    symbols: set[str] = set()
    names: dict[str, list[str]] = {}
    ensembl: dict[int, tuple[str, ...]] = {}
    entrez: dict[int, tuple[str, ...]] = {}
    for line in lines:
        symbol, ensembl_field, entrez_field, name_field = line.rstrip("\n").split("\t")
        own = (symbol,) if symbol else ()
        symbols.update(own)
        for number in filter(None, ensembl_field.split("|")):
            ensembl[int(number)] = own
        for number in filter(None, entrez_field.split("|")):
            entrez[int(number)] = (*entrez.get(int(number), ()), *own)
        for name in filter(None, name_field.split("|")):
            names.setdefault(name, []).append(symbol)
    return Identifiers(frozenset(symbols), {name: tuple(one) for name, one in names.items()}, ensembl, entrez)


@lru_cache(maxsize=1)
def human_identifiers() -> Identifiers:
    """Return the bundled names of human genes: symbols, aliases, Ensembl and Entrez numbers."""
    packed = resources.files("pertura.genes").joinpath("bundled", "human_identifiers.tsv.gz").read_bytes()
    return read_identifiers(gzip.decompress(packed).decode().splitlines())
