"""Which cell of one population becomes which cell of another: couplings by optimal transport.

Every function works on one pair of populations or, with leading axes, on several at once, each by itself.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from pertura.flow.exact import exact_plan
from pertura.flow.sinkhorn import SinkhornOptions, sinkhorn

FINE = 0.05
STRICT = ConfigDict(extra="forbid", strict=True)
Positions = Int[Tensor, "*groups pairs"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CouplingOptions:
    """How cells are paired. `independent` takes them as they come; `exact` is transport without regularisation.

    `exact` solves a linear programme on the CPU: n cells take about n**3 steps.
    """

    kind: Literal["sinkhorn", "exact", "independent"] = "sinkhorn"
    sinkhorn: SinkhornOptions = Field(default_factory=SinkhornOptions)


@torch.no_grad()
def paired(
    source: Float[Tensor, "*groups sources width"],
    target: Float[Tensor, "*groups targets width"],
    uniforms: Float[Tensor, "*groups pairs 2"],
    options: CouplingOptions,
) -> tuple[Positions, Positions]:
    """Return the positions in source and in target of as many pairs as there are `uniforms` (in [0, 1)).

    Pairs are drawn from the plan with replacement; an independent coupling takes position i of both sides.
    """
    if options.kind == "independent":
        return _as_they_come(source, target, uniforms)
    with torch.autocast(source.device.type, enabled=False):
        if options.kind == "exact":
            plan = exact_plan(squared_distances(source, target))
        else:
            plan = match_linear(source, target, options.sinkhorn)
        return drawn_pairs(plan, uniforms)


def match_linear(
    source: Float[Tensor, "*groups sources width"],
    target: Float[Tensor, "*groups targets width"],
    options: SinkhornOptions | None = None,
) -> Float[Tensor, "*groups sources targets"]:
    """Return the plan that moves one population to another at little squared distance, in their precision.

    A small epsilon multiplies the rounding of the distances; there they are taken in float64.
    """
    how = options or SinkhornOptions()
    exact = how.epsilon < FINE
    cost = squared_distances(source.double(), target.double()) if exact else squared_distances(source, target)
    return sinkhorn(cost, how).plan.to(source.dtype)


def squared_distances(
    source: Float[Tensor, "*groups sources width"], target: Float[Tensor, "*groups targets width"]
) -> Float[Tensor, "*groups sources targets"]:
    """Return the squared Euclidean distance of each cell of one population to each of the other."""
    squares = source.square().sum(-1)[..., :, None] + target.square().sum(-1)[..., None, :]
    return (
        torch.baddbmm(
            squares.reshape(-1, *squares.shape[-2:]),
            source.reshape(-1, *source.shape[-2:]),
            target.reshape(-1, *target.shape[-2:]).transpose(-1, -2),
            alpha=-2.0,
        )
        .reshape(squares.shape)
        .clamp_min_(0.0)
    )


def drawn_pairs(
    plan: Float[Tensor, "*groups sources targets"], uniforms: Float[Tensor, "*groups pairs 2"]
) -> tuple[Positions, Positions]:
    """Return pairs drawn from a plan, which need not sum to one: first the source by its mass, then its target."""
    masses = plan.sum(-1).double().cumsum(-1)
    rows = _where(masses, uniforms[..., 0].to(masses.dtype))
    sources, targets = plan.shape[-2:]
    groups = torch.arange(plan.numel() // (sources * targets), device=plan.device) * sources
    taken = rows.reshape(len(groups), -1) + groups[:, None]
    within = plan.reshape(-1, targets)[taken.flatten()].cumsum(-1).reshape(*rows.shape, targets)
    columns = _where(within, uniforms[..., 1, None].to(within.dtype))[..., 0]
    return rows, columns


def _where(
    cumulated: Float[Tensor, "*groups steps"], uniforms: Float[Tensor, "*groups draws"]
) -> Int[Tensor, "*groups draws"]:
    """Return the first step whose cumulated mass exceeds a share of the whole; a step without mass is never taken."""
    found = torch.searchsorted(cumulated, (uniforms * cumulated[..., -1:]).contiguous(), right=True)
    last = torch.searchsorted(cumulated, cumulated[..., -1:].contiguous())
    return torch.minimum(found, last)


def _as_they_come(
    source: Float[Tensor, "*groups sources width"],
    target: Float[Tensor, "*groups targets width"],
    uniforms: Float[Tensor, "*groups pairs 2"],
) -> tuple[Positions, Positions]:
    places = torch.arange(uniforms.shape[-2], device=source.device).expand(uniforms.shape[:-1])
    return places % source.shape[-2], places % target.shape[-2]
