"""`pertura import`: from the folders that instruments leave to a screen that reads by itself."""

from pathlib import Path
from typing import Annotated

import typer

Folders = Annotated[
    list[Path], typer.Argument(help="Folders outs of cellranger (matrix and called guides); several are joined.")
]
GuideTable = Annotated[Path, typer.Option("--guides", help="CSV or TSV with a guide and its gene in each line.")]
Mode = Annotated[
    str | None, typer.Option(help="How genes are perturbed: activation, interference, knockout, overexpression.")
]
Pairs = Annotated[
    bool, typer.Option("--pairs", help="The screen is made of pairs: two genes in a cell are no doublet.")
]
Controls = Annotated[
    list[str] | None, typer.Option("--control", help="How the gene column writes control; give it for each spelling.")
]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option("--leave-out", help="An entry of the gene column whose cells to leave out; repeatable."),
]
GuideColumn = Annotated[str | None, typer.Option(help="Column of the guide table that holds the guide.")]
GeneColumn = Annotated[str | None, typer.Option(help="Column of the guide table that holds the gene.")]
Assignments = Annotated[
    list[Path] | None, typer.Option(help="Guides of each cell by another tool (CSV, TSV), for each folder or for all.")
]
AssignmentColumn = Annotated[str | None, typer.Option(help="Column of that table with the guide, or several as A|B.")]
Batches = Annotated[list[str] | None, typer.Option("--batch", help="What to call each folder, in their order.")]
Contexts = Annotated[
    list[str] | None, typer.Option("--context", help="Cell line or type: once for all folders, or once for each.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The .h5ad to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object in place of text.")]


def import_application() -> typer.Typer:
    """Return the application with a command for each kind of folder."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, help="Make one .h5ad of what an instrument left.")
    app.callback()(_imports)
    app.command("10x")(tenx)
    return app


def _imports() -> None:
    """Make one .h5ad of what an instrument left."""


def tenx(
    folders: Folders,
    *,
    guides: GuideTable,
    mode: Mode = None,
    pairs: Pairs = False,
    control: Controls = None,
    leave_out: LeaveOut = None,
    guide_column: GuideColumn = None,
    gene_column: GeneColumn = None,
    assignments: Assignments = None,
    assignment_column: AssignmentColumn = None,
    batch: Batches = None,
    context: Contexts = None,
    output: Output = Path("screen.h5ad"),
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Join counts, called guides and their genes into one .h5ad; say what became of every cell."""
    from pertura.core.errors import UsageError
    from pertura.core.perturbation import Mode as Modes
    from pertura.data.imports.guides import GuideReading
    from pertura.data.imports.screen import Wish, check_output, import_tenx, write_screen

    if mode is not None and mode not in set(Modes):
        raise UsageError(f"--mode {mode}: one of {', '.join(Modes)}")
    check_output(output, force=force)
    reading = GuideReading(
        controls=tuple(control or ()),
        left_out=tuple(leave_out or ()),
        guide_column=guide_column,
        gene_column=gene_column,
        pairs=pairs,
    )
    wish = Wish(
        guides=guides,
        reading=reading,
        mode=None if mode is None else Modes(mode),
        assignments=tuple(assignments or ()),
        assignment_column=assignment_column,
        batches=tuple(batch or ()),
        contexts=tuple(context or ()),
    )
    imported = import_tenx(folders, wish)
    write_screen(imported, output, force=force)
    if as_json:
        typer.echo(imported.summary.as_json())
        return
    for title, lines in imported.summary.sections:
        typer.echo("\n".join((title, *(f"  - {line}" for line in lines), "")))
    typer.echo(f"wrote {output}; look at it with `pertura inspect {output}`")
