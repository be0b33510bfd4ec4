"""Multi-layer perceptrons whose first map may take several inputs of different numbers of rows."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pertura.nn.dropout import dropout

CUT = 2.0
CUT_DEVIATION = 0.95945
"""The deviation that a standard normal number has left once it is held within `CUT`."""


def linear(inputs: int, outputs: int, *, bias: bool = True, fan_in: int | None = None) -> nn.Linear:
    """Return a linear map with normal weights of variance 1 / `fan_in`, without tails, and a bias of zero.

    `fan_in` is the number of inputs, unless the map is one part of a larger one.
    """
    made = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
    deviation = 1.0 / math.sqrt(fan_in or inputs) / CUT_DEVIATION
    with torch.no_grad():
        made.weight.normal_().clamp_(-CUT, CUT).mul_(deviation)
        if bias:
            made.bias.zero_()
    return made


class JoinedLinear(nn.Module):
    """A linear map of several inputs laid side by side.

    The inputs are never joined: each is mapped by its own part of the weights, and the results are added. An input that
    all rows share, such as the embedding of a condition, has a single row and is mapped once.
    """

    def __init__(self, inputs: Sequence[int], outputs: int) -> None:
        super().__init__()
        total = sum(inputs)
        self.parts = nn.ModuleList(linear(one, outputs, bias=not i, fan_in=total) for i, one in enumerate(inputs))

    def forward(self, *inputs: Float[Tensor, "..."]) -> Float[Tensor, "... outputs"]:
        """Return the sum of the mapped inputs, whose leading axes are broadcast."""
        pairs = sorted(zip(self.parts, inputs, strict=True), key=lambda pair: pair[1].numel())
        total = pairs[0][0](pairs[0][1])
        for part, one in pairs[1:]:
            total = total + part(one)
        return total


class MLP(nn.Module):
    """Linear maps, each followed by SiLU and dropout; SiLU after the last one only if `activate_last`.

    `inputs` is one width, or the widths of several inputs that are laid side by side. Without `dims` a single input
    comes back as it is.
    """

    def __init__(
        self, inputs: int | Sequence[int], dims: Sequence[int], dropout: float = 0.0, *, activate_last: bool = True
    ) -> None:
        super().__init__()
        widths = (inputs,) if isinstance(inputs, int) else tuple(inputs)
        if not dims and len(widths) > 1:
            raise ValueError("a perceptron of several inputs needs at least one layer")
        first = [JoinedLinear(widths, dims[0])] if dims else []
        self.maps = nn.ModuleList([*first, *(linear(a, b) for a, b in pairwise(dims))])
        self.dropout, self.activate_last = dropout, activate_last
        self.width = dims[-1] if dims else widths[0]

    def forward(self, *inputs: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the last layer's values; the leading axes of the inputs are broadcast."""
        if not self.maps:
            return inputs[0]
        states = self.maps[0](*inputs)
        for after in self.maps[1:]:
            states = after(self._dropped(functional.silu(states)))
        return self._dropped(functional.silu(states) if self.activate_last else states)

    def _dropped(self, states: Tensor) -> Tensor:
        return dropout(states, self.dropout, training=self.training)
