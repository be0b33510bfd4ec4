"""Probability paths between a source and a target: where a pair stands at a time, and how fast it moves."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Cells = Float[Tensor, "*cells dims"]
Times = Float[Tensor, "*cells 1"]


@dataclass(frozen=True, eq=False)
class PathPoint:
    """Where pairs stand, and the velocity that a network should answer there."""

    x: Cells
    velocity: Cells


@runtime_checkable
class Path(Protocol):
    """A family of distributions, from the source at time 0 to the target at time 1."""

    def at(self, t: Times, source: Cells, target: Cells, noise: Cells) -> PathPoint:
        """Return where pairs stand at their times; `noise` is standard normal."""
        ...


@dataclass(frozen=True)
class ConstantNoise:
    """The straight line between the two, with noise of the same deviation all along."""

    deviation: float = 0.0

    def at(self, t: Times, source: Cells, target: Cells, noise: Cells) -> PathPoint:
        """Return (1 - t) source + t target + deviation noise, and target - source."""
        return PathPoint((1 - t) * source + t * target + self.deviation * noise, target - source)


@dataclass(frozen=True)
class Bridge:
    """The straight line between the two, with the noise of a Brownian bridge: none at the ends."""

    deviation: float = 1.0

    def at(self, t: Times, source: Cells, target: Cells, noise: Cells) -> PathPoint:
        """Return the place at a deviation of `deviation` sqrt(t (1 - t)), and the velocity of such a place.

        The velocity is (1 - 2t) / (2t(1 - t)) (x - mean) + target - source (Tong et al. 2023). In it the noise is
        written out, so that an end of the path is no division of zero by zero; it has no limit there: none is added.
        """
        mean = (1 - t) * source + t * target
        spread = torch.sqrt(t * (1 - t))
        x = mean + self.deviation * spread * noise
        inside = spread > 0
        pull = torch.where(inside, (1 - 2 * t) / (2 * torch.where(inside, spread, torch.ones_like(spread))), 0.0)
        return PathPoint(x, self.deviation * pull * noise + target - source)
