"""What the loop knows of a model: a network, batches, and the loss of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class StepLoss:
    """The mean loss over the cells of a batch, and named parts of it that are only recorded."""

    total: Tensor
    parts: dict[str, Tensor]


@runtime_checkable
class Objective(Protocol):
    """A network with the loss it is trained on."""

    network: nn.Module

    def loss(self, batch: Any) -> StepLoss:
        """Return the loss of a batch, a mean over its cells."""
        ...


@runtime_checkable
class Feed(Protocol):
    """Batches by number: any of them can be asked for, so that training may begin anywhere.

    `key` says everything the batches depend on but the numbers; a rolled back training asks with another one.
    """

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        ...

    @property
    def fingerprint(self) -> str:
        """A digest of the data: a training is only resumed on the data that it began with."""
        ...

    def places(self, epoch: int, step: int) -> Sequence[int]:
        """Return the positions of the cells of a batch, in its order."""
        ...

    def batch(self, epoch: int, step: int, chosen: Sequence[int], key: str) -> Any:
        """Return those cells as a batch on the device of the network."""
        ...


def cells_of(feed: Feed, epoch: int) -> int:
    """Return how many cells an epoch works through: a place is one cell, or as many as the feed's `cells_each` says."""
    places = sum(len(feed.places(epoch, step)) for step in range(feed.steps))
    return places * int(getattr(feed, "cells_each", 1))
