"""`pertura data`: what comes with the package."""

import typer


def data() -> None:
    """List the bundled data sets with modes, licence and source."""
    from pertura.data.datasets import DATASETS

    for entry in DATASETS.values():
        typer.echo(f"{entry.name}\n  {entry.description}\n  mode: {', '.join(entry.modes)} · {entry.licence}")
        typer.echo(f"  {entry.source}\n")
