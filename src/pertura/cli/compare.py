"""`pertura compare`: models of one or several runs, or prediction files of any model, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pertura.comparison.compare import Comparison
    from pertura.recipes.foreign.asked import Asked
    from pertura.recipes.foreign.files import Files, Reading


def compare(
    what: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders, folders of `pertura evaluate`, or prediction files (.h5ad, .zarr, .csv, .parquet).",
            metavar="RUN|FILE...",
        ),
    ],
    *,
    observed: Annotated[Path | None, typer.Option(help="For prediction files: observed cells (.h5ad, .zarr).")] = None,
    train: Annotated[
        Path | None, typer.Option(help="For prediction files: train cells (.h5ad, .zarr) to fit baselines on.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="For prediction files: a split.json with strata.")] = None,
    perturbation_column: Annotated[str | None, typer.Option(help="Column of obs that names the perturbation.")] = None,
    control: Annotated[str | None, typer.Option(help="How control is spelled there.")] = None,
    context_column: Annotated[str | None, typer.Option(help="Column of obs that names cell line or type.")] = None,
    mode: Annotated[str | None, typer.Option(help="How the genes were perturbed.")] = None,
    effort: Annotated[str, typer.Option(help="For prediction files: less, normal or more draws.")] = "normal",
    seed: Annotated[int, typer.Option(help="Decides every random choice.", min=0, max=2**32 - 1)] = 1,
    metric: Annotated[
        str | None, typer.Option(help="The metric to compare by. Default: the preset's headline.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="The model the sentence is about. Default: the strongest.")
    ] = None,
    priors: Annotated[bool, typer.Option("--priors", help="Only whether priors help, on every stratum.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the whole table as CSV; of files, a folder of scores.")
    ] = None,
) -> None:
    """Compare models judged on the same conditions, with paired differences and their intervals.

    Prediction files are judged on the conditions that all of them predict; no-change and the leave-one-out mean are
    added to them, and with --train every baseline.
    """
    from pertura.core.errors import UsageError
    from pertura.recipes.foreign.asked import Asked
    from pertura.recipes.foreign.comparing import are_predictions
    from pertura.recipes.foreign.files import Files, Reading

    reading = Reading(perturbation_column, control, context_column, mode)
    beside = Files(what[0], observed, train, split=split)
    if are_predictions(what):
        if priors:
            raise UsageError("--priors: prediction files do not say which prior was used; give run folders")
        _compare_files(what, (beside, reading, Asked(effort=effort, seed=seed)), (metric, subject), output)
        return
    if observed is not None or train is not None or split is not None or reading.flags:
        raise UsageError("--observed, --train, --split and how files are read go with prediction files, not with runs")
    _compare_runs(what, (metric, subject), priors, output)


def _compare_files(
    what: list[Path],
    given: tuple["Files", "Reading", "Asked"],
    asked: tuple[str | None, str | None],
    output: Path | None,
) -> None:
    from dataclasses import replace

    from pertura.cli.progress import narrated
    from pertura.comparison.compare import compare as compare_scores
    from pertura.core.errors import UsageError
    from pertura.recipes.foreign.comparing import compare_files
    from pertura.recipes.foreign.evaluating import write_judgement
    from pertura.recipes.foreign.page import write_page
    from pertura.recipes.report import comparison_text

    beside, reading, work = given
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"-o {output}: this is a file; name a folder")
    with narrated() as narrator:
        made = compare_files(what, beside, reading, work, narrator)
    metric, subject = asked
    if metric is not None or subject is not None:
        _known(metric, made.comparison)
        made = replace(made, comparison=compare_scores(made.comparison.scores, subject=subject, metric=metric))
    typer.echo(comparison_text(made.comparison))
    for text in made.warnings:
        typer.echo(f"warning: {text}")
    if output is not None:
        write_judgement(made, output)
        write_page(made, output)
        typer.echo(f"wrote {output}")


def _known(metric: str | None, comparison: "Comparison") -> None:
    from pertura.core.errors import UsageError

    names = comparison.scores[0].metrics
    if metric is not None and metric not in names:
        raise UsageError(f"--metric {metric}: the runs have {', '.join(names)}")


def _compare_runs(runs: list[Path], asked: tuple[str | None, str | None], priors: bool, output: Path | None) -> None:
    from pertura.comparison.compare import compare as compare_scores
    from pertura.comparison.compare import comparison_table
    from pertura.comparison.priors import prior_question, prior_table
    from pertura.core.atomic import write_text
    from pertura.core.errors import UsageError
    from pertura.models.table import NETWORKS
    from pertura.recipes.prior_question import question_text
    from pertura.recipes.report import comparison_text
    from pertura.recipes.runs import scores_of_runs

    metric, subject = asked
    scores = scores_of_runs(runs)
    if metric is not None and metric not in scores[0].metrics:
        raise UsageError(f"--metric {metric}: the runs have {', '.join(scores[0].metrics)}")
    made = compare_scores(scores, subject=subject, metric=metric)
    question = prior_question(scores, made.metric, networks=NETWORKS)
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
