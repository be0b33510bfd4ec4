"""`pertura inspect`: how a screen is read and why, and what its owner may not know about it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pertura.core.cells import Scale
    from pertura.data.anndata_io import Screen
    from pertura.data.overview import Overview

SHOWN = 10

File = Annotated[Path, typer.Argument(help="An AnnData file (.h5ad), or a dataset.toml made from one.")]
PerturbationColumn = Annotated[
    str | None, typer.Option(help="Column of obs that says which genes are perturbed in a cell.")
]
Controls = Annotated[
    list[str] | None, typer.Option(help="Label of unperturbed cells in that column; give it again for each label.")
]
Separator = Annotated[str | None, typer.Option(help="What stands between genes perturbed together, as + in A+B.")]
GuideSeparator = Annotated[
    str | None, typer.Option(help="What stands before the number of a guide, as _ in A_1; the number is cut off.")
]
HowPerturbed = Annotated[
    str | None, typer.Option(help="How genes are perturbed: activation, interference, knockout, overexpression.")
]
ModeColumn = Annotated[str | None, typer.Option(help="Column of obs that tells the mode, if it differs between cells.")]
ContextColumns = Annotated[
    list[str] | None,
    typer.Option(help="Column that tells cell line or type; give it again to join columns; none for no context."),
]
BatchColumn = Annotated[
    str | None, typer.Option(help="Column that tells the batch: controls are matched in it. none for no batches.")
]
LibrarySizeColumn = Annotated[
    str | None, typer.Option(help="Column with the total counts of each cell over all genes, not the panel alone.")
]
GeneColumn = Annotated[
    str | None, typer.Option(help="Column of var that holds the gene names the labels use. none for row names.")
]
WholeTranscriptome = Annotated[
    bool | None, typer.Option("--whole-transcriptome/--panel-only", help="Whether X holds all genes of a cell or some.")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Where to write down the reading, for later commands to take.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a dataset.toml that describes another file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object in place of tables.")]


def inspect(
    file: File,
    *,
    perturbation_column: PerturbationColumn = None,
    control: Controls = None,
    separator: Separator = None,
    guide_separator: GuideSeparator = None,
    mode: HowPerturbed = None,
    mode_column: ModeColumn = None,
    context_column: ContextColumns = None,
    batch_column: BatchColumn = None,
    library_size_column: LibrarySizeColumn = None,
    gene_column: GeneColumn = None,
    whole_transcriptome: WholeTranscriptome = None,
    output: Output = Path("dataset.toml"),
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Say how a screen is read and why, what it holds, and what to watch; write the reading to dataset.toml."""
    from pertura.data.anndata_io import open_screen
    from pertura.data.manifest import check_target, write_manifest
    from pertura.data.overview import overview

    described = file.suffix == ".toml"
    if not described:
        check_target(output, file, force=force)
    screen = open_screen(
        file,
        perturbation_column=perturbation_column,
        control=control or None,
        separator=separator,
        guide_separator=guide_separator,
        mode=mode,
        mode_column=mode_column,
        context_column=context_column or None,
        batch_column=batch_column,
        library_size_column=library_size_column,
        gene_column=gene_column,
        whole_transcriptome=whole_transcriptome,
    )
    found = overview(screen.cells)
    if not described:
        write_manifest(output, file, screen.reading, force=force)
    written = None if described else output
    if as_json:
        typer.echo(_json(screen, found, written))
    else:
        _print(screen, found, written)


def _json(screen: "Screen", found: "Overview", written: Path | None) -> str:
    import dataclasses
    import json

    from pertura.data.conventions import READING

    content = {
        "file": str(screen.path),
        "facts": dataclasses.asdict(screen.facts),
        "reading": READING.dump_python(screen.reading, mode="json"),
        "screen": dataclasses.asdict(found),
        "notes": list(screen.cells.notes),
        "manifest": None if written is None else str(written),
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _print(screen: "Screen", found: "Overview", written: Path | None) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=False)
    facts = screen.facts
    console.print(f"{screen.path.name}: {found.cells:,} cells x {found.genes:,} genes", style="bold")
    console.print(f"stored {facts.layout} as {facts.dtype}, {facts.density:.1%} of the values are not 0")
    _print_list(console, f"Read as {screen.reading.convention}, because", screen.reading.evidence)
    _print_list(console, f"Scale: {_scale(screen.reading.scale)}", screen.reading.scale.evidence.split("; "))
    _print_conditions(console, found)
    _print_contexts(console, found)
    _print_targets(console, found)
    _print_list(console, "Watch out", (*found.warnings, *screen.cells.notes), style="yellow")
    if written is not None:
        console.print(f"\nwrote {written}; later commands take it in place of the file")


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


def _scale(scale: "Scale") -> str:
    if scale.kind == "counts":
        return "counts"
    import math

    target = f"{scale.target_sum:,.6g} per cell" if scale.target_sum else "an unknown sum per cell"
    names = {math.e: "natural logarithm", 2.0: "logarithm of base 2", 10.0: "logarithm of base 10"}
    base = names.get(scale.log_base, f"base {scale.log_base:g}") if scale.log_base else "a logarithm of unknown base"
    return f"normalised to {target}, {base}"


def _print_conditions(console: "Console", found: "Overview") -> None:
    spread = found.conditions
    sorts = f"{found.singles:,} singles, {found.pairs:,} pairs" + f", {found.larger:,} of more genes" * bool(
        found.larger
    )
    smallest = ", ".join(f"{name} ({size:,})" for name, size in found.smallest[:5])
    lines = [
        f"perturbations: {sorts}",
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
    alone = found.unmatched[:SHOWN]
    if alone:
        lines.append("without controls: " + ", ".join(f"{c or 'screen'} in batch {b} ({n:,})" for c, b, n in alone))
    _print_list(console, "Screen", lines)


def _print_contexts(console: "Console", found: "Overview") -> None:
    from rich.table import Table

    if len(found.contexts) < 2:
        return
    table = Table("context", box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    for column in ("controls", "conditions", "smallest", "median", "largest"):
        table.add_column(column, justify="right")
    table.add_column("mode")
    for one in found.contexts:
        spread = one.conditions
        numbers = (one.controls, spread.groups, spread.smallest, spread.median, spread.largest)
        table.add_row(one.name, *(f"{number:,.0f}" for number in numbers), ", ".join(one.modes))
    console.print()
    console.print(table)


def _print_targets(console: "Console", found: "Overview") -> None:
    if not found.outside:
        _print_list(console, "Targets", [f"all {found.targets:,} targets are in the panel"])
        return
    named = ", ".join(found.outside[:SHOWN]) + (" ..." if len(found.outside) > SHOWN else "")
    _print_list(
        console,
        "Targets",
        [
            f"{len(found.outside):,} of {found.targets:,} are not in the panel: {named}",
            "these can be learnt and predicted, but whether they were hit cannot be checked in this file",
        ],
    )
