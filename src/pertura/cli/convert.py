"""`pertura convert`: published scGPT, scGenePT and CellFlow checkpoints to pertura's format, the first two and back."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Folder = Annotated[
    str,
    typer.Argument(
        metavar="FOLDER", help="A published folder or CellFlow.pkl, a converted one, or a hub name org/name@revision."
    ),
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
ModeName = Annotated[str, typer.Option("--mode", help="CellFlow: how its genes were perturbed, as interference.")]
ContextName = Annotated[str, typer.Option("--context", help="CellFlow: the cells it was trained on, as K562.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what the checkpoint is and write nothing.")]
NOTHING = "nothing was written; leave out --dry-run to convert"


def convert(
    folder: Folder,
    *,
    output: Output = None,
    weights_file: WeightsFile = None,
    decoder_activation: Activation = None,
    adaptive_bias: Adaptive = False,
    pooling: PoolingName = None,
    heads: Heads = None,
    mode: ModeName = "",
    context: ContextName = "",
    dry_run: DryRun = False,
) -> None:
    """Turn a published checkpoint into safetensors and JSON, or a converted one back into the published files.

    Nothing in a file is executed. Every key is accounted for, every other file is carried along, and what was written
    is read back and compared: the same tensors, by sha256. A CellFlow file does not say how its genes were perturbed:
    `--mode` does.
    """
    from pertura.core.errors import UsageError
    from pertura.models.cellflow.foreign import is_published
    from pertura.models.scgpt.convert import check_output

    if output is None and not dry_run:
        raise UsageError("name the folder to write with -o, or look only with --dry-run")
    if output is not None:
        check_output(output, Path(folder))
    target = None if dry_run else output
    given: dict[str, Any] = {"decoder_activation": decoder_activation, "adaptive_bias": adaptive_bias or None}
    given |= {"pooling": pooling, "heads": heads, "weights_file": weights_file}
    told = {name: one for name, one in given.items() if one is not None}
    if is_published(Path(folder)):
        _refuse(told, "a CellFlow file")
        lines = _flow(Path(folder), target, mode, context)
    else:
        _refuse({name: one for name, one in (("mode", mode), ("context", context)) if one}, "scGPT and scGenePT")
        lines = _transformer(folder, target, told)
    typer.echo("\n".join(lines))


def _refuse(told: dict[str, Any], what: str) -> None:
    """An option that would do nothing is refused."""
    from pertura.core.errors import UsageError

    if told:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in told)
        raise UsageError(f"{named} does not concern {what}; leave it out")


def _flow(path: Path, output: Path | None, mode: str, context: str) -> tuple[str, ...]:
    from pertura.core.errors import UsageError
    from pertura.core.perturbation import Mode
    from pertura.models.cellflow.convert import convert as write
    from pertura.models.cellflow.convert import facts
    from pertura.models.cellflow.foreign import load_foreign

    known = [str(one) for one in Mode if one is not Mode.UNSPECIFIED]
    if mode not in known and (mode or output):
        raise UsageError(f"how were the genes perturbed? say --mode {', '.join(known)}")
    foreign = load_foreign(path)
    if output is None:
        return (*facts(foreign), NOTHING)
    digest = write(foreign.model(mode=Mode(mode), context=context), output)
    return (
        *facts(foreign),
        "expression: log-normalised is assumed, the file does not tell",
        f"wrote {output} in pertura's format; read back and compared: the same digest {digest[:16]}",
    )


def _transformer(folder: str, output: Path | None, told: dict[str, Any]) -> tuple[str, ...]:
    from pertura.models.scgpt.convert import convert as write
    from pertura.models.scgpt.convert import planned

    checkpoint = _opened(folder, told)
    if output is None:
        return (*planned(checkpoint).lines, NOTHING)
    made = write(checkpoint, output)
    what = "pertura's format" if made.to_own else "the published layout"
    return (*made.lines, f"wrote {output} in {what}; read back and compared: {made.tensors} tensors are identical")


def _opened(folder: str, told: dict[str, Any]) -> Any:
    """Return the checkpoint; where keys are missing, say of each kind which, before it is refused."""
    from pertura.models.scgpt.checkpoint import IncompleteError
    from pertura.models.scgpt.foreign import load_foreign

    try:
        return load_foreign(folder, **told)
    except IncompleteError as error:
        typer.echo("\n".join(error.report.lines()), err=True)
        raise
