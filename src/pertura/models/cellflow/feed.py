"""Populations to flow between: control and perturbed cells of drawn conditions, batch by batch, on the device."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pertura.core.cells import Cells
from pertura.core.errors import ContextError
from pertura.core.perturbation import Condition
from pertura.core.seeds import generator
from pertura.models.cellflow.options import CellFlowOptions
from pertura.models.cellflow.space import by_name
from pertura.models.cellflow.vectors import Told

Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class FlowBatch:
    """Drawn populations of some conditions, and every random number that the loss of them takes but dropout."""

    source: Float[Tensor, "sets cells dims"]
    target: Float[Tensor, "sets cells dims"]
    told: Told
    draws: "Draws"


@dataclass(frozen=True, eq=False)
class Draws:
    """Random numbers of an update: uniform ones to choose cells, pairs and times by, normal ones for noise."""

    cells: Float[Tensor, "sets cells 2"]
    pairs: Float[Tensor, "sets cells 2"]
    time: Float[Tensor, "sets cells 1"]
    noise: Float[Tensor, "sets cells dims"]
    start: Float[Tensor, "sets cells dims"] | None
    """Where the cells of a flow from noise start."""
    condition: Float[Tensor, "sets cells width"] | None
    """Of a stochastic condition, in standard deviations."""
    dropped: Bool[Tensor, " sets"] | None

    def of(self, sets: Int[Tensor, " some"]) -> "Draws":
        """Return the numbers of some sets."""
        found: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        chosen: dict[str, Any] = {name: None if one is None else one[sets] for name, one in found.items()}
        return Draws(**chosen)


@dataclass(eq=False)
class FlowFeed:
    """A `Feed` whose places are conditions: contexts are drawn evenly, then conditions of a context, then cells.

    All draws are with replacement. The control cell of a draw comes from the context and, where `match_batches` says so
    and the batch has controls, the batch of the perturbed cell. An update draws `training.batch` conditions.
    """

    cells: Cells
    points: Float[np.ndarray, "cells dims"]
    conditions: tuple[Condition, ...]
    told: Told
    options: CellFlowOptions
    seed: int
    device: str = "cpu"

    def __post_init__(self) -> None:
        named = [by_name(self.cells, self.cells.rows_of(one)) for one in self.conditions]
        self.ordered = torch.from_numpy(np.concatenate(named)).to(self.device)
        self.sizes = torch.as_tensor([len(one) for one in named], device=self.device)
        self.starts = torch.cumsum(self.sizes, 0) - self.sizes
        pools = Pools.of(self.cells, self.conditions, match_batches=self.options.match_batches)
        self.pools = pools.to(self.device)
        self.place = torch.from_numpy(self.points).to(self.device)
        self.told = self.told.to(self.device)
        self.drawn = lru_cache(maxsize=2)(self._drawn)

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return self.options.updates

    @property
    def cells_each(self) -> int:
        """Perturbed cells that a place stands for."""
        return self.options.cells

    @cached_property
    def fingerprint(self) -> str:
        """A digest of coordinates, conditions, what is told of them, and options."""
        found = hashlib.sha256(self.points[by_name(self.cells, np.arange(len(self.cells)))].tobytes())
        for _, one in sorted(self.told.vectors.items()):
            found.update(one.cpu().numpy().tobytes())
        found.update("\x1f".join([*map(str, self.conditions), repr(self.options)]).encode())
        return found.hexdigest()

    def places(self, epoch: int, step: int) -> range:
        """Return the places of the conditions that an update draws."""
        return range(self.options.training.batch)

    def batch(self, epoch: int, step: int, chosen: Sequence[int], key: str) -> FlowBatch:
        """Return those draws of an update; they are the same whatever others are asked for."""
        conditions, draws = self.drawn(epoch, step, key)
        mine = torch.as_tensor(list(chosen), device=self.device)
        sets, draws = conditions[mine], draws.of(mine)
        target = self.ordered[self.starts[sets][:, None] + _index(draws.cells[..., 0], self.sizes[sets][:, None])]
        source = self.pools.control(target, draws.cells[..., 1])
        return FlowBatch(self.place[source], self.place[target], self.told.of(sets), draws)

    @cached_property
    def by_context(self) -> tuple[Rows, ...]:
        """The positions of the conditions of each context."""
        contexts = [one.context for one in self.conditions]
        return tuple(np.flatnonzero([one == name for one in contexts]) for name in sorted(set(contexts)))

    def _drawn(self, epoch: int, step: int, key: str) -> tuple[Int[Tensor, " sets"], Draws]:
        rng = generator(self.seed, "flow", epoch, step, key)
        of = [self.by_context[i] for i in rng.integers(len(self.by_context), size=self.options.training.batch)]
        conditions = torch.as_tensor([int(one[rng.integers(len(one))]) for one in of], device=self.device)
        numbers = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        return conditions, self._numbers(numbers)

    def _numbers(self, numbers: torch.Generator) -> Draws:
        how, net = self.options, self.options.network
        shape, at = (how.training.batch, how.cells), _Made(numbers, self.device)
        dims = self.points.shape[1]
        return Draws(
            cells=at.uniform(*shape, 2),
            pairs=at.uniform(*shape, 2),
            time=at.uniform(*shape, 1),
            noise=at.normal(*shape, dims),
            start=at.normal(*shape, dims) if net.source_dims is not None else None,
            condition=at.normal(*shape, net.condition_width) if net.stochastic else None,
            dropped=at.uniform(shape[0]) < how.drop_conditions if how.drop_conditions else None,
        )


@dataclass(frozen=True)
class _Made:
    """Makes random numbers on a device."""

    source: torch.Generator
    device: str

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.source, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.source, device=self.device)


@dataclass(frozen=True, eq=False)
class Pools:
    """Of each perturbed cell, the run of `rows` from which its controls are drawn."""

    rows: Int[Tensor, " controls"]
    start: Int[Tensor, " cells"]
    size: Int[Tensor, " cells"]

    @classmethod
    def of(cls, cells: Cells, conditions: Sequence[Condition], *, match_batches: bool) -> "Pools":
        """Return the pools of the cells of some conditions; a batch without controls has those of its context."""
        rows, runs = _runs(cells, sorted({one.context for one in conditions}), match_batches)
        start, size = np.zeros((2, len(cells)), dtype=np.int64)
        for one in conditions:
            for row in cells.rows_of(one).tolist():
                batch = -1 if cells.batch_codes is None else int(cells.batch_codes[row])
                start[row], size[row] = runs.get((one.context, batch), runs[one.context, -1])
        return cls(*map(torch.from_numpy, (rows, start, size)))

    def to(self, device: str) -> "Pools":
        """Return them on a device."""
        return Pools(self.rows.to(device), self.start.to(device), self.size.to(device))

    def control(
        self, perturbed: Int[Tensor, "sets cells"], uniforms: Float[Tensor, "sets cells"]
    ) -> Int[Tensor, "sets cells"]:
        """Return a control cell for each perturbed one."""
        return self.rows[self.start[perturbed] + _index(uniforms, self.size[perturbed])]


def _runs(cells: Cells, contexts: Sequence[str], match_batches: bool) -> tuple[Rows, Mapping[tuple[str, int], Rows]]:
    """Return control rows by context and batch, and where the run of each begins and its length; -1: all batches."""
    found: list[Rows] = []
    runs: dict[tuple[str, int], Rows] = {}
    for context in contexts:
        rows = by_name(cells, cells.control_rows(context))
        if not len(rows):
            raise ContextError(f"{cells.name}: no control cells of context {context!r} to start from")
        codes = cells.batch_codes[rows] if cells.batch_codes is not None else np.full(len(rows), -1)
        rows = rows[np.argsort(codes, kind="stable")]
        codes, begin = np.sort(codes, kind="stable"), sum(map(len, found))
        for code in np.unique(codes).tolist() if match_batches else ():
            runs[context, code] = np.asarray([begin + np.searchsorted(codes, code), (codes == code).sum()])
        runs[context, -1] = np.asarray([begin, len(rows)])
        found.append(rows)
    return np.concatenate(found), runs


def _index(uniforms: Float[Tensor, "sets cells"], sizes: Int[Tensor, "sets _"]) -> Int[Tensor, "sets cells"]:
    """Return an even choice among as many as `sizes`; a uniform number may round up to one."""
    return torch.minimum((uniforms.double() * sizes).long(), sizes - 1)
