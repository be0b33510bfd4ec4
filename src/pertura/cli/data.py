"""`pertura data`: the screens that can be had by name, and making published ones known."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pertura.data.datasets.declared import Declared

Action = Annotated[Literal["list", "add"], typer.Argument(help="list (the default), or add NAME FILE.")]
Name = Annotated[str | None, typer.Argument(help="For add: norman, adamson or replogle.")]
File = Annotated[Path | None, typer.Argument(help="For add: the published .h5ad or .zarr; it is not copied.")]


def data(action: Action = "list", name: Name = None, file: File = None) -> None:
    """List the data sets that have a name; make the file of a published one known."""
    from pertura.core.errors import UsageError

    if action == "list":
        if name is not None:
            raise UsageError("list takes no name; to make a file known: pertura data add NAME FILE")
        show()
        return
    if name is None or file is None:
        raise UsageError("add takes a name and a file: pertura data add NAME FILE")
    add(name, file)


def show() -> None:
    """Print bundled and published data sets with modes, licence and source, and which of the latter are known here."""
    from pertura.data.datasets import DATASETS
    from pertura.data.datasets.declared import DECLARED

    typer.echo("Bundled\n")
    for entry in DATASETS.values():
        typer.echo(f"{entry.name}\n  {entry.description}\n  mode: {', '.join(entry.modes)} · {entry.licence}")
        typer.echo(f"  {entry.source}\n")
    typer.echo("Published; each is used by name once its file is made known\n")
    for declared in DECLARED.values():
        typer.echo(f"{declared.name}\n  {declared.description}\n  mode: {declared.mode}\n  {_state(declared)}")
        typer.echo("".join(f"  note: {line}\n" for line in declared.told))


def _state(declared: "Declared") -> str:
    from pertura.core.errors import PerturaError
    from pertura.data.datasets.remembered import remembered
    from pertura.data.manifest import data_path, read_manifest

    try:
        place = remembered(declared.name)
        return f"known: {data_path(place, read_manifest(place))}"
    except PerturaError as error:
        return str(error)


def add(name: str, file: Path) -> None:
    """Check that a file is a published screen, and remember where it is."""
    from pertura.core.errors import UsageError
    from pertura.data.conventions import nearest
    from pertura.data.datasets.declared import DECLARED
    from pertura.data.datasets.declared_check import check
    from pertura.data.datasets.remembered import remember
    from pertura.data.stores import SUFFIXES

    if name not in DECLARED:
        raise UsageError(f"no published data set {name!r}{nearest(name, DECLARED)}")
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{file}: give the .h5ad itself, or its .zarr")
    declared = DECLARED[name]
    checked = check(file, declared)
    cells = checked.screen.cells
    typer.echo(f"{file}: {len(cells):,} cells x {len(cells.genes):,} genes, {len(cells.perturbed):,} conditions")
    for line in checked.differences:
        typer.echo(f"differs: {line}")
    if not checked.differences:
        typer.echo("shape, columns and conditions are as declared")
    for line in declared.told:
        typer.echo(f"note: {line}")
    place = remember(name, checked.screen)
    typer.echo(f"remembered in {place}; `pertura inspect {name}` and `pertura run {name}` find it now")
