"""`pertura split`: cut a screen into train, valid and test, and say what of test was seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pertura.core.cells import Cells
    from pertura.core.split import Outline, Split
    from pertura.data.splits.audit import Audit

DEFAULT = "gears-simulation"
RULES = "gears-simulation, held-out-context, held-out-context-and-gene, folds"


def split(
    data: Annotated[str | None, typer.Argument(help="A data set by name, an .h5ad, a .zarr or a dataset.toml.")] = None,
    *,
    rule: Annotated[str | None, typer.Option(help=f"One of: {RULES}. Default: {DEFAULT}.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--from", help="Another tool's split: a TOML of State, or JSON lists train, val, test."),
    ] = None,
    from_column: Annotated[
        str | None, typer.Option(help="A column of obs with a part for each cell, as split1.")
    ] = None,
    overlap: Annotated[
        str | None, typer.Option(help="Where parts of --from overlap: refuse (default), or test-wins.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Which data set of a TOML of --from this screen is.")] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal splits.", min=0, max=2**32 - 1)] = 1,
    train_gene_fraction: Annotated[float | None, typer.Option(help="Share of genes that may be trained on.")] = None,
    pair_train_fraction: Annotated[float | None, typer.Option(help="Share of pairs of such genes to train on.")] = None,
    context: Annotated[str | None, typer.Option(help="The cell line or type to hold out.")] = None,
    controls: Annotated[str | None, typer.Option(help="seen or unseen: the held-out context's controls.")] = None,
    folds: Annotated[int | None, typer.Option(help="How many folds.")] = None,
    fold: Annotated[int | None, typer.Option(help="Which of them is test, from 0.")] = None,
    valid_fraction: Annotated[float | None, typer.Option(help="Share of the other perturbations to choose by.")] = None,
    judge_controls: Annotated[
        int | None, typer.Option(help="Control cells of each context kept from models; else half of them.", min=1)
    ] = None,
    shared_controls: Annotated[
        bool, typer.Option("--shared-controls", help="One control pool for both sides. Inflates scores.")
    ] = False,
    conditions: Annotated[Path | None, typer.Option(help="A list, one condition a line, in place of DATA.")] = None,
    mode: Annotated[str, typer.Option(help="How the genes of --conditions are perturbed.")] = "unspecified",
    write_as: Annotated[
        str, typer.Option(help="pertura, or workbench: JSON lists train, val, test, without control cells.")
    ] = "pertura",
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the split.")] = Path("split.json"),
) -> None:
    """Cut a screen into train, valid and test, and its control cells in two; say what of test was seen."""
    from pertura.cli.split_foreign import write
    from pertura.data.splits.audit import audit

    given = {
        "train_gene_fraction": train_gene_fraction,
        "pair_train_fraction": pair_train_fraction,
        "context": context,
        "controls": controls,
        "folds": folds,
        "fold": fold,
        "valid_fraction": valid_fraction,
        "judge_controls": judge_controls,
    }
    options = {name: one for name, one in given.items() if one is not None}
    foreign = Foreign(file, from_column, overlap, dataset)
    foreign.refuse_rules(rule, options)
    outline, cells, said = _screen(data, conditions, mode)
    if foreign.is_asked:
        made, lines = foreign.made(data, outline, cells, seed, shared_controls)
        said = (*lines, *said)
    else:
        made = _cut(outline, rule or DEFAULT, seed, options, shared_controls)
    checked = audit(made, cells)
    left_out = write(made, output, write_as)
    for line in (*_summary(made, checked), *said, *checked.lines, *filter(None, [left_out])):
        typer.echo(line)
    typer.echo(f"wrote {output} (fingerprint {made.fingerprint[:12]})")


@dataclass(frozen=True, slots=True)
class Foreign:
    """What was said of another tool's split; nothing where none is asked for."""

    file: Path | None
    column: str | None
    overlap: str | None
    dataset: str | None

    @property
    def is_asked(self) -> bool:
        """A split of another tool takes the place of a rule."""
        return self.file is not None or self.column is not None

    def refuse_rules(self, rule: str | None, options: Mapping[str, object]) -> None:
        """Raise where it is not clear which split is asked for."""
        from pertura.core.errors import UsageError

        if self.file is not None and self.column is not None:
            raise UsageError("give --from or --from-column, not both")
        if self.is_asked and (rule is not None or options):
            raise UsageError("--from and --from-column take the place of --rule and its options")
        if not self.is_asked and (self.overlap is not None or self.dataset is not None):
            raise UsageError("--overlap and --dataset go with --from or --from-column")

    def made(
        self, data: str | None, outline: "Outline", cells: "Cells | None", seed: int, shared: bool
    ) -> "tuple[Split, tuple[str, ...]]":
        """Return the split, and what had to be done for it."""
        from pertura.cli.split_foreign import from_column, from_file
        from pertura.data.splits.foreign import REFUSE, Rules

        rules = Rules(self.overlap or REFUSE, seed, shared)
        if self.file is not None:
            found = from_file(self.file, outline, rules, self.dataset)
        else:
            found = from_column(data, cells, str(self.column), rules)
        return found.split, found.lines


def _screen(data: str | None, listed: Path | None, mode: str) -> tuple["Outline", "Cells | None", tuple[str, ...]]:
    """Return what to cut, its cells where there are any, and warnings on spellings."""
    from pertura.core.errors import UsageError
    from pertura.core.perturbation import Mode
    from pertura.core.split import Outline
    from pertura.data.datasets.named import cells_named

    if (data is None) == (listed is None):
        raise UsageError("give either DATA (a bundled name, .h5ad, .zarr or dataset.toml) or --conditions FILE")
    if data is not None:
        cells = cells_named(data)
        return Outline.of(cells), cells, ()
    from pertura.data.splits.conditions_file import read_conditions

    if mode not in set(Mode):
        raise UsageError(f"--mode {mode}: one of {', '.join(Mode)}")
    found = read_conditions(str(listed), Mode(mode))
    again = f"warning: spelled twice, counted once: {', '.join(found.respelled)}"
    return found.outline, None, (again,) if found.respelled else ()


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
