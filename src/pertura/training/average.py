"""Weights averaged over updates, which are looked at and kept in place of the last ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(eq=False)
class Average:
    """The exponential moving average of a network's trained weights: average += weight * (weights - average)."""

    network: nn.Module
    weight: float
    tensors: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = {name: one.detach().clone() for name, one in self._trained().items()}

    @torch.no_grad()
    def take(self) -> None:
        """Move the average towards the weights as they are."""
        for name, one in self._trained().items():
            self.tensors[name].lerp_(one, self.weight)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Put the average into the network for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a stored average."""
        for name, one in self.tensors.items():
            one.copy_(tensors[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, one in self._trained().items():
            mine = self.tensors[name].clone()
            self.tensors[name].copy_(one)
            one.copy_(mine)

    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: one for name, one in self.network.named_parameters() if one.requires_grad}
