"""`pertura design`: the next batch of perturbations, and how many cells each needs."""

from pathlib import Path
from typing import Annotated

import typer

from pertura.cli.screen import (
    Against,
    Context,
    Controls,
    Genes,
    Group,
    Members,
    Mode,
    Model,
    ProgrammeText,
    Refit,
    Seed,
    Singles,
    StatisticName,
    Target,
    Way,
)

MOST_ROWS = 48
Budget = Annotated[int, typer.Option(help="How many perturbations the batch has.", min=1)]
Explore = Annotated[float, typer.Option(help="Weight of the ensemble's spread against the predicted gain.", min=0)]
Diversity = Annotated[float, typer.Option(help="Weight of likeness to what is already in the batch.", min=0)]
Rounds = Annotated[int, typer.Option(help="Simulated rounds on the measured screen.", min=1, max=50)]
RoundSize = Annotated[
    int, typer.Option("--round-size", help="Conditions of a simulated round. Default: a twelfth of the screen.", min=0)
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")]


def design(
    *,
    output: Output,
    model: Model = None,
    controls: Controls = None,
    context: Context = None,
    mode: Mode = None,
    programme: ProgrammeText = None,
    target: Target = None,
    target_group: Group = None,
    target_against: Against = None,
    statistic: StatisticName = None,
    direction: Way = None,
    singles: Singles = None,
    candidates: Genes = None,
    members: Members = None,
    refit: Refit = None,
    seed: Seed = None,
    budget: Budget = 48,
    explore: Explore = 0.5,
    diversity: Diversity = 0.5,
    rounds: Rounds = 4,
    round_size: RoundSize = 0,
) -> None:
    """Choose the next batch for goal, uncertainty and diversity; say how that fares against random and top-k."""
    import shutil

    from pertura.cli.progress import narrated
    from pertura.core.errors import UsageError
    from pertura.recipes.screening_run.asked import Designed
    from pertura.recipes.screening_run.asking import question
    from pertura.recipes.screening_run.designing import batch_table, power_rows, rounds_table, sentence
    from pertura.recipes.screening_run.designing import design as run_design
    from pertura.report.tables import to_text

    given = {
        "model": model,
        "controls": controls,
        "context": context,
        "mode": mode,
        "programme": programme,
        "target": target,
        "target_group": target_group,
        "target_against": target_against,
        "statistic": statistic,
        "direction": direction,
        "kind": None if singles is None else ("singles" if singles else "pairs"),
        "candidates": candidates,
        "members": members,
        "refit": refit,
        "seed": seed,
    }
    if output.exists() and not output.is_dir():
        raise UsageError(f"-o {output}: this is a file; name a folder")
    asked = question({name: one for name, one in given.items() if one is not None})
    designed = Designed(budget=budget, explore=explore, diversity=diversity, rounds=rounds, batch=round_size)
    with narrated() as narrator:
        made = run_design(asked, designed, output, narrator=narrator)
    width = shutil.get_terminal_size((160, 24)).columns
    typer.echo(to_text(batch_table(made, MOST_ROWS), width))
    if made.rounds:
        typer.echo(to_text(rounds_table(made.rounds), width))
    typer.echo(to_text(power_rows(made), width))
    for line in (sentence(made), *(f"note: {text}" for text in made.notes)):
        typer.echo(line)
    typer.echo(f"\nreport: {output / 'report.html'}")
