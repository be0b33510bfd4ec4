"""Entropic optimal transport between uniform masses: balanced, or with masses that may be left behind.

The plan P minimises <P, C> + epsilon * <P, log P - 1> with a penalty rho * KL(margin | uniform) on each margin,
tau = rho / (rho + epsilon); tau = 1 keeps a margin exactly (Cuturi 2013; Chizat et al. 2018).
"""

import math
from dataclasses import dataclass as plain_dataclass

import torch
from jaxtyping import Bool, Float, Int
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

CHECK_EVERY = 10
"""Iterations between looks at the error: each look makes a device wait."""
UNDERFLOW = 87.0
"""exp(-87) is the smallest normal float32."""
NEGLIGIBLE = 18.0
"""An entry of the plan below exp(-18) of the mean one is not missed."""
Plan = Float[Tensor, "groups sources targets"]
OfSources = Float[Tensor, "groups sources"]
OfTargets = Float[Tensor, "groups targets"]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class SinkhornOptions:
    """The problem and when its solution is good enough; the defaults are those of the published CellFlow runs.

    `epsilon` is a cost, after the cost was divided by its mean where `scale_cost` says so. `tolerance` bounds the sum
    of the absolute errors of the target margin; None is 1e-3 where both margins are kept, else 1e-2, as published.
    """

    epsilon: float = Field(default=0.1, gt=0)
    scale_cost: bool = True
    tau_source: float = Field(default=1.0, gt=0, le=1)
    tau_target: float = Field(default=1.0, gt=0, le=1)
    tolerance: float | None = Field(default=None, gt=0)
    most: int = Field(default=2000, ge=1)
    """Iterations after which the plan is taken as it is."""

    @property
    def enough(self) -> float:
        """The error at which iterations end."""
        balanced = self.tau_source == self.tau_target == 1
        return self.tolerance if self.tolerance is not None else 1e-3 if balanced else 1e-2


@plain_dataclass(frozen=True, eq=False)
class Transport:
    """A plan with its potentials (in units of the scaled cost), and how it was come by.

    `error` is the sum of the absolute errors of the target margin; the source margin is exact.
    """

    plan: Float[Tensor, "*groups sources targets"]
    source_potential: Float[Tensor, "*groups sources"]
    target_potential: Float[Tensor, "*groups targets"]
    iterations: Int[Tensor, "*groups"]
    error: Float[Tensor, "*groups"]


@torch.no_grad()
def sinkhorn(cost: Float[Tensor, "*groups sources targets"], options: SinkhornOptions) -> Transport:
    """Return the plan between uniform masses for a cost, in the precision of the cost.

    Iterates on the kernel exp(-cost / epsilon), shifted so that each row and column holds a 1, while no entry that is
    too small for a float can matter; else on logarithms in float64, which is several times dearer and always possible.
    """
    flat = cost.reshape(-1, *cost.shape[-2:])
    if options.scale_cost:
        flat = flat / flat.mean(dim=(-2, -1), keepdim=True)
    kernel = _Kernel(flat, options)
    state = _iterated(kernel, options)
    unsafe = torch.nonzero(~kernel.safe(state))[:, 0]
    plan = kernel.plan(state)
    if len(unsafe):
        logs = _Logs(flat[unsafe].double(), options)
        again = _iterated(logs, options)
        plan[unsafe] = logs.plan(again).to(plan.dtype)
        state.put(unsafe, again)
    lead = cost.shape[:-2]
    return Transport(
        plan.reshape(cost.shape),
        state.f.reshape(*lead, -1),
        state.g.reshape(*lead, -1),
        state.iterations.reshape(lead),
        state.error.reshape(lead),
    )


@plain_dataclass(eq=False)
class _State:
    """Potentials of several problems, and where each stands."""

    f: OfSources
    g: OfTargets
    error: Float[Tensor, " groups"]
    iterations: Int[Tensor, " groups"]

    def put(self, places: Int[Tensor, " some"], other: "_State") -> None:
        for mine, theirs in ((self.f, other.f), (self.g, other.g), (self.error, other.error)):
            mine[places] = theirs.to(mine.dtype)
        self.iterations[places] = other.iterations


class _Kernel:
    """exp(-(C - r - s) / epsilon), with r the least cost of a source, s that of a target beyond it."""

    def __init__(self, cost: Plan, options: SinkhornOptions) -> None:
        self.options, eps = options, options.epsilon
        self.r = cost.amin(-1)
        rest = cost - self.r[..., None]
        self.s = rest.amin(-2)
        self.kernel = rest.sub_(self.s[..., None, :]).mul_(-1 / eps).exp_()

    def scaled(self, f: OfSources, g: OfTargets) -> tuple[OfSources, OfTargets]:
        eps = self.options.epsilon
        return (f - self.r) / eps, (g - self.s) / eps

    def target_step(self, f: OfSources) -> OfTargets:
        """Return log sum over sources of exp((f - C) / epsilon)."""
        log_u = (f - self.r) / self.options.epsilon
        return _log_product(self.kernel.transpose(-1, -2), log_u) - self.s / self.options.epsilon

    def source_step(self, g: OfTargets) -> OfSources:
        """Return log sum over targets of exp((g - C) / epsilon)."""
        log_v = (g - self.s) / self.options.epsilon
        return _log_product(self.kernel, log_v) - self.r / self.options.epsilon

    def safe(self, state: _State) -> Bool[Tensor, " groups"]:
        """Whether no entry that is zero in the kernel could have mattered; then no sum has lost a term either."""
        log_u, log_v = self.scaled(state.f, state.g)
        cells = self.kernel.shape[-2] * self.kernel.shape[-1]
        largest = log_u.amax(-1) + log_v.amax(-1)
        finite = torch.isfinite(state.f).all(-1) & torch.isfinite(state.g).all(-1)
        return finite & (largest < UNDERFLOW - NEGLIGIBLE - math.log(cells))

    def plan(self, state: _State) -> Plan:
        log_u, log_v = self.scaled(state.f, state.g)
        most = log_u.amax(-1, keepdim=True)
        return self.kernel.mul_((log_u - most).exp_()[..., None]).mul_((log_v + most).exp_()[..., None, :])


class _Logs:
    """The same steps on logarithms."""

    def __init__(self, cost: Plan, options: SinkhornOptions) -> None:
        self.exponent = cost / -options.epsilon
        self.options = options

    def target_step(self, f: OfSources) -> OfTargets:
        return torch.logsumexp(self.exponent + (f / self.options.epsilon)[..., None], dim=-2)

    def source_step(self, g: OfTargets) -> OfSources:
        return torch.logsumexp(self.exponent + (g / self.options.epsilon)[..., None, :], dim=-1)

    def safe(self, state: _State) -> Bool[Tensor, " groups"]:
        return torch.ones_like(state.error, dtype=torch.bool)

    def plan(self, state: _State) -> Plan:
        eps = self.options.epsilon
        return (self.exponent + (state.f / eps)[..., None] + (state.g / eps)[..., None, :]).exp_()


def _iterated(steps: _Kernel | _Logs, options: SinkhornOptions) -> _State:
    """Return the potentials after as many iterations as each problem needs; others going on does not change one."""
    state = _start(steps, options)
    while True:
        before, done = state.iterations, state.error < options.enough
        count = min(CHECK_EVERY, options.most - int(before.max()))
        if count <= 0 or bool((done | ~steps.safe(state)).all()):
            return state
        f, g = state.f, state.g
        for _ in range(count):
            g = options.tau_target * options.epsilon * (-math.log(g.shape[-1]) - steps.target_step(f))
            f = options.tau_source * options.epsilon * (-math.log(f.shape[-1]) - steps.source_step(g))
        held = done[:, None]
        state = _State(
            torch.where(held, state.f, f),
            torch.where(held, state.g, g),
            torch.where(done, state.error, _error(steps, f, g, options)),
            torch.where(done, before, before + count),
        )


def _start(steps: _Kernel | _Logs, options: SinkhornOptions) -> _State:
    cost = steps.kernel if isinstance(steps, _Kernel) else steps.exponent
    groups, sources, targets = cost.shape
    return _State(
        cost.new_zeros(groups, sources),
        cost.new_zeros(groups, targets),
        cost.new_full((groups,), math.inf),
        torch.zeros(groups, dtype=torch.long, device=cost.device),
    )


def _error(steps: _Kernel | _Logs, f: OfSources, g: OfTargets, options: SinkhornOptions) -> Float[Tensor, " groups"]:
    """Return how far the target margin is from what its penalty asks for, b * exp(-g / rho); summed, absolute."""
    eps, tau = options.epsilon, options.tau_target
    margin = (g / eps + steps.target_step(f)).exp()
    wanted = (g / eps * ((tau - 1) / tau)).exp() / g.shape[-1]
    return (margin - wanted).abs().sum(-1)


def _log_product(matrix: Plan, logs: Float[Tensor, "groups inner"]) -> Float[Tensor, "groups outer"]:
    """Return log(matrix @ exp(logs))."""
    most = logs.amax(-1, keepdim=True)
    return torch.matmul(matrix, (logs - most).exp()[..., None])[..., 0].log() + most
