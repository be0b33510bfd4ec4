"""`pertura predict`: what somebody's cells become when genes are perturbed, and how far to trust it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from pertura.recipes.predicting.predicting import Predictions

HELP_MODEL = (
    "A run folder (its leading model), RUN/models/NAME, a folder of a fitted or published model, or a hub name "
    "org/name@revision; a second one is asked the same, for the plot."
)
Models = Annotated[list[str], typer.Option("--model", help=HELP_MODEL)]
ControlsFile = Annotated[
    Path | None,
    typer.Option(
        "--controls",
        help="An .h5ad with your control cells; of a labelled screen, or a data set by name, its controls.",
    ),
]
Perturb = Annotated[
    list[str] | None, typer.Option("--perturb", help="POU3F2, or SAMD1+ZBTB1 for two genes at once; repeatable.")
]
Part = Annotated[
    Literal["train", "valid", "test"] | None,
    typer.Option("--part", help="In place of controls: this part of the run's split, beside what was observed."),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The .h5ad to write.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="A figure of the 20 genes that change most (.png, .pdf).")]
TablePath = Annotated[Path | None, typer.Option("--table", help="All genes, ranked, as CSV.")]
ModeName = Annotated[
    str | None, typer.Option("--mode", help="How genes are perturbed. Default: as the model learnt it.")
]
Context = Annotated[
    str | None, typer.Option(help="The cell line of the controls; chooses one where there are several.")
]
AllCells = Annotated[bool, typer.Option("--all-cells", help="Every cell of the file is a control.")]
Most = Annotated[int | None, typer.Option("--cells", help="Use so many controls, chosen by name.", min=1)]
Missing = Annotated[
    Literal["mask", "refuse"],
    typer.Option(help="Genes of the model's panel that the controls lack: leave them out, or refuse."),
]
AtOnce = Annotated[
    int | None, typer.Option("--genes-at-once", help="Ask a network in parts of so many genes, for less memory.", min=1)
]
Emitter = Annotated[str, typer.Option(help="Cells around an answer that is a mean.")]
Seed = Annotated[int, typer.Option(help="Decides every random choice.", min=0)]
Device = Annotated[str, typer.Option(help="cpu, or cuda for a GPU.")]
GeneColumn = Annotated[str | None, typer.Option(help="Column of var with gene symbols.")]
ControlLabel = Annotated[list[str] | None, typer.Option("--control", help="How the file spells control.")]
LabelColumn = Annotated[str | None, typer.Option("--perturbation-column", help="Column of obs with the labels.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check all, say what to expect and what it takes; no answer.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]


def predict(
    *,
    model: Models,
    controls: ControlsFile = None,
    perturb: Perturb = None,
    part: Part = None,
    output: Output = Path("predicted.h5ad"),
    plot: Plot = None,
    table: TablePath = None,
    mode: ModeName = None,
    context: Context = None,
    all_cells: AllCells = False,
    most: Most = None,
    missing: Missing = "mask",
    genes_at_once: AtOnce = None,
    emitter: Emitter = "control-shift",
    seed: Seed = 0,
    device: Device = "cpu",
    gene_column: GeneColumn = None,
    control: ControlLabel = None,
    perturbation_column: LabelColumn = None,
    dry_run: DryRun = False,
    force: Force = False,
) -> None:
    """Predict perturbed cells from control cells: a cell for each control, genes ranked, and what to expect.

    Row i of a block belongs to row i of the controls. What a model cannot be asked is refused; what makes an answer
    doubtful is said for each perturbation, in words.
    """
    from pertura.core.errors import UsageError
    from pertura.core.perturbation import Mode
    from pertura.recipes.predicting.answering import Manner
    from pertura.recipes.predicting.controls import ControlsWish, controls_from_file
    from pertura.recipes.predicting.models import opened_model
    from pertura.recipes.predicting.plotting import check_figure
    from pertura.recipes.predicting.predicting import Ask, predictions
    from pertura.recipes.predicting.writing import check_output

    check_output(output, force=force or dry_run)
    if plot is not None:
        check_figure(plot)
    if (controls is None) == (part is None):
        raise UsageError("give your --controls and what to --perturb, or a --part of the run's split")
    if mode is not None and mode not in set(Mode):
        raise UsageError(f"--mode {mode}: one of {', '.join(Mode)}")
    manner = Manner(seed=seed, missing=missing, genes_at_once=genes_at_once, emitter=emitter, device=device)
    papers = (output, plot, table)
    if part is not None:
        _part(model, part, tuple(perturb or ()), manner, papers, dry_run=dry_run)
        return
    flags = {"gene_column": gene_column, "control": control or None, "perturbation_column": perturbation_column}
    wish = ControlsWish(context=context, all_cells=all_cells, most=most, flags=_given(flags))
    ask = Ask(perturbations=tuple(perturb or ()), mode=None if mode is None else Mode(mode), manner=manner)
    opened = [opened_model(one) for one in model]
    assert controls is not None
    made = predictions(opened, controls_from_file(controls, wish), ask)
    _tell(made, manner)
    if dry_run:
        typer.echo("nothing was predicted or written; leave out --dry-run to start")
        return
    _write(made, papers)


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in flags.items() if one is not None}


def _tell(made: "Predictions", manner: Any) -> None:
    """Say before anything is computed what will be asked, what to expect of it, and what it takes."""
    from pertura.prediction.domain import told
    from pertura.recipes.predicting.predicting import memory_of

    for note in made.notes:
        typer.echo(f"note: {note}")
    for one in made.answers:
        cells, genes = one.controls.expression.shape
        members = f", mean of {len(one.members)} seeds" if len(one.members) > 1 else ""
        typer.echo(f"{one.model.name}{members}: {len(made.labels)} x {cells:,} cells x {genes:,} genes")
        for note in one.notes:
            typer.echo(f"note: {note}")
        typer.echo("\n".join(told(list(one.checks.values()))))
    typer.echo(f"memory: about {memory_of(made, manner) / 2**30:.1f} GiB")


def _write(made: "Predictions", papers: tuple[Path, Path | None, Path | None]) -> None:
    from pertura.core.atomic import write_text
    from pertura.recipes.predicting.plotting import numbers_beside, write_predictions_figure
    from pertura.recipes.predicting.summary import gene_table
    from pertura.recipes.predicting.writing import write_answers

    output, plot, table = papers
    write_answers(output, made)
    typer.echo(f"wrote {output}: {len(made.labels)} perturbations of {len(made.first.controls):,} controls")
    negative = sum(one.negative for one in made.summaries())
    if negative:
        typer.echo(f"note: {negative:,} predicted values below zero were set to zero")
    if table is not None:
        write_text(table, gene_table(made.summaries()).to_csv(index=False, float_format="%.7g"))
        typer.echo(f"wrote {table}: every gene, ranked")
    if plot is not None:
        for note in write_predictions_figure(plot, made):
            typer.echo(note)
        typer.echo(f"wrote {plot} and {numbers_beside(plot).name}")


def _part(
    models: list[str],
    part: Literal["train", "valid", "test"],
    perturb: tuple[str, ...],
    manner: Any,
    papers: tuple[Path, Path | None, Path | None],
    *,
    dry_run: bool,
) -> None:
    from pertura.recipes.predicting.models import opened_model
    from pertura.recipes.predicting.part import part_of, write_part

    made = part_of([opened_model(one) for one in models], part, perturb, manner)
    typer.echo("\n".join(made.lines))
    if dry_run:
        typer.echo("nothing was predicted or written; leave out --dry-run to start")
        return
    for line in write_part(made, *papers):
        typer.echo(line)
