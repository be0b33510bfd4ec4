"""What `pertura inspect` prints of a screen: a screenful, or all of it."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pertura.core.cells import Scale
from pertura.data.anndata_io import Screen, open_screen
from pertura.data.conventions import READING
from pertura.data.gene_report import GeneReport, described, gene_report, gene_warnings
from pertura.data.overview import Overview, overview
from pertura.recipes.gene_coverage import KnownTo, gene_coverage

if TYPE_CHECKING:
    from rich.console import Console

SHOWN, CONTEXTS, WARNINGS = 10, 8, 10
BROUGHT = "computed before any split: "


@dataclass(frozen=True)
class Inspected:
    """A screen with everything that is said of it."""

    screen: Screen
    found: Overview
    genes: GeneReport
    known_to: tuple[KnownTo, ...]


def inspected(file: Path, flags: Mapping[str, object], *, full: bool) -> Inspected:
    """Return a screen with everything that is said of it; with `full` also what each bundled prior knows of it."""
    screen = open_screen(file, **flags)
    cells = screen.cells
    return Inspected(screen, overview(cells), gene_report(cells), tuple(gene_coverage(cells, priors=full)))


def as_json_text(one: Inspected, written: Path | None) -> str:
    """Return all that is said of a screen as one JSON object."""
    content = {
        "file": str(one.screen.path),
        "facts": dataclasses.asdict(one.screen.facts),
        "reading": READING.dump_python(one.screen.reading, mode="json"),
        "screen": dataclasses.asdict(one.found),
        "genes": dataclasses.asdict(one.genes),
        "known_to": [{**dataclasses.asdict(each), "targets_found": each.targets_found} for each in one.known_to],
        "notes": list(one.screen.cells.notes),
        "manifest": None if written is None else str(written),
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def print_inspected(one: Inspected, written: Path | None, *, full: bool) -> None:
    """Print what a screen is, how it is read and why, and what to watch."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=False)
    facts, found = one.screen.facts, one.found
    stored = f"{facts.layout}, {facts.dtype}, {facts.density:.1%} of the values are not 0"
    console.print(f"{one.screen.path.name}: {found.cells:,} cells x {found.genes:,} genes ({stored})", style="bold")
    reading = one.screen.reading
    _print_list(console, f"Read as {reading.convention}, because", reading.evidence)
    _print_list(console, f"Scale: {_scale(reading.scale)}", reading.scale.evidence.split("; "))
    _print_list(console, "Screen", _conditions(found, full))
    _print_contexts(console, found, full)
    _print_list(console, "Genes", _genes(one, full))
    notes = one.screen.cells.notes if full else _gathered(one.screen.cells.notes)
    warnings = [line for line in (*found.warnings, *gene_warnings(one.genes), *notes) if line not in reading.evidence]
    _print_list(console, "Watch out", _cut(warnings, full), style="yellow")
    if written is not None:
        more = "" if full else "; --full prints every name and note"
        console.print(f"\nwrote {written}; later commands take it in place of the file{more}")


def _print_list(console: "Console", title: str, lines: Iterable[str], style: str = "") -> None:
    from rich.table import Table

    shown = [line for line in dict.fromkeys(lines) if line]
    if not shown:
        return
    console.print(f"\n{title}", style="bold")
    grid = Table.grid(padding=(0, 1), pad_edge=False)
    for line in shown:
        grid.add_row("  -", line, style=style)
    console.print(grid)


def _cut(lines: Sequence[str], full: bool) -> list[str]:
    if full or len(lines) <= WARNINGS:
        return list(lines)
    return [*lines[:WARNINGS], f"and {len(lines) - WARNINGS:,} more; --full prints them"]


def _gathered(notes: Sequence[str]) -> list[str]:
    """What was computed before any split in one line; it shapes what can be said of a test, not what to do now."""
    places = [note.removeprefix(BROUGHT).partition(", ")[0] for note in notes if note.startswith(BROUGHT)]
    others = [note for note in notes if not note.startswith(BROUGHT)]
    if not places:
        return others
    shown = ", ".join(places[:SHOWN]) + (" ..." if len(places) > SHOWN else "")
    return [*others, f"{BROUGHT}{shown} (test cells had a part in it)"]


def _scale(scale: Scale) -> str:
    if scale.kind == "counts":
        return "counts"
    target = f"{scale.target_sum:,.6g} per cell" if scale.target_sum else "an unknown sum per cell"
    names = {math.e: "natural logarithm", 2.0: "logarithm of base 2", 10.0: "logarithm of base 10"}
    base = names.get(scale.log_base, f"base {scale.log_base:g}") if scale.log_base else "a logarithm of unknown base"
    return f"normalised to {target}, {base}"


def _conditions(found: Overview, full: bool) -> list[str]:
    spread = found.conditions
    larger = f", {found.larger:,} of more genes" if found.larger else ""
    smallest = ", ".join(f"{name} ({size:,})" for name, size in found.smallest[: None if full else 5])
    lines = [
        f"perturbations: {found.singles:,} singles, {found.pairs:,} pairs{larger}",
        f"conditions: {spread.groups:,} with {spread.smallest:,} / {spread.median:,.0f} / {spread.largest:,} cells "
        "(smallest / median / largest)",
        f"smallest: {smallest}" if smallest else "",
        f"control cells: {found.controls:,}",
    ]
    if found.batches.groups:
        spread = found.batches
        lines.append(
            f"batches: {spread.groups:,} with {spread.smallest:,} / {spread.median:,.0f} / {spread.largest:,} cells"
        )
    alone = found.unmatched if full else found.unmatched[:SHOWN]
    if alone:
        lines.append("without controls: " + ", ".join(f"{c or 'screen'} in batch {b} ({n:,})" for c, b, n in alone))
    return lines


def _print_contexts(console: "Console", found: Overview, full: bool) -> None:
    from rich.table import Table

    if len(found.contexts) < 2:
        return
    table = Table("context", box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    for column in ("controls", "conditions", "smallest", "median", "largest"):
        table.add_column(column, justify="right")
    table.add_column("mode")
    for one in found.contexts if full else found.contexts[:CONTEXTS]:
        spread = one.conditions
        numbers = (one.controls, spread.groups, spread.smallest, spread.median, spread.largest)
        table.add_row(one.name, *(f"{number:,.0f}" for number in numbers), ", ".join(one.modes))
    console.print()
    console.print(table)
    if len(found.contexts) > CONTEXTS and not full:
        console.print(f"and {len(found.contexts) - CONTEXTS:,} more contexts; --full prints them")


def _genes(one: Inspected, full: bool) -> list[str]:
    names = None if full else 4
    return [
        *_targets(one.found, full),
        f"names of the panel: {described(one.genes.panel, names)}",
        f"names of targets: {described(one.genes.targets, names)}",
        *(_known(each, full) for each in one.known_to),
    ]


def _targets(found: Overview, full: bool) -> list[str]:
    unmeasured = found.outside
    if not unmeasured:
        return [f"all {found.targets:,} targets are in the panel"]
    shown = unmeasured if full else unmeasured[:SHOWN]
    named = ", ".join(shown) + (" ..." if len(shown) < len(unmeasured) else "")
    return [
        f"{len(unmeasured):,} of {found.targets:,} targets are not in the panel: {named}; they can be learnt and "
        "predicted, but whether they were hit cannot be checked in this file"
    ]


def _known(one: KnownTo, full: bool) -> str:
    missing = one.targets_missing if full else one.targets_missing[:5]
    lacking = f"; lacks {', '.join(missing)}{' ...' if len(missing) < len(one.targets_missing) else ''}"
    renamed = f", {one.panel_renamed:,} of them under another name" if one.panel_renamed else ""
    targets = f"{one.targets_found:,} of {one.targets:,} targets{lacking if missing else ''}"
    return f"{one.name}: {one.panel_found:,} of {one.panel:,} panel genes{renamed}, {targets}"
