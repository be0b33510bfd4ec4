"""`pertura split`: cut a screen into train, valid and test, and say what of test was seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pertura.core.cells import Cells
    from pertura.core.split import Outline, Split
    from pertura.data.splits.audit import Audit

RULES = "gears-simulation, held-out-context, held-out-context-and-gene, folds"


def split(
    data: Annotated[str | None, typer.Argument(help="A bundled data set, an .h5ad or a dataset.toml.")] = None,
    *,
    rule: Annotated[str, typer.Option(help=f"One of: {RULES}.")] = "gears-simulation",
    seed: Annotated[int, typer.Option(help="Equal seeds give equal splits.", min=0, max=2**32 - 1)] = 1,
    train_gene_fraction: Annotated[float | None, typer.Option(help="Share of genes that may be trained on.")] = None,
    pair_train_fraction: Annotated[float | None, typer.Option(help="Share of pairs of such genes to train on.")] = None,
    context: Annotated[str | None, typer.Option(help="The cell line or type to hold out.")] = None,
    controls: Annotated[str | None, typer.Option(help="seen or unseen: the held-out context's controls.")] = None,
    folds: Annotated[int | None, typer.Option(help="How many folds.")] = None,
    fold: Annotated[int | None, typer.Option(help="Which of them is test, from 0.")] = None,
    valid_fraction: Annotated[float | None, typer.Option(help="Share of the other perturbations to choose by.")] = None,
    shared_controls: Annotated[
        bool, typer.Option("--shared-controls", help="One control pool for both sides. Inflates scores.")
    ] = False,
    conditions: Annotated[Path | None, typer.Option(help="A list, one condition a line, in place of DATA.")] = None,
    mode: Annotated[str, typer.Option(help="How the genes of --conditions are perturbed.")] = "unspecified",
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the split.")] = Path("split.json"),
) -> None:
    """Cut a screen into train, valid and test, and its control cells in two; say what of test was seen."""
    from pertura.data.splits.audit import audit
    from pertura.data.splits.files import write_split

    given = {
        "train_gene_fraction": train_gene_fraction,
        "pair_train_fraction": pair_train_fraction,
        "context": context,
        "controls": controls,
        "folds": folds,
        "fold": fold,
        "valid_fraction": valid_fraction,
    }
    outline, cells, respelled = _screen(data, conditions, mode)
    made = _cut(outline, rule, seed, {name: one for name, one in given.items() if one is not None}, shared_controls)
    checked = audit(made, cells)
    write_split(made, output)
    for line in (*_summary(made, checked), *checked.lines, *respelled):
        typer.echo(line)
    typer.echo(f"wrote {output} (fingerprint {made.fingerprint[:12]})")


def _screen(data: str | None, listed: Path | None, mode: str) -> tuple["Outline", "Cells | None", tuple[str, ...]]:
    """Return what to cut, its cells where there are any, and warnings on spellings."""
    from pertura.core.errors import UsageError
    from pertura.core.perturbation import Mode
    from pertura.core.split import Outline

    if (data is None) == (listed is None):
        raise UsageError("give either DATA (a bundled name, .h5ad or dataset.toml) or --conditions FILE")
    if data is not None:
        cells = _open(data)
        return Outline.of(cells), cells, ()
    from pertura.data.splits.conditions_file import read_conditions

    if mode not in set(Mode):
        raise UsageError(f"--mode {mode}: one of {', '.join(Mode)}")
    found = read_conditions(str(listed), Mode(mode))
    again = f"warning: spelled twice, counted once: {', '.join(found.respelled)}"
    return found.outline, None, (again,) if found.respelled else ()


def _open(data: str) -> "Cells":
    from pertura.core.errors import MissingError
    from pertura.data.datasets import DATASETS

    if data in DATASETS:
        return DATASETS[data].load()
    if not Path(data).exists():
        raise MissingError(f"{data}: neither a file nor a bundled data set ({', '.join(DATASETS)})")
    from pertura.data.anndata_io import open_cells

    return open_cells(Path(data))


def _cut(outline: "Outline", rule: str, seed: int, options: Mapping[str, object], shared: bool) -> "Split":
    """Apply a rule; an option it does not take is refused, not ignored."""
    import inspect

    from pertura.core.errors import UsageError
    from pertura.data.splits import SPLITS

    if rule not in SPLITS:
        raise UsageError(f"--rule {rule}: one of {', '.join(SPLITS)}")
    unused = sorted(set(options) - set(inspect.signature(SPLITS[rule]).parameters))
    if unused:
        flags = ", ".join("--" + name.replace("_", "-") for name in unused)
        raise UsageError(f"rule {rule} does not take {flags}")
    return SPLITS[rule](outline, seed=seed, shared_controls=shared, **options)


def _summary(made: "Split", checked: "Audit") -> tuple[str, ...]:
    """Count conditions and cells of each part, stratum and side of the controls; name what a rule took out."""
    parts = (
        f"{name}: {count} conditions" + (f", {checked.cells[name]} cells" if checked.cells else "")
        for name, count in checked.conditions.items()
    )
    strata = (f"  {name}: {count}" for name, count in checked.strata.items())
    sides = (
        f"controls of {context or 'the screen'}: {len(one.model)} for models, {len(one.judge)} to judge by"
        for context, one in made.controls.items()
    )
    taken_out = (
        f"{name.replace('_', ' ')}: {made.options[name]}"
        for name in ("test_genes", "removed_elsewhere", "left_out_of_context")
        if name in made.options
    )
    return (f"{made.name}, seed {made.seed}", *parts, *strata, *taken_out, *sides)
