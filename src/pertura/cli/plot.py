"""`pertura plot`: figures for print, with their numbers beside them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

HELP = """Draw figures for print from a finished run, each with its numbers as CSV beside it.

\b
  pertura plot compare runs/demo -o fig1.pdf
  pertura plot strata  runs/demo -o fig2.pdf --metric mse
  pertura plot delta   runs/demo -o fig3.pdf --model ridge --model additive
  pertura plot delta   runs/demo -o fig4.svg --condition pooled
  pertura plot top20   runs/demo -o fig5.pdf --condition KLF1+SET
  pertura plot top20   runs/demo --list

Widths are 89 and 183 mm. Text stays text in .pdf and .svg; .png has 300 dots per inch. Equal input, equal bytes.
"""

RunWithCells = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a prediction file (.h5ad).")]
RunWithScores = Annotated[
    Path, typer.Argument(metavar="RUN", help="A folder that `pertura run` or `pertura evaluate` wrote.")
]
Conditions = Annotated[
    list[str] | None, typer.Option("--condition", help="A condition, as KLF1 or KLF1+SET; repeatable.")
]
ConditionsOrPooled = Annotated[
    list[str] | None,
    typer.Option("--condition", help="A condition, as KLF1 or KLF1+SET; repeatable. pooled: all in one chart."),
]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="A metric; repeatable. Default: one of each kind.")]
Metric = Annotated[str | None, typer.Option(help="The metric. Default: the preset's headline.")]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="A model; repeatable. Default: the one that heads the comparison.")
]
AllModels = Annotated[
    list[str] | None, typer.Option("--model", help="A model; repeatable. Default: all but controls of priors.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The figure (.pdf, .svg, .png); a .csv goes beside it. Default: KIND.pdf."),
]
Width = Annotated[
    Literal["89", "183"] | None, typer.Option(help="In mm: one or two columns. Default: what the figure needs.")
]
Listing = Annotated[bool, typer.Option("--list", help="List what can be drawn, and draw nothing.")]


def plot_application() -> typer.Typer:
    """Return the application with a command for each kind of figure."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, help=HELP)
    for command in (top20, delta, compare, strata):
        app.command()(command)
    return app


def top20(
    run: RunWithCells,
    *,
    condition: Conditions = None,
    model: Models = None,
    output: Output = None,
    width: Width = None,
    listing: Listing = False,
) -> None:
    """Draw control, observed and predicted expression of the 20 genes with the largest observed change.

    The change is the difference of means that is judged, taken by its size; being chosen by it, these genes changed
    less than they seem to have. Without --condition the one with most cells is drawn.
    """
    _draw("top20", run, {"conditions": condition, "models": model}, (output, width), listing)


def delta(
    run: RunWithCells,
    *,
    condition: ConditionsOrPooled = None,
    model: Models = None,
    output: Output = None,
    width: Width = None,
    listing: Listing = False,
) -> None:
    """Draw predicted against observed change, gene by gene, with r and the floor and ceiling that r is read against.

    Without --condition those with most cells are drawn, as many as fit on a page.
    """
    _draw("delta", run, {"conditions": condition, "models": model}, (output, width), listing)


def compare(
    run: RunWithScores,
    *,
    metric: Metrics = None,
    model: AllModels = None,
    output: Output = None,
    width: Width = None,
    listing: Listing = False,
) -> None:
    """Draw the score of each model in each metric, with interval, permuted labels, floor and ceiling."""
    _draw("compare", run, {"metrics": metric, "models": model}, (output, width), listing)


def strata(
    run: RunWithScores,
    *,
    metric: Metric = None,
    model: AllModels = None,
    output: Output = None,
    width: Width = None,
    listing: Listing = False,
) -> None:
    """Draw the score of each model in each stratum of test, with interval, permuted labels, floor and ceiling."""
    _draw("strata", run, {"metrics": [metric] if metric else None, "models": model}, (output, width), listing)


def _draw(
    kind: str,
    run: Path,
    wanted: dict[str, list[str] | None],
    paper: tuple[Path | None, str | None],
    listing: bool,
) -> None:
    from pertura.recipes.figure_files import Wanted
    from pertura.recipes.figure_files_writing import listed, write_figure

    if listing:
        typer.echo(listed(run))
        return
    output, width = paper
    names: dict[str, Any] = {key: tuple(values or ()) for key, values in wanted.items()}
    made = write_figure(kind, run, Wanted(**names, width_mm=None if width is None else int(width)), output)
    typer.echo(f"wrote {made.figure} ({made.size}) and {made.source.name}")
    for note in made.notes:
        typer.echo(note)
