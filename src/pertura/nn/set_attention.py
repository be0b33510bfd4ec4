"""Attention among the few elements of a set, of which some places may be empty."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from pertura.nn.mlp import linear

Elements = Float[Tensor, "sets elements width"]
Allowed = Bool[Tensor, "sets queries keys"]


def attention_weights(
    scores: Float[Tensor, "sets heads queries keys"], allowed: Allowed
) -> Float[Tensor, "sets heads queries keys"]:
    """Return softmax weights over the allowed keys; a query that is allowed none gets equal weights, never NaN."""
    masked = scores.masked_fill(~allowed[:, None], torch.finfo(scores.dtype).min)
    return torch.softmax(masked, dim=-1)


class SetAttention(nn.Module):
    """Multi-head attention whose inner width, `size`, is free; every map has a bias."""

    def __init__(self, width: int, size: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if size % heads:
            raise ValueError(f"an attention width of {size} cannot be shared by {heads} heads")
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (linear(width, size) for _ in range(3))
        self.output = linear(size, width)

    def forward(self, elements: Elements, allowed: Allowed) -> Elements:
        """Return what each element gathers from those that it may attend to."""
        query, key, value = (self._by_head(part(elements)) for part in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        weights = functional.dropout(attention_weights(scores, allowed), self.dropout, self.training)
        return self.output((weights @ value).transpose(1, 2).flatten(2))

    def _by_head(self, elements: Float[Tensor, "sets elements size"]) -> Float[Tensor, "sets heads elements part"]:
        return elements.unflatten(2, (self.heads, -1)).transpose(1, 2)


class SetAttentionLayer(nn.Module):
    """Attention, and after it, if asked for, a residual feed-forward map of four times the width.

    `doubled` repeats a slip of a published network: a feed-forward map is there and never used, its input is added to
    itself instead.
    """

    def __init__(
        self, width: int, size: int, heads: int, dropout: float, *, feed_forward: bool, norm: bool, doubled: bool
    ) -> None:
        super().__init__()
        self.attention = SetAttention(width, size, heads, dropout)
        self.feed_forward, self.dropout = feed_forward, dropout
        norms = (1 if doubled else 2) if feed_forward and norm else 0
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(norms))
        self.inner = linear(width, size if doubled else 4 * width) if feed_forward else None
        self.outer = linear(4 * width, width) if feed_forward and not doubled else None

    def forward(self, elements: Elements, allowed: Allowed) -> Elements:
        """Return the elements after one layer."""
        gathered = self.attention(elements, allowed)
        if self.inner is None:
            return gathered
        states = self._normed(0, elements + functional.dropout(gathered, self.dropout, self.training))
        added = states if self.outer is None else self.outer(functional.silu(self.inner(states)))
        return self._normed(1, states + functional.dropout(added, self.dropout, self.training))

    def _normed(self, place: int, elements: Elements) -> Elements:
        return self.norms[place](elements) if place < len(self.norms) else elements
