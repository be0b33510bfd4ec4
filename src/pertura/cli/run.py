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
            help="A recipe (demo), a data set by name (norman-500), an .h5ad or .zarr, a dataset.toml, or the "
            "recipe.toml of a run.",
        ),
    ],
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A model to judge against all baselines: a network by name (scgpt, scgenept+go-c), or your own as "
            "package.module:Class; repeatable.",
        ),
    ] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            "--prior",
            help="A prior to ask whether it helps: a bundled source (go-c), a file, or NAME=FILE; repeatable.",
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Of networks: full, or debug (seconds, on a CPU).")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Train each network with so many seeds: mean, sd and interval.", min=1, max=100)
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="The published folder (or hub name@revision) that networks begin from.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="An option of a network, as MODEL.OPTION=VALUE (scgpt.training.epochs=3)."),
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
    from pertura.data.stores import is_store
    from pertura.recipes.recipe import FILE, read_recipe

    own, knowing = tuple(model or ()), tuple(prior or ())
    if split is not None and (rule is not None or option):
        raise UsageError("--split takes the place of --rule and --option: give the file or the rule")
    if Path(what).is_dir() and not is_store(Path(what)):
        raise UsageError(f"{what!r} is a folder; name a file, or to go on with a run in it {Path(what) / FILE}")
    resumed = Path(what).name == FILE
    recipe = read_recipe(Path(what)) if resumed else _recipe(what, own, knowing, size or "")
    file = None if split is None else str(split.resolve())
    changes = {"rule": rule, "split": file, "seed": seed, "emitter": emitter, "bootstrap": bootstrap, "seeds": seeds}
    revised = _revised(recipe, {name: one for name, one in changes.items() if one is not None}, option or [])
    revised = _with_networks(revised, size, pretrained, setting or [])
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
    code = [one for one in own if ":" in one]
    again = ["pertura", "run", str(folder / FILE), *(word for one in code for word in ("--model", one))]
    return f"interrupted; finished steps are kept. Go on with:\n  {shlex.join(again)}"


def _recipe(what: str, own: tuple[str, ...], knowing: tuple[str, ...], size: str) -> "Recipe":
    import pydantic

    from pertura.core.errors import UsageError
    from pertura.data.datasets.named import is_name
    from pertura.recipes.recipe import refusal
    from pertura.recipes.table import RECIPES, baselines, named_recipe, with_models, with_priors

    if what in RECIPES:
        return with_models(with_priors(named_recipe(what, size), knowing), own)
    data = what if is_name(what) else str(Path(what).resolve())
    name = what if is_name(what) else Path(what).stem
    try:
        return with_models(with_priors(baselines(data, name=name), knowing), own)
    except pydantic.ValidationError as error:
        raise UsageError(f"{what!r}: {refusal(error)}; rename the file") from error


def _with_networks(recipe: "Recipe", size: str | None, pretrained: str | None, settings: list[str]) -> "Recipe":
    """Return the recipe with size and options of its networks changed, of companions too."""
    from dataclasses import replace

    from pertura.core.errors import UsageError
    from pertura.models.changed import joined, read_change
    from pertura.models.networks import SIZES
    from pertura.recipes.sources import network_of

    if size is not None and size not in SIZES:
        raise UsageError(f"--size {size}; there are {' and '.join(SIZES)}")
    options = dict(recipe.model_options)
    bases = dict.fromkeys(one.partition("+")[0] for one in recipe.models if network_of(one) is not None)
    if (pretrained is not None or settings or size) and not bases:
        raise UsageError("--size, --pretrained and --set are for networks, and there is none among the models")
    if pretrained is not None:
        place = str(Path(pretrained).resolve()) if Path(pretrained).exists() else pretrained
        options = joined(options, {base: {"pretrained": place} for base in bases})
    for text in settings:
        model, change = read_change(text)
        options = joined(options, {model: change})
    sized: dict[str, Any] = {"size": size or recipe.size}
    companions = tuple(replace(one, **sized) for one in recipe.companions)
    return replace(recipe, model_options=options, companions=companions, **sized)


def _revised(recipe: "Recipe", changes: dict[str, Any], options: list[str]) -> "Recipe":
    """Return the recipe with what flags change; what is no matter of one screen changes for companions too."""
    from dataclasses import replace

    from pertura.recipes.rules import read_options

    if options:
        changes = {**changes, "options": read_options(str(changes.get("rule", recipe.rule)), options)}
    shared = {name: value for name, value in changes.items() if name not in ("rule", "options", "split")}
    companions = tuple(replace(one, **shared) for one in recipe.companions)
    return replace(recipe, **changes, companions=companions)
