"""`pertura embed`: a vector for each cell, by a published network."""

from pathlib import Path
from typing import Annotated

import typer

Cells = Annotated[Path, typer.Argument(metavar="CELLS", help="An .h5ad; no labels are needed.")]
Model = Annotated[
    str, typer.Option("--model", help="A published scGPT folder, a converted one, or a hub name org/name@revision.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The .h5ad to write: the same file with the vectors.")]
GeneColumn = Annotated[
    str | None, typer.Option(help="Column of var with gene symbols; none: the row names. Default: recognised.")
]
Longest = Annotated[int, typer.Option(help="Most tokens of a cell, the class token included.", min=2)]
Batch = Annotated[int, typer.Option(help="Cells at once; no result depends on it.", min=1)]
Seed = Annotated[int, typer.Option(help="Decides choices among tied counts and surplus genes.", min=0)]
Device = Annotated[str, typer.Option(help="cpu, or cuda for a GPU.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]


def embed(
    cells: Cells,
    *,
    model: Model,
    output: Output = Path("embedded.h5ad"),
    gene_column: GeneColumn = None,
    longest: Longest = 1200,
    batch: Batch = 64,
    seed: Seed = 0,
    device: Device = "cpu",
    force: Force = False,
) -> None:
    """Write cells with obsm["X_scGPT"]: the network's view of each, of length one.

    X is taken as it is; a cell's vector depends on neither its row nor its batch. What the network does not know is
    counted.
    """
    from pertura.cli.progress import narrated
    from pertura.core.errors import UsageError
    from pertura.models.scgpt.embedded import Wish, embed_file
    from pertura.models.scgpt.foreign import load_foreign

    if output.suffix != ".h5ad":
        raise UsageError(f"-o {output}: the name of an AnnData file ends in .h5ad")
    if output.exists() and not force:
        raise UsageError(f"-o {output} is there already; --force replaces it, another name keeps it")
    wish = Wish(gene_column, longest, batch, seed, device)
    with narrated() as narrator:
        narrator.note(f"opening {model}")
        checkpoint = load_foreign(model)
        done = 0

        def told(count: int) -> None:
            nonlocal done
            done += count
            if done % (batch * 50) < batch:
                narrator.note(f"embedded {done:,} cells")

        made = embed_file(cells, checkpoint, output, wish, told)
    typer.echo("\n".join((*made.lines, f"wrote {output}")))
