"""The pretrained network that strategies start from: read once, never changed, known by the digest of its weights."""

import copy
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from pertura.core.errors import BadDataError, UsageError
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.checkpoint import ForeignCheckpoint
from pertura.models.scgpt.foreign import load_foreign
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.tokens import PAD_VALUE

BINS = 51


@dataclass(frozen=True, eq=False)
class Base:
    """A checkpoint as strategies use it. `place` is where it was read from, for an annotator to find it again."""

    checkpoint: ForeignCheckpoint
    place: str

    @property
    def vocab(self) -> Vocab:
        """Gene <-> token id."""
        return self.checkpoint.vocab

    @property
    def width(self) -> int:
        """Numbers in the embedding of a cell."""
        return self.checkpoint.config.width

    @property
    def bins(self) -> int:
        """Bins that the network was trained with."""
        stated = self.checkpoint.args.get("n_bins", BINS)
        return stated if isinstance(stated, int) and stated > 2 else BINS

    @property
    def pad_value(self) -> float:
        """The value of padding and of the class token."""
        if self.checkpoint.config.value_style == "category":
            return float(self.checkpoint.config.category_pad or 0)
        stated = self.checkpoint.args.get("pad_value", PAD_VALUE)
        return float(stated) if isinstance(stated, int | float) else PAD_VALUE

    @cached_property
    def digest(self) -> str:
        """The sha256 of configuration, vocabulary and weights, whatever file they came from."""
        told = hashlib.sha256(json.dumps(asdict(self.checkpoint.config), sort_keys=True, default=str).encode())
        told.update(json.dumps(dict(self.vocab.ids), sort_keys=True).encode())
        network = self.checkpoint.network
        tables = {f"prior.{i}": one.table for i, one in enumerate(network.prior_tables)}
        for name, tensor in sorted({**network.state_dict(), **tables}.items()):
            told.update(name.encode())
            told.update(tensor.detach().cpu().float().numpy().tobytes())
        return told.hexdigest()

    def body(self) -> ScGPTNetwork:
        """Return a copy of the network for cells alone: what reads expression out of it is left off."""
        network = copy.deepcopy(self.checkpoint.network).float()
        network.add_module("decoder", Undecoded())
        network.query_decoder, network.class_head = None, None
        return network.requires_grad_(False).eval()


@dataclass(frozen=True)
class Nothing:
    """What is decoded where nobody asks."""

    expression: None = None
    zero_probability: None = None


class Undecoded(nn.Module):
    """In the place of a decoder."""

    def forward(self, states: Tensor, values: Tensor, padding: Tensor | None) -> Nothing:
        """Return nothing."""
        return Nothing()


def open_base(place: Path | str) -> Base:
    """Return the network of a published or converted folder, or of a hub name with a revision.

    A network that cannot read a cell by itself (it has no class token, or needs to know the context) raises
    `BadDataError`.
    """
    return base_of(load_foreign(str(place)), str(place))


def base_of(checkpoint: ForeignCheckpoint, place: str) -> Base:
    """Return a checkpoint that is at hand as a base."""
    config = checkpoint.config
    if config.context_labels or config.input_norm == "context":
        raise BadDataError(
            "the network needs to know the batch of each cell (context labels or context norm), which new cells do "
            "not have",
            file=place,
            remedy="give a network without them, as whole-human",
        )
    if "<cls>" not in checkpoint.vocab.ids:
        raise BadDataError("the vocabulary has no <cls> token", file=place, remedy="give the whole folder")
    return Base(replace(checkpoint, network=checkpoint.network.eval()), place)


def merged_checkpoint(base: Base, body: ScGPTNetwork) -> ForeignCheckpoint:
    """Return the base's checkpoint with the weights of a tuned body, without adapters, in their places."""
    network = copy.deepcopy(base.checkpoint.network)
    wanted, found = network.state_dict(), body.state_dict()
    missing = [name for name in wanted if name not in found and not name.startswith(("decoder", "query", "class"))]
    if missing:
        raise UsageError(f"the body still has adapters, or is of another network: no {missing[0]}")
    with torch.no_grad():
        for name, tensor in wanted.items():
            if name in found:
                tensor.copy_(found[name].cpu())
    return replace(base.checkpoint, network=network)
