"""`pertura compare`: models of one or several runs side by side."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, or folders of `pertura evaluate`.", metavar="RUN...")
    ],
    *,
    metric: Annotated[
        str | None, typer.Option(help="The metric to compare by. Default: the preset's headline.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="The model the sentence is about. Default: the strongest.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the whole table as CSV.")] = None,
) -> None:
    """Compare models judged on the same conditions, with paired differences and their intervals."""
    from pertura.comparison.compare import compare as compare_scores
    from pertura.comparison.compare import comparison_table
    from pertura.core.errors import UsageError
    from pertura.data.atomic import write_text
    from pertura.recipes.report import comparison_text
    from pertura.recipes.runs import scores_of_runs

    scores = scores_of_runs(runs)
    if metric is not None and metric not in scores[0].metrics:
        raise UsageError(f"--metric {metric}: the runs have {', '.join(scores[0].metrics)}")
    made = compare_scores(scores, subject=subject, metric=metric)
    typer.echo(comparison_text(made))
    if output is not None:
        write_text(output, comparison_table(made).to_csv(index=False))
        typer.echo(f"wrote {output}")
