"""`pertura evaluate`: what a prediction file is worth."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    *,
    predicted: Annotated[
        Path, typer.Option(help="Predicted cells (.h5ad), of any model. Its layer `truth` may hold the observed ones.")
    ],
    observed: Annotated[Path | None, typer.Option(help="Observed cells (.h5ad), controls included.")] = None,
    train: Annotated[
        Path | None, typer.Option(help="Train cells (.h5ad): baselines are fitted on them and shown beside the scores.")
    ] = None,
    perturbation_column: Annotated[str | None, typer.Option(help="Column of obs that names the perturbation.")] = None,
    control: Annotated[str | None, typer.Option(help="How control is spelled there.")] = None,
    context_column: Annotated[str | None, typer.Option(help="Column of obs that names cell line or type.")] = None,
    mode: Annotated[str | None, typer.Option(help="How the genes were perturbed.")] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the predicting model. Default: what the file says, or prediction.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Which metrics.")] = "pertura",
    seed: Annotated[int, typer.Option(help="Decides every random choice.", min=0, max=2**32 - 1)] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the scores.")] = Path("evaluation"),
) -> None:
    """Score a prediction file, with floor, permuted labels, ceiling and intervals beside every number.

    Predicted and observed changes are taken from disjoint halves of the control cells.
    """
    from pertura.core.errors import UsageError
    from pertura.recipes.foreign import Files, Reading, evaluate_files
    from pertura.recipes.report import comparison_text

    if out.exists() and not out.is_dir():
        raise UsageError(f"-o {out}: this is a file; name a folder")
    reading = Reading(perturbation_column, control, context_column, mode)
    made = evaluate_files(Files(predicted, observed, train, name), reading, out, preset=preset, seed=seed)
    typer.echo(comparison_text(made.comparison))
    for text in made.warnings:
        typer.echo(f"warning: {text}")
    typer.echo(f"\nwrote {out}")
