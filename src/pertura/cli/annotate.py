"""`pertura annotate`: cell types by several strategies, and whether a network is worth it over a linear model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pertura.recipes.annotating.in_python import Annotation
    from pertura.recipes.annotating.querying import Labelled
    from pertura.recipes.annotating.wish import Wish

Weighting = Literal["none", "balanced"]

Reference = Annotated[Path | None, typer.Option(help="Labelled cells, an .h5ad or .zarr.")]
Label = Annotated[str | None, typer.Option(help="Column of obs with the cell type.")]
Layer = Annotated[str, typer.Option(help="Which values: X, raw, or the name of a layer.")]
Query = Annotated[Path | None, typer.Option(help="Cells to label, an .h5ad or .zarr of any size.")]
QueryLayer = Annotated[str | None, typer.Option(help="Which values of the query; without it those of --layer.")]
Load = Annotated[Path | None, typer.Option(help="Label --query with the annotator in this folder of an earlier run.")]
Model = Annotated[
    str | None, typer.Option(help="Pretrained scGPT folder (or a hub name with revision). Not needed for linear,knn.")
]
Strategies = Annotated[str | None, typer.Option("--strategy", help="Of linear,knn,probe,head,lora,full.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that is written.")]
Group = Annotated[str | None, typer.Option(help="Column of donor or batch: none is on two sides of a fold.")]
GeneColumn = Annotated[str | None, typer.Option(help="Column of var with gene symbols or Ensembl ids.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude-label", help="Label to leave out; repeat for each.")]
Folds = Annotated[
    int, typer.Option(help="Parts of the cells, each tested once; 1 for one 0.70/0.15/0.15 division.", min=1)
]
Repeats = Annotated[int | None, typer.Option(help="Times over. 5 without trained networks, otherwise 1.", min=1)]
MinCells = Annotated[int, typer.Option(help="Classes with fewer cells are left out.", min=1)]
MinGeneOverlap = Annotated[int, typer.Option(help="Fewest genes that the checkpoint must know.", min=1)]
MinQueryGenes = Annotated[
    float, typer.Option(help="Least share of the learnt genes that a query must have.", min=0.0, max=1.0)
]
LabelWith = Annotated[str | None, typer.Option(help="Strategy that labels; without it the best on valid cells.")]
UnknownQuantile = Annotated[
    float, typer.Option(help="Farther than this share of valid cells is unknown; above 1 never.", min=1e-6)
]
MinProbability = Annotated[float, typer.Option(help="A label less likely than this is unknown.", min=0.0, max=0.999)]
Clusters = Annotated[str | None, typer.Option(help="Column of clusters for the majority vote; without it fine Leiden.")]
HeadEpochs = Annotated[int | None, typer.Option(help="Epochs of a head at most. 15.", min=1)]
HeadRate = Annotated[float | None, typer.Option("--head-learning-rate", help="0.001.")]
LoraEpochs = Annotated[int | None, typer.Option(help="Epochs of adapters at most. 15.", min=1)]
LoraRate = Annotated[float | None, typer.Option("--lora-learning-rate", help="0.001.")]
FullEpochs = Annotated[int | None, typer.Option(help="Epochs of the whole network at most. 10.", min=1)]
FullRate = Annotated[float | None, typer.Option("--full-learning-rate", help="0.0001.")]
LoraRank = Annotated[int, typer.Option(help="Rank of adapters.", min=1)]
LoraAlpha = Annotated[float, typer.Option(help="Scale of adapters: alpha / rank.")]
LoraDropout = Annotated[float, typer.Option(help="Dropout before adapters.", min=0.0, max=0.99)]
LoraTargets = Annotated[
    list[str] | None,
    typer.Option("--lora-target", help="linear (linear1, linear2), attention (q, v, output); repeat."),
]
Batch = Annotated[int | None, typer.Option(help="Cells of an update. 32.", min=1)]
ClassWeights = Annotated[Weighting, typer.Option(help="balanced: classes weigh the same in the loss.")]
Sampling = Annotated[
    Literal["all", "balanced"], typer.Option(help="balanced: epochs with as many cells of each class.")
]
Patience = Annotated[int, typer.Option(help="Epochs without gain on valid before training stops.", min=1)]
MaxGenes = Annotated[int, typer.Option(help="Most tokens of a cell.", min=2)]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Precision = Annotated[Literal["fp32", "bf16", "fp16"], typer.Option(help="Number format of the network.")]
Profile = Annotated[
    Literal["quickstart", "full"] | None, typer.Option(help="Sizes of the published tutorial: 8 or 128 cells.")
]
Unseen = Annotated[bool, typer.Option("--unseen/--no-unseen", help="Leave each class out in turn: is it noticed?")]
Projection = Annotated[Literal["umap", "pca"], typer.Option(help="How embeddings are drawn.")]
Merged = Annotated[
    Path | None, typer.Option("--export-merged", help="Folder for the tuned network, adapters merged in.")
]
Cache = Annotated[bool, typer.Option("--cache/--no-cache", help="Keep frozen embeddings for later runs.")]
Seed = Annotated[int, typer.Option(help="Equal seeds give equal results.", min=0, max=2**32 - 1)]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that holds files.")]


def annotate(
    *,
    output: Output,
    reference: Reference = None,
    label: Label = None,
    layer: Layer = "X",
    query: Query = None,
    query_layer: QueryLayer = None,
    load: Load = None,
    model: Model = None,
    strategy: Strategies = None,
    group: Group = None,
    gene_column: GeneColumn = None,
    exclude_label: Exclude = None,
    folds: Folds = 5,
    repeats: Repeats = None,
    min_cells: MinCells = 2,
    min_gene_overlap: MinGeneOverlap = 500,
    min_query_genes: MinQueryGenes = 0.5,
    label_with: LabelWith = None,
    unknown_quantile: UnknownQuantile = 0.95,
    min_probability: MinProbability = 0.5,
    clusters: Clusters = None,
    head_epochs: HeadEpochs = None,
    head_learning_rate: HeadRate = None,
    lora_epochs: LoraEpochs = None,
    lora_learning_rate: LoraRate = None,
    full_epochs: FullEpochs = None,
    full_learning_rate: FullRate = None,
    lora_rank: LoraRank = 4,
    lora_alpha: LoraAlpha = 8.0,
    lora_dropout: LoraDropout = 0.05,
    lora_target: LoraTargets = None,
    batch: Batch = None,
    class_weights: ClassWeights = "none",
    sampling: Sampling = "all",
    patience: Patience = 3,
    max_genes: MaxGenes = 1200,
    device: Device = "cpu",
    precision: Precision = "fp32",
    profile: Profile = None,
    unseen: Unseen = True,
    projection: Projection = "umap",
    export_merged: Merged = None,
    cache: Cache = True,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Label cells, and say whether fine-tuning a network is worth it over a linear model."""
    flags = dict(locals())
    from pertura.cli.progress import narrated
    from pertura.core.errors import UsageError
    from pertura.recipes.annotating.files import export_merged as export
    from pertura.recipes.annotating.flags import wish_of_flags
    from pertura.recipes.annotating.in_python import annotation, relabelled

    check_folder(output, force=force)
    with narrated() as narrator:
        if load is not None:
            if query is None or reference is not None:
                raise UsageError("--load goes with --query, and without --reference: it labels with what was learnt")
            wish = wish_of_flags(flags)
            tell_labels(relabelled(load, query, wish, (model, output), narrator), output)
            return
        if reference is None or label is None:
            raise UsageError("give labelled cells with --reference and their column with --label, or --load DIR")
        wish = wish_of_flags(flags)
        if export_merged is not None and label_with not in ("scgpt_lora", "scgpt_full"):
            raise UsageError("a linear model changes no network: --export-merged goes with --label-with scgpt_lora or "
                             "scgpt_full")  # fmt: skip
        made = annotation(reference, query, wish, (model, output), narrator)
        if export_merged is not None:
            export(made.found, export_merged)
    tell(made, wish, output)


def check_folder(output: Path, *, force: bool) -> None:
    """Raise where a folder may not be written into, before anything is computed."""
    from pertura.core.errors import UsageError

    if output.exists() and not output.is_dir():
        raise UsageError(f"-o {output} is a file; name a folder")
    if output.is_dir() and any(output.iterdir()) and not force:
        raise UsageError(f"{output} holds files already; --force writes among them")


def tell(made: "Annotation", wish: "Wish", output: Path) -> None:
    """Print the answer, the table and the warnings."""
    import shutil

    from pertura.recipes.annotating.tables import difference_table, strategy_table
    from pertura.report.tables import to_text

    width = shutil.get_terminal_size((160, 24)).columns
    typer.echo(f"{made.answer}.\n")
    typer.echo(to_text(strategy_table(made.found), width))
    if len(made.found.comparison.strategies) > 1:
        typer.echo(to_text(difference_table(made.found), width))
    told = made.found.warnings[len(made.found.reference.warnings) :]  # those of the data were told as they were found
    for one in told:
        typer.echo(f"warning: {one}")
    if made.labelled is not None:
        tell_labels(made.labelled, output)
        return
    typer.echo(f"wrote {output / 'report.html'} and the other files of {output}")


def tell_labels(labelled: "Labelled", output: Path) -> None:
    """Print what became of a query."""
    from pertura.recipes.annotating.copied import annotated_name

    for one in labelled.query.warnings:
        typer.echo(f"warning: {one}")
    total = len(labelled.columns)
    for name, size in labelled.counts.items():
        typer.echo(f"  {size:>8,}  {size / total:6.1%}  {name}")
    copy = output / annotated_name(labelled.query.source.origin)
    typer.echo(f"wrote {copy}, {output / 'predictions.csv'} and {output / 'report.html'}")
