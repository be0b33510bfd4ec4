"""A network that names cells: a pretrained body, adapters in it where asked, and a head of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pertura.annotation.embedding import class_states
from pertura.annotation.pretrained import Base
from pertura.annotation.tuning_options import Adapters
from pertura.core.errors import BadDataError
from pertura.core.seeds import generator
from pertura.models.scgpt.embedding import ContextNorm
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.tokens import TokenBatch

Cells = Float[Tensor, "cells width"]
Logits = Float[Tensor, "cells classes"]


class LabelHead(nn.Module):
    """A norm, dropout and a linear map: 2 width + (width + 1) classes numbers."""

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout, self.map = nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, classes)

    def forward(self, vectors: Cells) -> Logits:
        """Return the logits of the classes."""
        return self.map(self.dropout(self.norm(vectors)))


class LabelNetwork(nn.Module):
    """Body and head. Its state holds what is trained and nothing else, so that a state is as small as an adapter.

    In training the dropout of a frozen body stays off, and the statistics of its norms stay as they were published.
    """

    def __init__(self, body: ScGPTNetwork, head: LabelHead, *, whole: bool) -> None:
        super().__init__()
        self.body, self.head, self.whole = body, head, whole

    def forward(self, batch: TokenBatch) -> tuple[Logits, Cells]:
        """Return logits and unit vectors of a batch."""
        vectors = class_states(self.body, batch, str(next(self.head.parameters()).device))
        return self.head(vectors), vectors

    def train(self, mode: bool = True) -> "LabelNetwork":
        """Switch to training: the head, adapters, and the body where it is trained as a whole."""
        super().train(mode)
        if not self.whole:
            self.body.eval()
            for name, one in self.body.named_modules():
                if ".lora_dropout" in name:
                    one.train(mode)
        for one in self.body.modules():
            if isinstance(one, nn.BatchNorm1d | ContextNorm):
                one.eval()
        return self

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield name and value of everything that is trained."""
        return ((name, one) for name, one in self.named_parameters() if one.requires_grad)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return what is trained."""
        return {name: one.detach() for name, one in self.trained()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take over what `state_dict` gave; other names or shapes raise `BadDataError`."""
        mine = dict(self.trained())
        wrong = sorted(set(mine) ^ set(state_dict)) or [
            name for name, one in mine.items() if one.shape != state_dict[name].shape
        ]
        if wrong:
            raise BadDataError(f"the weights are of another network or other adapters (first: {wrong[0]})")
        with torch.no_grad():
            for name, one in mine.items():
                one.copy_(state_dict[name])
        return None


def lora_network(
    base: Base, classes: int, adapters: Adapters, head_dropout: float, seed: tuple[object, ...]
) -> LabelNetwork:
    """Return a frozen body with fresh adapters, which change nothing yet, and a fresh head."""
    from peft import LoraConfig, inject_adapter_in_model

    body = base.body()
    config = LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,  # type: ignore[arg-type]
        lora_dropout=adapters.dropout,
        target_modules=adapters.pattern,
        bias="none",
    )
    with _seeded(seed):
        head = LabelHead(base.width, classes, head_dropout)
        inject_adapter_in_model(config, body)
    return LabelNetwork(body, head, whole=False)


def whole_network(base: Base, classes: int, head_dropout: float, seed: tuple[object, ...]) -> LabelNetwork:
    """Return a body of which everything that a cell's vector depends on is trained, and a fresh head."""
    body = base.body().requires_grad_(True)
    with _seeded(seed):
        head = LabelHead(base.width, classes, head_dropout)
    return LabelNetwork(body, head, whole=True)


def fresh_head(width: int, classes: int, dropout: float, seed: tuple[object, ...]) -> LabelHead:
    """Return a head with weights drawn by a seed."""
    with _seeded(seed):
        return LabelHead(width, classes, dropout)


def merge(network: LabelNetwork) -> ScGPTNetwork:
    """Return the body with its adapters added into its weights; it has none any more."""
    from peft.tuners.lora import LoraLayer

    for name, one in list(network.body.named_modules()):
        if isinstance(one, LoraLayer):
            one.merge()
            above, _, last = name.rpartition(".")
            setattr(network.body.get_submodule(above), last, one.get_base_layer())
    return network.body


def switch_adapters(network: LabelNetwork, on: bool) -> None:
    """Turn all adapters on, or off so that the body is the base."""
    from peft.tuners.lora import LoraLayer

    for one in network.body.modules():
        if isinstance(one, LoraLayer):
            one.enable_adapters(on)


def parameters_of(network: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(one.numel() for one in network.parameters() if one.requires_grad)


@contextmanager
def _seeded(seed: tuple[object, ...]) -> Iterator[None]:
    """Draw from torch's own generator as a seed says, and leave it as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(int(str(seed[0])), *seed[1:]).integers(2**62)))
        yield
