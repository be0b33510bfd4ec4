"""`pertura evaluate`: what a prediction file is worth."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pertura.recipes.foreign.asked import Asked
    from pertura.recipes.foreign.files import Files, Reading

UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
SMALLEST = 64 << 20


def evaluate(
    *,
    predicted: Annotated[
        Path | None,
        typer.Option(
            help="Predicted cells (.h5ad, .zarr), of any model, or a table of means (.csv, .tsv, .parquet). "
            "A layer `truth` in it may hold the observed cells."
        ),
    ] = None,
    observed: Annotated[Path | None, typer.Option(help="Observed cells (.h5ad, .zarr), controls included.")] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="Train cells (.h5ad, .zarr): baselines are fitted on them and shown beside the scores."),
    ] = None,
    split: Annotated[Path | None, typer.Option(help="A split.json: its strata are scored too.")] = None,
    perturbation_column: Annotated[str | None, typer.Option(help="Column of obs that names the perturbation.")] = None,
    control: Annotated[str | None, typer.Option(help="How control is spelled there.")] = None,
    context_column: Annotated[str | None, typer.Option(help="Column of obs that names cell line or type.")] = None,
    mode: Annotated[str | None, typer.Option(help="How the genes were perturbed.")] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the predicting model. Default: what the file says, or prediction.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Which rules: pertura, or those of another evaluator, such as cell-eval-0.8.")
    ] = "pertura",
    skip: Annotated[str | None, typer.Option(help="Metrics to leave out, separated by commas.")] = None,
    template: Annotated[
        Path | None, typer.Option(help="Write the skeleton of a prediction file for --observed, and stop.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="How many cores. Default: all there are.", min=1)] = None,
    memory: Annotated[str, typer.Option(help="Memory to work in beyond the cells, such as 4GiB.")] = "4GiB",
    device: Annotated[str, typer.Option(help="Where distances between cells are taken: cpu or cuda.")] = "cpu",
    effort: Annotated[
        str, typer.Option(help="How much work goes into what stands beside the numbers: less, normal or more.")
    ] = "normal",
    seed: Annotated[int, typer.Option(help="Decides every random choice.", min=0, max=2**32 - 1)] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the scores.")] = Path("evaluation"),
) -> None:
    """Score a prediction file, with references, permuted labels, ceiling and intervals beside every number.

    Preset pertura takes predicted and observed changes from disjoint halves of the control cells; the presets of other
    evaluators keep their one pool of controls, and show how much it inflates.
    """
    from pertura.core.errors import UsageError
    from pertura.recipes.foreign.asked import Asked
    from pertura.recipes.foreign.files import Files, Reading

    reading = Reading(perturbation_column, control, context_column, mode)
    if template is not None:
        _template(template, observed, split, reading, (preset, seed))
        return
    if predicted is None:
        raise UsageError("give --predicted FILE, or --template OUT.h5ad to write the skeleton of one")
    if out.exists() and not out.is_dir():
        raise UsageError(f"-o {out}: this is a file; name a folder")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device {device}: cpu or cuda")
    files = Files(predicted, observed, train, name, split)
    left_out = frozenset(one.strip() for one in (skip or "").split(",") if one.strip())
    asked = Asked(preset, left_out, byte_count(memory), threads, device, effort, seed)
    typer.echo(_judged(files, reading, asked, out))
    typer.echo(f"\nwrote {out}")


def _judged(files: "Files", reading: "Reading", asked: "Asked", out: Path) -> str:
    """Judge and write; return what to print."""
    from pertura.cli.progress import narrated
    from pertura.evaluation.presets import PRESETS

    with narrated() as narrator:
        if asked.preset in PRESETS:
            from pertura.recipes.foreign.evaluating import evaluate_files
            from pertura.recipes.foreign.page import write_page as write_own_page
            from pertura.recipes.report import comparison_text

            made = evaluate_files(files, reading, out, asked=asked, narrator=narrator)
            write_own_page(made, out)
            return "\n".join([comparison_text(made.comparison), *(f"warning: {text}" for text in made.warnings)])
        from pertura.recipes.foreign.compatible import ask_files
        from pertura.recipes.foreign.compatible_files import write_answers
        from pertura.recipes.foreign.compatible_page import answer_text, write_page

        answers = ask_files(files, reading, asked, narrator)
        narrator.note("writing")
        write_answers(answers, out)
        write_page(answers, out)
        return answer_text(answers)


def _template(out: Path, observed: Path | None, split: Path | None, reading: "Reading", rules: tuple[str, int]) -> None:
    from pertura.core.errors import UsageError
    from pertura.recipes.foreign.skeletons import skeleton

    if observed is None:
        raise UsageError("--template: give --observed FILE, whose genes, conditions and controls it takes")
    made = skeleton(observed, out, reading, split=split, rules=rules)
    typer.echo(
        f"wrote {out}: {made.cells:,} cells of {made.labels:,} labels to fill in, {made.controls:,} control cells, "
        f"{made.genes:,} genes"
    )


def byte_count(text: str) -> int:
    """Return a size such as 4GiB, 500M or 2e9 in bytes."""
    from pertura.core.errors import UsageError

    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([KMGT]?)(?:i?B)?\s*", text, flags=re.IGNORECASE)
    try:
        size = int(float(found[1]) * (1 << UNITS[found[2].upper()])) if found else 0
    except ValueError:
        size = 0
    if size < SMALLEST:
        raise UsageError(f"--memory {text}: a size of at least 64MiB, such as 4GiB")
    return size
