"""One vector out of the elements of a set, of which some places may be empty."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from pertura.nn.mlp import linear
from pertura.nn.set_attention import SetAttention, attention_weights

Elements = Float[Tensor, "sets elements width"]
Present = Bool[Tensor, "sets elements"]
Pooled = Float[Tensor, "sets pooled"]


class MeanPooling(nn.Module):
    """The mean of the elements that are there; a set of none gives zero.

    With `over_places` the sum is divided by the number of places, full or empty, which halves a single gene in a place
    for two.
    """

    def __init__(self, width: int, *, over_places: bool = False) -> None:
        super().__init__()
        self.width, self.over_places = width, over_places

    def forward(self, elements: Elements, present: Present) -> Pooled:
        """Return the means."""
        weight = present.to(elements.dtype)[..., None]
        count = elements.shape[1] if self.over_places else weight.sum(dim=1).clamp(min=1.0)
        return (elements * weight).sum(dim=1) / count


class TokenPooling(nn.Module):
    """What a learnt token gathers by attention from the elements that are there, and from itself.

    With `sees_empty` it also gathers from empty places, as networks before May 2025 did.
    """

    def __init__(self, width: int, size: int, heads: int, dropout: float, *, sees_empty: bool = False) -> None:
        super().__init__()
        self.width, self.sees_empty = width, sees_empty
        self.token = nn.Parameter(torch.randn(1, width) / math.sqrt(width))
        self.attention = SetAttention(width, size, heads, dropout)

    def forward(self, elements: Elements, present: Present) -> Pooled:
        """Return the token's state after attention."""
        sets = len(elements)
        joined = torch.cat([self.token.to(elements.dtype).expand(sets, 1, -1), elements], dim=1)
        seen = torch.ones_like(present) if self.sees_empty else present
        with_token = torch.cat([seen.new_ones(sets, 1), seen], dim=1)
        return self.attention(joined, with_token[:, None, :].expand(-1, joined.shape[1], -1))[:, 0]


class SeedPooling(nn.Module):
    """What a learnt seed gathers by attention from the elements that are there; of a set of none it gathers zero.

    Scores are divided by the root of the whole inner width, not of a head's. `from_first` repeats a published mask: an
    empty first place makes every place count, full or empty.
    """

    def __init__(
        self,
        width: int,
        size: int,
        heads: int,
        seed: int,
        dropout: float,
        *,
        feed_forward: bool = False,
        norm: bool = False,
        from_first: bool = False,
    ) -> None:
        super().__init__()
        if size % heads:
            raise ValueError(f"an attention width of {size} cannot be shared by {heads} heads")
        self.width, self.heads, self.dropout, self.from_first = size, heads, dropout, from_first
        self.seed = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, seed)))
        self.query, self.key, self.value = linear(seed, size), linear(width, size), linear(width, size)
        self.feed_forward = linear(size, size) if feed_forward else None
        self.norms = nn.ModuleList(nn.LayerNorm(size, eps=1e-6) for _ in range(2 if feed_forward and norm else 0))

    def forward(self, elements: Elements, present: Present) -> Pooled:
        """Return what the seed gathered."""
        query = self.query(self.seed.to(elements.dtype)).expand(len(elements), 1, -1)
        parts = (one.unflatten(2, (self.heads, -1)).transpose(1, 2) for one in (query, *self._keys_values(elements)))
        asked, key, value = parts
        scores = asked @ key.transpose(-1, -2) / math.sqrt(self.width)
        counted = present & present[:, :1] if self.from_first else present
        gathered = (attention_weights(scores, counted[:, None]) @ value).transpose(1, 2).flatten(2)[:, 0]
        if not self.from_first:
            gathered = gathered * present.any(dim=1, keepdim=True)
        return self._fed_forward(query[:, 0], gathered)

    def _keys_values(self, elements: Elements) -> tuple[Tensor, Tensor]:
        return self.key(elements), self.value(elements)

    def _fed_forward(self, query: Pooled, gathered: Pooled) -> Pooled:
        if self.feed_forward is None:
            return gathered
        states = functional.dropout(query + gathered, self.dropout, self.training)
        states = self.norms[0](states) if self.norms else states
        added = functional.silu(self.feed_forward(states))
        states = states + functional.dropout(added, self.dropout, self.training)
        return self.norms[1](states) if self.norms else states
