"""`pertura quality`: did the perturbations of a screen work, and is what they did more than guide, depth or cycle?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pertura.recipes.quality.quality import Quality

MOST_ROWS = 30
Data = Annotated[str, typer.Argument(help="A data set by name, an .h5ad, a .zarr or a dataset.toml.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="A CSV with every number of every condition and guide.")
]
Html = Annotated[Path | None, typer.Option(help="A page with the tables, as one HTML file.")]
GuideColumn = Annotated[
    str | None, typer.Option(help="Column of obs that names the guide of a cell. none to leave guides out.")
]
Permutations = Annotated[int, typer.Option(help="Permutations of each E-test.", min=19)]
Seed = Annotated[int, typer.Option(help="Equal seeds give equal numbers.", min=0, max=2**32 - 1)]
Full = Annotated[bool, typer.Option("--full", help="Print all conditions, and all guides.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


def quality(
    data: Data,
    *,
    output: Output = None,
    html: Html = None,
    guide_column: GuideColumn = None,
    permutations: Permutations = 199,
    seed: Seed = 0,
    full: Full = False,
    force: Force = False,
) -> None:
    """Say of every perturbation and guide what it did: target, cells, genes, guides, depth, cell cycle."""
    from pertura.cli.progress import narrated
    from pertura.core.atomic import write_text
    from pertura.data.preparation.material import open_material
    from pertura.recipes.quality.page import write_page
    from pertura.recipes.quality.quality import Looking
    from pertura.recipes.quality.quality import quality as look
    from pertura.recipes.quality.tables import full_table
    from pertura.report.tables import to_csv

    check_outputs(tuple(one for one in (output, html) if one is not None), force=force)
    looking = Looking(guide_column=guide_column, permutations=permutations, seed=seed)
    with narrated() as narrator:
        found = look(open_material(data, digested=False), looking, narrator.stage)
    _tell(found, full=full)
    if output is not None:
        write_text(output, to_csv(full_table(found)))
        typer.echo(f"wrote {output}")
    if html is not None:
        write_page(found, html)
        typer.echo(f"wrote {html}")


def _tell(found: "Quality", *, full: bool) -> None:
    import shutil

    from pertura.recipes.quality.tables import short_table, summary
    from pertura.report.tables import to_text

    most = None if full else MOST_ROWS
    width = shutil.get_terminal_size((160, 24)).columns
    conditions = found.conditions[:most]
    caption = f"{found.cells.name}: {len(found.conditions):,} conditions"
    caption += "" if len(conditions) == len(found.conditions) else f", the first {len(conditions)}; --full prints all"
    typer.echo(to_text(short_table(conditions, found.cells.contexts, caption), width))
    if full and found.guides:
        typer.echo(to_text(short_table(found.guides, found.cells.contexts, "Guides"), width))
    for line in (*summary(found), *(f"warning: {text}" for text in found.warnings)):
        typer.echo(line)


def check_outputs(outputs: tuple[Path, ...], *, force: bool) -> None:
    """Raise where a file may not be written, before anything is computed."""
    from pertura.core.errors import MissingError, UsageError

    if len({one.absolute() for one in outputs}) < len(outputs):
        raise UsageError("-o and --html name the same file")
    for one in outputs:
        if one.is_dir():
            raise UsageError(f"{one} is a folder; name a file in it")
        if not one.absolute().parent.is_dir():
            raise MissingError(f"{one.absolute().parent}: no such folder")
        if one.exists() and not force:
            raise UsageError(f"{one} is there already; --force replaces it")
