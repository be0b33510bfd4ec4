"""A post-norm transformer encoder from explicit linear maps and `scaled_dot_product_attention`.

`torch.nn.TransformerEncoder` is not used: in evaluation it takes a fused path that leaves out adapters, zeroes padded
positions only there, and is slower on long sequences.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

States = Float[Tensor, "cells genes width"]
Attended = Bool[Tensor, "cells 1 1 genes"]


ByHead = Float[Tensor, "cells heads genes size"]
MOST_WEIGHTS = 1 << 26
"""Attention weights that are held for the way back; more are made again there."""


class SelfAttention(nn.Module):
    """Every gene attends to every gene that `attended` marks; query, key, value and output are linear maps."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, states: States, attended: Attended | None) -> States:
        """Return the attended states; `attended` None means that no gene is padding."""
        dropout = self.dropout if self.training else 0.0
        query, key, value = (self._by_head(part(states)) for part in (self.query, self.key, self.value))
        mixed = _attention(query, key, value, attended, dropout)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _by_head(self, states: States) -> ByHead:
        return states.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _attention(query: ByHead, key: ByHead, value: ByHead, attended: Attended | None, dropout: float) -> ByHead:
    """Return what each gene takes from the others.

    On the CPU there is no kernel for dropout that leaves the weights unwritten: a batch of 8 cells and 1,536 genes
    would hold 22 GiB of them over 12 layers. There a few cells at a time are attended, and again on the way back.
    """
    weights = query.shape[1] * query.shape[2] ** 2
    if not dropout or query.is_cuda or len(query) * weights <= MOST_WEIGHTS:
        return functional.scaled_dot_product_attention(query, key, value, attended, dropout)
    cells = _pieces(len(query), weights)
    masks = [None] * -(-len(query) // cells) if attended is None else attended.split(cells)
    pieces = zip(query.split(cells), key.split(cells), value.split(cells), masks, strict=True)
    attend = functional.scaled_dot_product_attention
    return torch.cat([checkpoint(attend, *piece, dropout, use_reentrant=False) for piece in pieces])


def _pieces(cells: int, weights: int) -> int:
    """Return how many cells of so many weights each are attended at a time."""
    return min(max(MOST_WEIGHTS // weights, 1), cells)


class EncoderLayer(nn.Module):
    """Attention and a two-layer network, each added to its input and then normalised."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, dropout)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: States, attended: Attended | None) -> States:
        """Return the states after one layer."""
        states = self.norm1(states + self.dropout(self.attention(states, attended)))
        widened = self.dropout(functional.relu(self.linear1(states)))
        return self.norm2(states + self.dropout(self.linear2(widened)))


class Encoder(nn.Module):
    """A stack of layers. Padded genes are attended to in no mode, and their states come back as zero."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout) for _ in range(layers))

    def forward(self, states: States, padding: Bool[Tensor, "cells genes"] | None) -> States:
        """Return the states after the last layer; `padding` marks the genes that are none."""
        attended = None if padding is None else ~padding[:, None, None, :]
        for layer in self.layers:
            states = layer(states, attended)
        return states if padding is None else states.masked_fill(padding[..., None], 0.0)


def positions_that_count(padding: Bool[Tensor, "cells genes"] | None, states: States) -> Float[Tensor, "cells genes"]:
    """Return 1 for every gene that is there and 0 for padding, in the type of `states`."""
    if padding is None:
        return torch.ones(states.shape[:2], dtype=states.dtype, device=states.device)
    return (~padding).to(states.dtype)
