"""Small networks that read a result out of states."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


class ValueHead(nn.Module):
    """One number from each state: three linear maps with leaky ReLU between them."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList([nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, 1)])

    def forward(self, states: Float[Tensor, "*lead inputs"]) -> Float[Tensor, "*lead"]:
        """Return one number for each state."""
        first, second, last = self.maps
        return last(nn.functional.leaky_relu(second(nn.functional.leaky_relu(first(states))))).squeeze(-1)


class ClassHead(nn.Module):
    """Class logits from an embedding: linear, activation and norm, `depth` - 1 times, then a linear map."""

    def __init__(self, width: int, classes: int, depth: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth - 1))
        self.activation = activation()
        self.last = nn.Linear(width, classes)

    def forward(self, embedding: Float[Tensor, "cells width"]) -> Float[Tensor, "cells classes"]:
        """Return the logits."""
        for linear, norm in self.layers:
            embedding = norm(self.activation(linear(embedding)))
        return self.last(embedding)

    @property
    def layers(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        """The linear maps with their norms."""
        return list(zip(self.maps, self.norms, strict=True))
