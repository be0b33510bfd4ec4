"""The encoder of conditions: a set of perturbed genes, and what else describes the cells, become one vector."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pertura.core.errors import UsageError
from pertura.models.cellflow.config import AttentionLayer, CellFlowConfig, Covariate, Layer
from pertura.nn.mlp import MLP, linear
from pertura.nn.pooling import MeanPooling, SeedPooling, TokenPooling
from pertura.nn.set_attention import SetAttentionLayer

Vectors = Float[Tensor, "sets elements _"]
Present = Bool[Tensor, "sets elements"]
Condition = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Encoded:
    """The normal distribution of the vector of each set of genes; its log variance is zero where there is none."""

    mean: Float[Tensor, "sets width"]
    logvar: Float[Tensor, "sets width"]

    def drawn(self, noise: Float[Tensor, "*rows width"] | None) -> Float[Tensor, "*rows width"]:
        """Return the mean moved by `noise` standard deviations: one row for each set, or sets x cells of rows."""
        if noise is None:
            return self.mean
        mean, deviation = self.mean, torch.exp(self.logvar / 2)
        if noise.dim() > mean.dim():
            mean, deviation = mean[:, None], deviation[:, None]
        return mean + noise * deviation


class SetLayers(nn.Module):
    """Layers in a row, each on the elements of sets or on vectors; `width` is that of the result."""

    def __init__(self, width: int, layers: Sequence[Layer], *, doubled: bool) -> None:
        super().__init__()
        self.layers, self.width = nn.ModuleList(), width
        for layer in layers:
            if isinstance(layer, AttentionLayer):
                self.layers.extend(_attention(self.width, layer, doubled))
            else:
                self.layers.append(MLP(self.width, layer.dims, layer.dropout))
                self.width = layer.dims[-1] if layer.dims else self.width

    def forward(self, vectors: Vectors, present: Present) -> Vectors:
        """Return the vectors after all layers; attention goes only to elements that are present."""
        for layer in self.layers:
            if isinstance(layer, SetAttentionLayer):
                vectors = layer(vectors, present[:, None, :].expand(-1, present.shape[1], -1))
            else:
                vectors = layer(vectors)
        return vectors


class ToWidth(nn.Module):
    """Layers on the vector of a whole set, and a linear map to the width of a condition."""

    def __init__(self, width: int, config: CellFlowConfig) -> None:
        super().__init__()
        self.layers = SetLayers(width, config.layers_after_pool, doubled=config.compat is not None)
        self.last = linear(self.layers.width, config.condition_width)

    def forward(self, vectors: Float[Tensor, "sets width"]) -> Float[Tensor, "sets condition"]:
        """Return the mapped vectors; to attention they are sets of one."""
        alone = torch.ones(len(vectors), 1, dtype=torch.bool, device=vectors.device)
        return self.last(self.layers(vectors[:, None], alone)[:, 0])


class ConditionEncoder(nn.Module):
    """Covariates -> their own layers -> layers they share -> pooling -> layers -> a vector.

    Covariates are taken in alphabetical order. Empty places have no influence, and the order of the elements none
    either.
    """

    def __init__(self, config: CellFlowConfig) -> None:
        super().__init__()
        self.config, doubled = config, config.compat is not None
        own = [SetLayers(one.width, one.layers, doubled=doubled) for one in self.covariates]
        widths = {one.name: layers.width for one, layers in zip(self.covariates, own)}
        self.own = nn.ModuleList(own)
        total = sum(widths[one.name] for one in config.pooled)
        self.shared = SetLayers(total, config.layers_before_pool, doubled=doubled)
        self.pooling = _pooling(self.shared.width, config)
        beside = sum(widths[one.name] for one in config.unpooled)
        self.after = ToWidth(self.pooling.width + beside, config)
        self.spread = ToWidth(config.condition_width, config) if config.stochastic else None

    @property
    def covariates(self) -> tuple[Covariate, ...]:
        """The covariates in the order of their layers: pooled ones, then the others."""
        return (*self.config.pooled, *self.config.unpooled)

    def forward(self, condition: Condition, present: Present | None = None) -> Encoded:
        """Return the distribution of each set's vector.

        `condition` has for each covariate an array of sets x elements x width. An element whose vectors are all zero is
        not there, unless `present` says otherwise.
        """
        vectors = self._checked(condition)
        there = self._present(vectors) if present is None else present
        own = {one.name: layers(vectors[one.name], there) for one, layers in zip(self.covariates, self.own)}
        joined = torch.cat([own[one.name] for one in self.config.pooled], dim=-1)
        pooled = self.pooling(self.shared(joined, there), there)
        whole = torch.cat([pooled, *(own[one.name][:, 0] for one in self.config.unpooled)], dim=-1)
        mean = self.after(whole)
        return Encoded(mean, torch.zeros_like(mean) if self.spread is None else self.spread(mean))

    def _checked(self, condition: Condition) -> dict[str, Tensor]:
        """Return the vectors by covariate, with the groups that none names under the empty name."""
        named = {one.name for one in self.covariates}
        rest = [condition[group] for group in sorted(set(condition) - named)]
        found = {group: condition[group] for group in sorted(set(condition) & named)}
        if rest and "" in named:
            found[""] = torch.cat(rest, dim=-1)
        if set(found) != named or (rest and "" not in named):
            raise UsageError(f"the network takes {_quoted(named)}, the condition has {_quoted(condition)}")
        for one in self.covariates:
            if found[one.name].dim() != 3 or found[one.name].shape[-1] != one.width:
                shape = tuple(found[one.name].shape)
                raise UsageError(f"{one.name!r} has the shape {shape}, and (sets, elements, {one.width}) is needed")
        return found

    def _present(self, vectors: Mapping[str, Tensor]) -> Present:
        """Return which places hold an element.

        Published networks look at every covariate: where a context is told with each element, even an empty place
        counts. Here the covariates that mark presence decide.
        """
        every = self.config.compat is not None
        looked = [vectors[one.name] for one in self.covariates if every or one.marks_presence]
        if not looked:
            raise UsageError("no covariate marks which elements are there: say it by `present`")
        return torch.stack([(one != self.config.absent).any(dim=-1) for one in looked]).any(dim=0)


def _attention(width: int, layer: AttentionLayer, doubled: bool) -> list[SetAttentionLayer]:
    if len(layer.heads) != len(layer.sizes):
        raise UsageError(f"an attention layer has {len(layer.heads)} numbers of heads and {len(layer.sizes)} sizes")
    return [
        SetAttentionLayer(
            width, size, heads, layer.dropout, feed_forward=layer.feed_forward, norm=layer.norm, doubled=doubled
        )
        for heads, size in zip(layer.heads, layer.sizes)
    ]


def _pooling(width: int, config: CellFlowConfig) -> MeanPooling | TokenPooling | SeedPooling:
    how, published = config.pooling, config.compat is not None
    if how.kind == "mean":
        return MeanPooling(width, over_places=published)
    if how.kind == "token":
        return TokenPooling(width, how.size, how.heads, how.dropout, sees_empty=config.compat == "paper")
    return SeedPooling(
        width,
        how.size,
        how.heads,
        how.seed,
        how.dropout,
        feed_forward=how.feed_forward,
        norm=how.norm,
        from_first=published,
    )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(one) if one else "groups of any name" for one in sorted(names)) or "nothing"
