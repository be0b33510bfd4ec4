"""`pertura convert`: published scGPT and scGenePT checkpoints to pertura's format and back."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Folder = Annotated[
    str, typer.Argument(metavar="FOLDER", help="A published folder, a converted one, or a hub name org/name@revision.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The folder to write. Not needed with --dry-run.")]
WeightsFile = Annotated[str | None, typer.Option(help="The weights in it, where they are not best_model.pt.")]
Activation = Annotated[
    str | None, typer.Option("--decoder-activation", help="What no file tells: a class of torch.nn, as Softplus.")
]
Adaptive = Annotated[bool, typer.Option("--adaptive-bias", help="What no file tells: the bias of an affine decoder.")]
PoolingName = Annotated[
    Literal["cls", "avg-pool", "avg-pool-official", "w-pool"] | None,
    typer.Option("--pooling", help="What no file tells: how cells are pooled. Default: as args.json says, or cls."),
]
Heads = Annotated[int | None, typer.Option(help="Attention heads, where args.json does not say.", min=1)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what the checkpoint is and write nothing.")]


def convert(
    folder: Folder,
    *,
    output: Output = None,
    weights_file: WeightsFile = None,
    decoder_activation: Activation = None,
    adaptive_bias: Adaptive = False,
    pooling: PoolingName = None,
    heads: Heads = None,
    dry_run: DryRun = False,
) -> None:
    """Turn a published checkpoint into safetensors and JSON, or a converted one back into the published files.

    Nothing in a file is executed. Every key is accounted for, every other file is carried along, and what was written
    is read back and compared: the same tensors, by sha256.
    """
    from pertura.core.errors import UsageError
    from pertura.models.scgpt.convert import check_output, planned
    from pertura.models.scgpt.convert import convert as write

    if output is None and not dry_run:
        raise UsageError("name the folder to write with -o, or look only with --dry-run")
    if output is not None:
        check_output(output, Path(folder))
    told: dict[str, Any] = {"decoder_activation": decoder_activation, "adaptive_bias": adaptive_bias or None}
    told |= {"pooling": pooling, "heads": heads, "weights_file": weights_file}
    checkpoint = _opened(folder, {name: one for name, one in told.items() if one is not None})
    if dry_run or output is None:
        made, done = planned(checkpoint), "nothing was written; leave out --dry-run to convert"
    else:
        made = write(checkpoint, output)
        what = "pertura's format" if made.to_own else "the published layout"
        done = f"wrote {output} in {what}; read back and compared: {made.tensors} tensors are identical"
    typer.echo("\n".join((*made.lines, done)))


def _opened(folder: str, told: dict[str, Any]) -> Any:
    """Return the checkpoint; where keys are missing, say of each kind which, before it is refused."""
    from pertura.models.scgpt.checkpoint import IncompleteError
    from pertura.models.scgpt.foreign import load_foreign

    try:
        return load_foreign(folder, **told)
    except IncompleteError as error:
        typer.echo("\n".join(error.report.lines()), err=True)
        raise
