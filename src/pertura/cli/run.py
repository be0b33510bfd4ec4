"""`pertura run`: from a recipe or a screen to a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pertura.recipes.recipe import Recipe

MOST_SEED = 2**32 - 1


def run(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A recipe (demo), a data set by name (norman-500), an .h5ad, a dataset.toml, or a run's recipe.toml.",
        ),
    ],
    *,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Your own model as package.module:Class, judged against all baselines."),
    ] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option("--prior", help="A prior to ask whether it helps: a bundled source (go-c) or a file; repeatable."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder. Default: runs/NAME.")] = None,
    rule: Annotated[str | None, typer.Option(help="How to split; see `pertura split --help`.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the split rule, as name=value (context=RPE1).")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="A split.json instead of a rule.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.", min=0, max=MOST_SEED)] = None,
    emitter: Annotated[
        str | None, typer.Option(help="Cells around a predicted mean: constant, control-shift or resampled.")
    ] = None,
    bootstrap: Annotated[int | None, typer.Option(help="Draws behind each interval.", min=20)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and compute nothing.")] = False,
) -> None:
    """Fit, predict, evaluate, compare, report. An interrupted run goes on with `pertura run FOLDER/recipe.toml`."""
    from pertura.core.errors import UsageError
    from pertura.recipes.recipe import FILE, read_recipe

    own, knowing = tuple(model or ()), tuple(prior or ())
    if split is not None and (rule is not None or option):
        raise UsageError("--split takes the place of --rule and --option: give the file or the rule")
    if Path(what).is_dir():
        raise UsageError(f"{what!r} is a folder; name a file, or to go on with a run in it {Path(what) / FILE}")
    resumed = Path(what).name == FILE
    recipe = read_recipe(Path(what)) if resumed else _recipe(what, own, knowing)
    file = None if split is None else str(split.resolve())
    changes = {"rule": rule, "split": file, "seed": seed, "emitter": emitter, "bootstrap": bootstrap}
    revised = _revised(recipe, {name: one for name, one in changes.items() if one is not None}, option or [])
    if resumed and (revised != recipe or knowing or not set(own) <= set(recipe.models)):
        raise UsageError(f"{what} says all of its run; to change it, start another run with -o elsewhere")
    recipe, folder = revised, output or (Path(what).parent if resumed else Path("runs") / recipe.name)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {folder}: this is a file; name a folder")
    if dry_run:
        from pertura.recipes.plan import plan

        typer.echo(plan(recipe, folder, trusted=own))
        return
    _run(recipe, folder, own)


def _run(recipe: "Recipe", folder: Path, own: tuple[str, ...]) -> None:
    from pertura.cli.interruption import Interrupted

    try:
        from pertura.cli.progress import narrated
        from pertura.recipes.report import summary_text, write_report
        from pertura.recipes.run import run as run_recipe

        with narrated() as narrator:
            screens = run_recipe(recipe, folder, trusted=own, narrator=narrator)
            narrator.note("writing the report")
            report = write_report(screens)
    except Interrupted as stop:
        raise Interrupted(_way_on(folder, own)) from stop
    typer.echo(summary_text(screens))
    typer.echo(f"\nreport: {report}")


def _way_on(folder: Path, own: tuple[str, ...]) -> str:
    """Say how to finish what was interrupted."""
    import shlex

    from pertura.recipes.recipe import FILE

    if not (folder / FILE).exists():
        return "interrupted before anything was written; give the same command again"
    again = ["pertura", "run", str(folder / FILE), *(word for one in own for word in ("--model", one))]
    return f"interrupted; finished steps are kept. Go on with:\n  {shlex.join(again)}"


def _recipe(what: str, own: tuple[str, ...], knowing: tuple[str, ...]) -> "Recipe":
    import pydantic

    from pertura.core.errors import UsageError
    from pertura.data.datasets.named import is_name
    from pertura.recipes.recipe import refusal
    from pertura.recipes.table import RECIPES, baselines, with_models, with_priors

    if what in RECIPES:
        return with_models(with_priors(RECIPES[what](), knowing), own)
    data = what if is_name(what) else str(Path(what).resolve())
    name = what if is_name(what) else Path(what).stem
    try:
        return with_models(with_priors(baselines(data, name=name), knowing), own)
    except pydantic.ValidationError as error:
        raise UsageError(f"{what!r}: {refusal(error)}; rename the file") from error


def _revised(recipe: "Recipe", changes: dict[str, Any], options: list[str]) -> "Recipe":
    """Return the recipe with what flags change; what is no matter of one screen changes for companions too."""
    from dataclasses import replace

    from pertura.recipes.rules import read_options

    if options:
        changes = {**changes, "options": read_options(str(changes.get("rule", recipe.rule)), options)}
    shared = {name: value for name, value in changes.items() if name not in ("rule", "options", "split")}
    companions = tuple(replace(one, **shared) for one in recipe.companions)
    return replace(recipe, **changes, companions=companions)
