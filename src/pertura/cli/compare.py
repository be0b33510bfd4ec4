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
    priors: Annotated[bool, typer.Option("--priors", help="Only whether priors help, on every stratum.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the whole table as CSV.")] = None,
) -> None:
    """Compare models judged on the same conditions, with paired differences and their intervals."""
    from pertura.comparison.compare import compare as compare_scores
    from pertura.comparison.compare import comparison_table
    from pertura.comparison.priors import prior_question, prior_table
    from pertura.core.atomic import write_text
    from pertura.core.errors import UsageError
    from pertura.recipes.prior_question import question_text
    from pertura.recipes.report import comparison_text
    from pertura.recipes.runs import scores_of_runs

    scores = scores_of_runs(runs)
    if metric is not None and metric not in scores[0].metrics:
        raise UsageError(f"--metric {metric}: the runs have {', '.join(scores[0].metrics)}")
    made = compare_scores(scores, subject=subject, metric=metric)
    question = prior_question(scores, made.metric)
    if priors and question is None:
        raise UsageError("--priors: no model of these runs has a prior; `pertura run DATA --prior go-c` adds some")
    if not priors:
        typer.echo(comparison_text(made))
    if question is not None:
        typer.echo(question_text(question, made.subset, strata=priors))
    if output is not None:
        table = prior_table(question) if priors and question is not None else comparison_table(made)
        write_text(output, table.to_csv(index=False))
        typer.echo(f"wrote {output}")
