"""`pertura prior control` and `pertura prior combine`: priors that know less, and priors that know more."""

from pathlib import Path
from typing import Annotated, Literal

import typer

File = Annotated[Path, typer.Argument(help="A prior of pertura, a table by scGPT token, a pickle or a .pt file.")]
Files = Annotated[list[Path], typer.Argument(help="Two priors or more.")]
Kind = Annotated[
    Literal["permuted", "random", "random-global", "ablated"],
    typer.Option(
        help="permuted: rows exchanged among genes. random: numbers with each row's mean and spread. "
        "random-global: with those of the table. ablated: a share of the genes taken away."
    ),
]
Seed = Annotated[int, typer.Option(help="Equal seeds give equal controls.", min=0, max=2**32 - 1)]
Share = Annotated[float | None, typer.Option(help="Which part of the genes `ablated` takes away.", min=0.0, max=1.0)]
How = Annotated[
    Literal["concat", "mean"], typer.Option(help="Vectors side by side, or their mean (of equal widths only).")
]
Genes = Annotated[
    Literal["union", "intersection"], typer.Option(help="Genes that any of the priors has, or that all have.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The safetensors file to write.")]


def control(file: File, *, kind: Kind, seed: Seed = 1, share: Share = None, output: Output) -> None:
    """Make a prior that knows less: its rows shuffled, random, or fewer. Use it wherever the prior is used."""
    from pertura.core.errors import UsageError
    from pertura.priors.controls import CONTROLS
    from pertura.priors.opening import open_prior
    from pertura.priors.store import save_prior

    if (share is None) == (kind == "ablated"):
        raise UsageError("--share goes with --kind ablated" + (", which needs it" if kind == "ablated" else " only"))
    _check_output(output)
    prior = open_prior(file)
    made = CONTROLS[kind](prior, seed, share or 0.0)
    save_prior(made, output)
    _tell_size(made.name, len(made.genes), made.table.shape[1])
    if len(made.genes) < len(prior.genes):
        typer.echo(f"taken away: {len(prior.genes) - len(made.genes):,} of {len(prior.genes):,} genes")
    typer.echo(f"wrote {output}")


def combine(files: Files, *, how: How = "concat", genes: Genes = "union", output: Output) -> None:
    """Make one prior of several, and say how many genes each of them lacked."""
    from pertura.priors.combine import combine as combined
    from pertura.priors.combine import lacking
    from pertura.priors.opening import open_prior
    from pertura.priors.store import save_prior

    _check_output(output)
    priors = [open_prior(one) for one in files]
    made = combined(priors, how, genes=genes)
    save_prior(made, output)
    _tell_size(made.name, len(made.genes), made.table.shape[1])
    filled = "zeros in its place" if how == "concat" else "the mean of the others"
    for prior, missing in zip(priors, lacking(priors, made.genes)):
        lost = len(set(prior.genes) - set(made.genes))
        more = (f"; {missing:,} genes have {filled}" if missing else "") + (
            f"; {lost:,} genes left out" if lost else ""
        )
        typer.echo(f"{prior.name}: {len(prior.genes):,} genes x {prior.table.shape[1]}{more}")
    typer.echo(f"wrote {output}")


def _check_output(output: Path) -> None:
    from pertura.core.errors import UsageError

    if output.is_dir():
        raise UsageError(f"-o {output}: this is a folder; name a file")


def _tell_size(name: str, genes: int, width: int) -> None:
    typer.echo(f"{name}: {genes:,} genes x {width}")
