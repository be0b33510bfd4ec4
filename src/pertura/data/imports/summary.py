"""The account of an import: what became of every cell, guide and gene."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pertura.data.imports.assign import HIGH_MOI, KEPT, Fate

SHOWN = 8
MANY = 0.3
"""Share of cells with several genes from which on a screen was hardly meant for one guide a cell."""


@dataclass(frozen=True)
class LaneSummary:
    """One folder: its cells by what became of them, by number of guides and lane number.

    `lost`: gene id -> symbol of the genes that another folder lacks, with their share of this folder's counts.
    """

    name: str
    matrix: str
    calls: str
    cells: int
    genes: int
    others: Mapping[str, int]
    suffixes: Mapping[str, int]
    fates: Mapping[str, int]
    numbers: Mapping[str, int]
    same_gene: int
    strangers: Mapping[str, int]
    not_measured: int
    matched: str
    lost: Mapping[str, str]
    lost_share: float


@dataclass(frozen=True)
class Summary:
    """The whole import. `guides_never` were called in no kept cell; `outside` are targets that are not measured."""

    cells: int
    genes: int
    conditions: Mapping[str, int]
    lanes: tuple[LaneSummary, ...]
    guides: int
    guides_seen: int
    guides_never: tuple[str, ...]
    targets: int
    outside: tuple[str, ...]
    renamed: tuple[str, ...]
    table: tuple[str, ...]

    def as_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, sort_keys=True)

    @property
    def fates(self) -> dict[Fate, int]:
        """What became of all cells."""
        return {fate: sum(one.fates[str(fate)] for one in self.lanes) for fate in Fate}

    @property
    def sections(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The account in words: headings, and one fact a line under each."""
        parts = {
            "Cells": tuple(self._cells()),
            "Guides": tuple(self._guides()),
            "Genes": tuple(self._genes()),
            "Folders": tuple(line for one in self.lanes for line in _lane(one)),
            "Watch out": self.warnings,
        }
        return tuple((title, lines) for title, lines in parts.items() if lines)

    def _cells(self) -> Iterator[str]:
        fates, total = self.fates, sum(one.cells for one in self.lanes)
        kept = sum(fates[fate] for fate in KEPT)
        sorts = f"{fates[Fate.CONTROL]:,} control, {fates[Fate.SINGLE]:,} with one gene perturbed"
        yield f"{kept:,} of {total:,} are kept ({share(kept, total)}): {sorts}, {fates[Fate.PAIR]:,} with two"
        for fate in Fate:
            if fate not in KEPT and fates[fate]:
                yield f"{fates[fate]:,} are left out ({share(fates[fate], total)}): {fate}"
        numbers = self._numbers()
        high = sum(size for number, size in numbers.items() if number >= HIGH_MOI)
        listed = ", ".join(f"{number} in {size:,}" for number, size in numbers.items() if number < HIGH_MOI)
        yield f"guides called: {listed}, {HIGH_MOI} or more in {high:,} cells"
        same = sum(one.same_gene for one in self.lanes)
        if same:
            yield f"{same:,} of the kept carry several guides that amount to one gene or to control"

    def _numbers(self) -> dict[int, int]:
        found: dict[int, int] = dict.fromkeys(range(HIGH_MOI), 0)
        for one in self.lanes:
            for number, size in one.numbers.items():
                found[int(number)] = found.get(int(number), 0) + size
        return dict(sorted(found.items()))

    def _guides(self) -> Iterator[str]:
        singles = sum("+" not in name for name in self.conditions) - 1
        pairs = len(self.conditions) - 1 - singles
        yield f"{len(self.conditions):,} conditions: {singles:,} singles, {pairs:,} pairs, and control"
        yield f"{self.guides_seen:,} of the table's {self.guides:,} guides are in cells that are kept"
        if self.guides_never:
            yield f"in none: {some(self.guides_never)}"
        yield from self.table

    def _genes(self) -> Iterator[str]:
        yield f"{self.genes:,} genes; {self.targets - len(self.outside):,} of {self.targets:,} targets are among them"
        if self.outside:
            yield f"targets that are not measured: {some(self.outside)}"
        for one in self.lanes:
            if one.lost:
                yield (
                    f"{one.name} loses {len(one.lost):,} of its {one.genes:,} genes, {one.lost_share:.2%} of its "
                    f"counts, as another folder lacks them: {some(one.lost.values())}"
                )
        if self.renamed:
            yield f"named as in the first folder, where others name them otherwise: {some(self.renamed)}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may be wrong with the screen as a whole."""
        total, fates = max(sum(one.cells for one in self.lanes), 1), self.fates
        found = []
        if fates[Fate.MULTIPLET] > MANY * total and not fates[Fate.PAIR]:
            found.append("many cells carry guides of several genes; if the screen was made of pairs, say --pairs")
        if fates[Fate.UNKNOWN]:
            strangers = sorted({name for one in self.lanes for name in one.strangers})
            found.append(f"called, but not in the guide table: {some(strangers)}")
        lost = sum(one.not_measured for one in self.lanes)
        if lost:
            found.append(f"{lost:,} calls are of cells that the matrix does not hold")
        if fates[Fate.NO_CALL] > total / 2:
            found.append("most cells have no guide; are these the calls of this library?")
        return tuple(found)


def _lane(one: LaneSummary) -> Iterator[str]:
    kept = sum(one.fates[str(fate)] for fate in KEPT)
    text = f"{one.name}: {kept:,} of {one.cells:,} cells kept, from {one.matrix} and {one.calls}"
    if any(one.suffixes):
        text += f"; lane number {_numbered(one.suffixes)}"
    if one.others:
        text += "; not taken: " + ", ".join(f"{size:,} x {kind}" for kind, size in one.others.items())
    yield text
    if one.matched:
        yield f"{one.name}: {one.matched}"


def _numbered(suffixes: Mapping[str, int]) -> str:
    return ", ".join(f"{f'-{number}' if number else 'none'} ({size:,} cells)" for number, size in suffixes.items())


def share(part: int, whole: int) -> str:
    """Return a part as a percentage."""
    return f"{part / max(whole, 1):.1%}"


def some(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else "")
