"""`pertura prepare`: from a screen as it came to the file that models are fitted on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pertura.data.preparation.prepare import Prepared

Data = Annotated[str, typer.Argument(help="A data set by name, an .h5ad, a .zarr or a dataset.toml.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The .h5ad to write.")]
Genes = Annotated[int, typer.Option(help="How many variable genes; all measured perturbed genes come besides.", min=0)]
SplitFile = Annotated[
    Path | None, typer.Option("--split", help="A split.json: variable genes are chosen on its train cells alone.")
]
TargetSum = Annotated[float, typer.Option(help="Counts to which each cell is scaled before the logarithm.", min=1e-3)]
MinCells = Annotated[int, typer.Option(help="A variable gene must be shown by so many of these cells.", min=0)]
MinCounts = Annotated[int, typer.Option(help="Cells with fewer counts over all genes are left out.", min=1)]
Filter = Annotated[
    bool, typer.Option("--knockdown-filter", help="Leave out what is not knocked down, as cell-load does; see below.")
]
Residual = Annotated[float, typer.Option(help="With the filter: a target's mean over that of the controls.", min=0)]
CellResidual = Annotated[float, typer.Option(help="With the filter: the same ratio in a single cell.", min=0)]
FilterCells = Annotated[int, typer.Option(help="With the filter: cells that a condition must keep.", min=1)]
FilterValues = Annotated[
    Literal["stored", "normalised"],
    typer.Option(help="With the filter: compare the file's values, or counts over size factors."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and write nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


def prepare(
    data: Data,
    *,
    output: Output = Path("prepared.h5ad"),
    genes: Genes = 5000,
    split: SplitFile = None,
    target_sum: TargetSum = 1e4,
    min_cells: MinCells = 0,
    min_counts: MinCounts = 1,
    knockdown_filter: Filter = False,
    residual: Residual = 0.30,
    cell_residual: CellResidual = 0.50,
    filter_cells: FilterCells = 30,
    filter_values: FilterValues = "stored",
    dry_run: DryRun = False,
    force: Force = False,
) -> None:
    """Normalise a screen, take its variable and its perturbed genes, and write both with an account of it.

    Size factors are those of all genes of a cell; a panel without library sizes is refused. How a file is read is said
    with `pertura inspect`, whose dataset.toml this command takes. The knock-down filter keeps conditions whose target
    has less than 0.30 of its expression in controls, of these the cells with less than 0.50, and at least 30 of them.
    """
    from pertura.cli.progress import narrated
    from pertura.data.preparation.knockdown import KnockDown
    from pertura.data.preparation.material import open_material
    from pertura.data.preparation.prepare import Wish, planned
    from pertura.data.preparation.prepare import prepare as prepared
    from pertura.data.splits.files import read_split

    check_outputs(output, data, force=force)
    rule = KnockDown(residual=residual, cell_residual=cell_residual, cells=filter_cells, values=filter_values)
    wish = Wish(
        genes=genes,
        target_sum=target_sum,
        min_cells=min_cells,
        min_counts=min_counts,
        knockdown=rule if knockdown_filter else None,
    )
    cut = None if split is None else read_split(split)
    material = open_material(data)
    if dry_run:
        for line in planned(material, wish, cut):
            typer.echo(line)
        return
    with narrated() as narrator:
        made = prepared(material, output, wish, cut, narrator.stage)
    _tell(made, output, split)


def _tell(made: "Prepared", output: Path, split: Path | None) -> None:
    """Print the account; write the split that fits what was left; say what comes next."""
    from pertura.data.splits.files import write_split

    for line in (*made.account.lines, *(f"warning: {text}" for text in made.account.warnings)):
        typer.echo(line)
    typer.echo(f"wrote {output}; look at it with `pertura inspect {output}`")
    if made.split is not None:
        beside = split_beside(output)
        write_split(made.split, beside)
        typer.echo(f"wrote {beside}: the split without what was left out (fingerprint {made.split.fingerprint[:12]})")
        split = beside
    if split is not None:
        typer.echo(f"the genes were chosen for this split: go on with `pertura run {output} --split {split}`")


def split_beside(output: Path) -> Path:
    """Return where the split of a prepared file goes if it had to be changed."""
    return output.with_name(f"{output.stem}.split.json")


def check_outputs(output: Path, data: str, *, force: bool) -> None:
    """Raise where a prepared file may not be written to `output`."""
    from pertura.core.errors import MissingError, UsageError

    if output.suffix != ".h5ad":
        raise UsageError(f"-o {output}: the name of an AnnData file ends in .h5ad")
    if output.is_dir():
        raise UsageError(f"-o {output} is a folder; name a file in it")
    if output.exists() and Path(data).exists() and output.samefile(data):
        raise UsageError(f"-o {output} is the file that is read; choose another name")
    if not output.absolute().parent.is_dir():
        raise MissingError(f"{output.absolute().parent}: no such folder")
    there = [one for one in (output, split_beside(output)) if one.exists()]
    if there and not force:
        raise UsageError(f"{there[0]} is there already; --force replaces it")
