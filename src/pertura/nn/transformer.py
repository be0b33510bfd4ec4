"""A post-norm transformer encoder from explicit linear maps and `scaled_dot_product_attention`.

`torch.nn.TransformerEncoder` is not used: in evaluation it takes a fused path that leaves out adapters, zeroes padded
positions only there, and is slower on long sequences.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from pertura.nn.dropout import dropout as dropped

States = Float[Tensor, "cells genes width"]
Attended = Bool[Tensor, "cells 1 1 genes"]
ByHead = Float[Tensor, "cells heads genes size"]
OneByOne = Float[Tensor, "rows genes size"]

MOST_WEIGHTS = 1 << 26
"""Attention weights that are held for the way back; more are made again there."""
PIECE = 1 << 22
"""Attention weights that are made at a time: few enough to stay in a processor's cache."""


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

    The CPU's fused kernel has no dropout and gains nothing from bfloat16; there the weights are written out, a few
    cells' heads at a time. A batch of 8 cells and 1,536 genes would hold 22 GiB of them over 12 layers, so that they
    are made again on the way back.
    """
    if query.device.type != "cpu" or not (dropout or query.dtype == torch.bfloat16):
        return functional.scaled_dot_product_attention(query, key, value, attended, dropout)
    weights = query.shape[2] ** 2
    rows = max(PIECE // weights, 1)
    queries, keys, values = (part.flatten(0, 1).split(rows) for part in (query, key, value))
    heads = query.shape[1]
    masks = [None] * len(queries) if attended is None else _of_heads(attended, heads).split(rows)
    again = torch.is_grad_enabled() and query.shape[0] * heads * weights > MOST_WEIGHTS
    attend = partial(checkpoint, _written_out, use_reentrant=False) if again else _written_out
    made = [attend(q, k, v, mask, dropout) for q, k, v, mask in zip(queries, keys, values, masks, strict=True)]
    return torch.cat(made).unflatten(0, (-1, heads))


def _of_heads(attended: Attended, heads: int) -> Bool[Tensor, "rows 1 genes"]:
    return attended.expand(-1, heads, -1, -1).flatten(0, 1)


def _written_out(
    query: OneByOne, key: OneByOne, value: OneByOne, attended: Bool[Tensor, "rows 1 genes"] | None, dropout: float
) -> OneByOne:
    """Return attention by its definition, softmax(query key' / sqrt(size)) value."""
    scores = torch.baddbmm(query.new_empty(()), query, key.mT, beta=0, alpha=query.shape[2] ** -0.5)
    if attended is not None:
        scores = scores.masked_fill(~attended, -torch.inf)
    return dropped(scores.softmax(dim=-1), dropout, training=True) @ value


class EncoderLayer(nn.Module):
    """Attention and a two-layer network, each added to its input and then normalised."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, dropout)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = dropout

    def forward(self, states: States, attended: Attended | None) -> States:
        """Return the states after one layer."""
        states = self.norm1(states + self._dropped(self.attention(states, attended)))
        widened = self._dropped(functional.relu(self.linear1(states)))
        return self.norm2(states + self._dropped(self.linear2(widened)))

    def _dropped(self, states: Float[Tensor, "cells genes any"]) -> Float[Tensor, "cells genes any"]:
        return dropped(states, self.dropout, training=self.training)


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
