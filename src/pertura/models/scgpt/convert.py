"""From a published checkpoint to pertura's own format and back, compared by hash before it counts as done."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pertura.core.errors import BadDataError, UsageError
from pertura.models.scgpt.checkpoint import ForeignCheckpoint
from pertura.models.scgpt.foreign import published_weights, read_weights, save_foreign
from pertura.models.scgpt.own_checkpoint import read_own_checkpoint, write_own_checkpoint


@dataclass(frozen=True)
class Conversion:
    """What was, or would be, converted: how many tensors of which digest, and every fact in words."""

    to_own: bool
    tensors: int
    sha256: str
    lines: tuple[str, ...]


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Return a sha256 over names, number types, shapes and numbers of tensors, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        one = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}\x1f{one.dtype}\x1f{tuple(one.shape)}\x1f".encode())
        digest.update(one.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def planned(checkpoint: ForeignCheckpoint) -> Conversion:
    """Return what converting a checkpoint means; nothing is written."""
    weights = published_weights(checkpoint)
    digest = weights_digest(weights)
    config = checkpoint.config
    bytes_beside = sum(path.stat().st_size for path in checkpoint.package.values())
    lines = (
        f"{checkpoint.source}: {_kind(checkpoint)}",
        f"network: {config.layers} layers, width {config.width}, {config.heads} heads, {_parameters(checkpoint):,} "
        f"parameters; {config.vocab_size:,} tokens",
        *checkpoint.report.lines(),
        f"carried: {len(checkpoint.package)} other files, {bytes_beside:,} bytes ({', '.join(checkpoint.package)})",
        f"weights: {len(weights)} tensors, sha256 {digest}",
    )
    return Conversion(not checkpoint.converted, len(weights), digest, lines)


def convert(checkpoint: ForeignCheckpoint, output: Path) -> Conversion:
    """Write a published checkpoint in pertura's format, or a converted one as it was published; return the facts.

    What was written is read back; `BadDataError` where a tensor is not the one that was read.
    """
    plan = planned(checkpoint)
    if plan.to_own:
        write_own_checkpoint(checkpoint, output, plan.sha256)
        written = published_weights(read_own_checkpoint(output, {}))
    else:
        save_foreign(checkpoint, output)
        written = read_weights(output / checkpoint.weights_file)
    if weights_digest(written) != plan.sha256:
        raise BadDataError(
            "the tensors are not those that were read", file=output, remedy="do not use it; the source is unchanged"
        )
    return plan


def check_output(output: Path, source: Path) -> None:
    """Raise `UsageError` where a conversion would write over something."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"-o {output}: something is there; name a new folder")
    if source.is_dir() and source.resolve() in output.resolve().parents:
        raise UsageError(f"-o {output}: it lies in the folder that is read; name one elsewhere")


def _kind(checkpoint: ForeignCheckpoint) -> str:
    config = checkpoint.config
    kind = "a perturbation model" if config.flags else "a pretrained network"
    family = "scGenePT" if config.final_norm else "scGPT"
    priors = ", ".join(f"{one.name} ({one.width} wide, {one.placement})" for one in config.priors)
    return f"{family}, {kind}, {config.decoder} decoder" + (f", priors: {priors}" if priors else "")


def _parameters(checkpoint: ForeignCheckpoint) -> int:
    return sum(one.numel() for one in checkpoint.network.parameters())
