"""How expression is read out of states."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pertura.core.errors import UsageError
from pertura.models.scgpt.config import ScGPTConfig
from pertura.nn.heads import ValueHead

PerGene = Float[Tensor, "cells genes"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    one.__name__: one
    for one in (
        *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity),
        *(nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus),
        *(nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink),
    )
}
"""Those of `torch.nn` that are learnt nothing and need no argument."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Expression, and where it is modelled the probability that a gene is silent."""

    expression: PerGene
    zero_probability: PerGene | None


class PlainDecoder(nn.Module):
    """Expression straight from the state."""

    def __init__(self, config: ScGPTConfig, inputs: int) -> None:
        super().__init__()
        self.head = ValueHead(inputs, config.width)
        self.zero = ValueHead(inputs, config.width) if config.explicit_zero else None

    def forward(
        self, states: Float[Tensor, "cells genes inputs"], values: PerGene, padding: Bool[Tensor, "cells genes"] | None
    ) -> Decoded:
        """Return expression; the values take no part."""
        return Decoded(self.head(states), None if self.zero is None else torch.sigmoid(self.zero(states)))


class AffineDecoder(nn.Module):
    """Expression as coefficient x value + bias, both from the state (official since 2024-01)."""

    def __init__(self, config: ScGPTConfig, inputs: int) -> None:
        super().__init__()
        self.coefficient, self.bias = ValueHead(inputs, config.width), ValueHead(inputs, config.width)
        self.zero = ValueHead(inputs, config.width) if config.explicit_zero else None
        self.activation = _activation(config.decoder_activation)
        self.adaptive_bias = config.adaptive_bias

    def forward(
        self, states: Float[Tensor, "cells genes inputs"], values: PerGene, padding: Bool[Tensor, "cells genes"] | None
    ) -> Decoded:
        """Return expression; an adaptive bias grows with the mean of the cell's non-zero values."""
        coefficient, bias = self.activation(self.coefficient(states)), self.activation(self.bias(states))
        if self.adaptive_bias:
            there = values if padding is None else values.masked_fill(padding, 0.0)
            bias = bias * there.sum(dim=1, keepdim=True) / there.count_nonzero(dim=1)[:, None].clamp(min=1)
        expression = coefficient * values + bias
        return Decoded(expression, None if self.zero is None else torch.sigmoid(self.zero(states)))


class QueryDecoder(nn.Module):
    """Expression as the inner product of a gene's query with the cell embedding (MVC)."""

    def __init__(self, config: ScGPTConfig, inputs: int) -> None:
        super().__init__()
        self.query = nn.Linear(config.width, config.width)
        self.weight = nn.Linear(config.width, inputs, bias=False)
        self.zero = nn.Linear(config.width, inputs) if config.explicit_zero else None

    def forward(self, cell: Float[Tensor, "cells inputs"], tokens: Float[Tensor, "rows genes width"]) -> Decoded:
        """Return expression of each gene in each cell, from normalised gene tokens."""
        query = torch.sigmoid(self.query(tokens))
        expression = _inner(self.weight(query), cell)
        return Decoded(expression, None if self.zero is None else torch.sigmoid(_inner(self.zero(query), cell)))


def _inner(query: Float[Tensor, "rows genes inputs"], cell: Float[Tensor, "cells inputs"]) -> PerGene:
    shared = query.shape[0] != cell.shape[0]
    return torch.einsum("gi,ci->cg", query[0], cell) if shared else torch.einsum("cgi,ci->cg", query, cell)


def _activation(name: str | None) -> nn.Module:
    if name is None:
        return nn.Identity()
    if name not in ACTIVATIONS:
        raise UsageError(f"no activation {name!r}; there are {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[name]()
