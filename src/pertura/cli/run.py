"""`pertura run`: from a recipe or a screen to a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pertura.recipes.recipe import OptionValue, Recipe


def run(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A recipe (demo), a bundled data set (norman-500), an .h5ad, a dataset.toml, or a run's recipe.toml.",
        ),
    ],
    *,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Your own model as package.module:Class, judged against all baselines."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder. Default: runs/NAME.")] = None,
    rule: Annotated[str | None, typer.Option(help="How to split; see `pertura split --help`.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the split rule, as name=value (context=RPE1).")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="A split.json instead of a rule.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.", min=0)] = None,
    emitter: Annotated[
        str | None, typer.Option(help="Cells around a predicted mean: constant, control-shift or resampled.")
    ] = None,
    bootstrap: Annotated[int | None, typer.Option(help="Draws behind each interval.", min=20)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and compute nothing.")] = False,
) -> None:
    """Fit, predict, evaluate, compare, report. An interrupted run goes on with `pertura run FOLDER/recipe.toml`."""
    from dataclasses import replace

    from pertura.recipes.recipe import read_recipe

    resumed = Path(what).name == "recipe.toml"
    changes: dict[str, object] = {
        name: value
        for name, value in (("rule", rule), ("seed", seed), ("emitter", emitter), ("bootstrap", bootstrap))
        if value is not None
    }
    if option:
        changes["options"] = _options(option)
    if split is not None:
        changes["split"] = str(split.resolve())
    own = tuple(model or ())
    if resumed:
        recipe, folder = read_recipe(Path(what)), output or Path(what).parent
        _refuse_changes(recipe, changes, own)
    else:
        recipe = replace(_recipe(what, own, rule, split), **changes)  # type: ignore[arg-type]
        folder = output or Path("runs") / recipe.name
    if dry_run:
        from pertura.recipes.plan import plan

        typer.echo(plan(recipe, folder, trusted=own))
        return
    _run(recipe, folder, own)


def _run(recipe: "Recipe", folder: Path, own: tuple[str, ...]) -> None:
    from pertura.cli.interruption import Interrupted
    from pertura.cli.progress import narrated
    from pertura.recipes.report import summary_text, write_report
    from pertura.recipes.run import run as run_recipe

    try:
        with narrated() as narrator:
            screens = run_recipe(recipe, folder, trusted=own, narrator=narrator)
            narrator.note("writing the report")
            report = write_report(screens)
    except Interrupted:
        again = f"pertura run {folder / 'recipe.toml'}" + "".join(f" --model {one}" for one in own)
        typer.echo(f"interrupted; finished steps are kept. Go on with:\n  {again}", err=True)
        raise
    typer.echo(summary_text(screens))
    typer.echo(f"\nreport: {report}")


def _recipe(what: str, own: tuple[str, ...], rule: str | None, split: Path | None) -> "Recipe":
    from pertura.data.datasets import DATASETS
    from pertura.recipes.table import RECIPES, baselines, with_models

    if what in RECIPES:
        return with_models(RECIPES[what](), own)
    data = what if what in DATASETS else str(Path(what).resolve())
    name = what if what in DATASETS else Path(what).stem
    return with_models(baselines(data, name=name), own)


def _options(texts: list[str]) -> dict[str, "OptionValue"]:
    from pertura.core.errors import UsageError

    found: dict[str, OptionValue] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise UsageError(f"--option {text}: write it as name=value")
        found[name.replace("-", "_")] = _value(value)
    return found


def _value(text: str) -> "OptionValue":
    """Read a number or a yes/no where the text is one."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _refuse_changes(recipe: "Recipe", changes: dict[str, object], own: tuple[str, ...]) -> None:
    from pertura.core.errors import UsageError

    changed = [name for name, value in changes.items() if getattr(recipe, name) != value]
    if changed or not set(own) <= set(recipe.models):
        what = ", ".join(changed) or "its models"
        raise UsageError(f"a recipe.toml says all of its run; to change {what}, start a new run with -o elsewhere")
