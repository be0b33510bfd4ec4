"""`pertura inspect`: how a screen is read and why, and what its owner may not know about it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

File = Annotated[
    Path, typer.Argument(help="An AnnData (.h5ad, .zarr), a dataset.toml, or a published data set by name.")
]
PerturbationColumn = Annotated[
    str | None, typer.Option(help="Column of obs that says which genes are perturbed in a cell.")
]
Controls = Annotated[
    list[str] | None, typer.Option(help="Label of unperturbed cells in that column; give it again for each label.")
]
TargetColumns = Annotated[
    list[str] | None,
    typer.Option(help="Column that holds one of the genes perturbed together, as gene_1; give it again for each."),
]
ControlColumn = Annotated[
    str | None, typer.Option(help="Column of yes and no that marks unperturbed cells. none to go by labels alone.")
]
Separator = Annotated[str | None, typer.Option(help="What stands between genes perturbed together, as + in A+B.")]
GuideSeparator = Annotated[
    str | None, typer.Option(help="What stands before the number of a guide, as _ in A_1; the number is cut off.")
]
HowPerturbed = Annotated[
    str | None, typer.Option(help="How genes are perturbed: activation, interference, knockout, overexpression.")
]
ModeColumn = Annotated[str | None, typer.Option(help="Column of obs that tells the mode, if it differs between cells.")]
ContextColumns = Annotated[
    list[str] | None,
    typer.Option(help="Column that tells cell line or type; give it again to join columns; none for no context."),
]
BatchColumn = Annotated[
    str | None, typer.Option(help="Column that tells the batch: controls are matched in it. none for no batches.")
]
LibrarySizeColumn = Annotated[
    str | None, typer.Option(help="Column with the total counts of each cell over all genes, not the panel alone.")
]
GeneColumn = Annotated[
    str | None, typer.Option(help="Column of var that holds the gene names the labels use. none for row names.")
]
WholeTranscriptome = Annotated[
    bool | None, typer.Option("--whole-transcriptome/--panel-only", help="Whether X holds all genes of a cell or some.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Label whose cells are left out; give it again for each label.")
]
NotGenes = Annotated[
    Literal["exclude", "keep"] | None,
    typer.Option(help="Labels that name no gene, as drugs do: leave their cells out, or take the names as genes."),
]
RepeatedGenes = Annotated[
    Literal["exclude", "once"] | None,
    typer.Option(help="Labels that name a gene twice, as A+A: left out unless taken as naming it once."),
]
Doses = Annotated[
    Literal["exclude", "pool"] | None,
    typer.Option(help="Cells at another dose than the commonest: left out unless all doses are pooled."),
]
GeneNames = Annotated[
    Literal["file", "approved"] | None,
    typer.Option(help="Call genes as the file does, or by their approved symbols where these are certain."),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Where to write down the reading, for later commands to take.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a dataset.toml that describes another file.")]
Full = Annotated[bool, typer.Option("--full", help="Print every name and note, and what each bundled prior knows.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object in place of tables.")]


def inspect(
    file: File,
    *,
    perturbation_column: PerturbationColumn = None,
    target_column: TargetColumns = None,
    control: Controls = None,
    control_column: ControlColumn = None,
    separator: Separator = None,
    guide_separator: GuideSeparator = None,
    mode: HowPerturbed = None,
    mode_column: ModeColumn = None,
    context_column: ContextColumns = None,
    batch_column: BatchColumn = None,
    library_size_column: LibrarySizeColumn = None,
    gene_column: GeneColumn = None,
    whole_transcriptome: WholeTranscriptome = None,
    exclude: Exclude = None,
    not_genes: NotGenes = None,
    repeated_genes: RepeatedGenes = None,
    doses: Doses = None,
    gene_names: GeneNames = None,
    output: Output = Path("dataset.toml"),
    force: Force = False,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """Say how a screen is read and why, what it holds, and what to watch; write the reading to dataset.toml."""
    flags = dict(locals())
    for name in ("file", "output", "force", "full", "as_json"):
        del flags[name]
    from pertura.cli.inspected import as_json_text, inspected, print_inspected
    from pertura.data.datasets.named import known_file
    from pertura.data.manifest import check_target, write_manifest

    file = known_file(file)
    described = file.suffix == ".toml"
    if not described:
        check_target(output, file, force=force)
    found = inspected(file, {name: value for name, value in flags.items() if value not in (None, [])}, full=full)
    written = None if described else output
    if written is not None:
        write_manifest(written, file, found.screen.reading, force=force)
    if as_json:
        typer.echo(as_json_text(found, written))
    else:
        print_inspected(found, written, full=full)
