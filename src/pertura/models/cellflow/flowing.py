"""A trained network, ready to move control cells; and its answers, as expression."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition
from pertura.core.seeds import generator
from pertura.flow.integrate import solve
from pertura.models.cellflow.network import CellFlowNetwork
from pertura.models.cellflow.options import CellFlowOptions
from pertura.models.cellflow.space import Space, by_name
from pertura.models.cellflow.vectors import ContextVectors, GeneVectors, Told, told

Points = Float[np.ndarray, "_ dims"]
Profiles = Float[np.ndarray, "_ genes"]
COUNTED_CELLS = 256
"""Cells of a condition from which the share of values below zero is told."""


@dataclass(frozen=True, eq=False)
class Flowing:
    """A network with all it takes to ask it."""

    network: CellFlowNetwork
    space: Space
    genes: GeneVectors
    contexts: ContextVectors | None
    train: tuple[Condition, ...]
    options: CellFlowOptions
    device: str

    def told(self, conditions: Sequence[Condition], means: Mapping[str, Float[np.ndarray, " dims"]]) -> Told:
        """Return conditions as the network takes them, on its device; `means` are those of each context's controls."""
        places = self.network.config.elements
        return told(conditions, self.genes, self.contexts, means, places).to(self.device)

    def moved(self, condition: Condition, start: Points, seed: int) -> Points:
        """Return where control cells go under a condition, row by row.

        Where no perturbed gene has a vector each cell goes where one of the train conditions leads, dealt out in turn.
        """
        means = {condition.context: start.mean(axis=0, dtype=np.float64)}
        known = len(self.genes.unknown(condition)) < len(condition.genes)
        asked = [condition] if known else [Condition(one.perturbation, condition.context) for one in self._dealt(seed)]
        with torch.inference_mode():
            embedding = self._embedding(asked, means)
            rows = torch.arange(len(start), device=self.device) % len(asked)
            found = []
            for part in self._parts(len(start)):
                own = embedding if known else embedding[rows[part]]
                found.append(self._solved(own, start[part], self._latent(condition, seed, part)))
        return np.concatenate([*found, np.empty((0, start.shape[1]), dtype=np.float32)])

    def _embedding(self, conditions: Sequence[Condition], means: Mapping[str, Float[np.ndarray, " dims"]]) -> Tensor:
        self.network.eval()
        given = self.told(conditions, means)
        return self.network.embedded(self.network.encode(given.vectors, given.present))

    def _solved(self, embedding: Tensor, start: Points, latent: Points | None) -> Points:
        how, source = self.options.solver, torch.from_numpy(start).to(self.device)
        beside = None if latent is None else self.network.encode_source(source)
        velocity = self.network.guided(embedding, beside, how.guidance)
        begin = source if latent is None else torch.from_numpy(latent).to(self.device)
        end = solve(velocity, begin, method=how.method, steps=how.steps, tolerance=how.tolerance)
        return end.float().cpu().numpy()

    def _latent(self, condition: Condition, seed: int, part: slice) -> Points | None:
        """Return where a flow from noise starts: the same for a cell in whatever batch."""
        if not self.network.from_noise:
            return None
        rng = generator(seed, "latent", str(condition))
        return rng.standard_normal((part.stop, self.space.dims))[part].astype(np.float32)

    def _dealt(self, seed: int) -> tuple[Condition, ...]:
        order = generator(seed, "dealt out").permutation(len(self.train))
        return tuple(self.train[i] for i in order)

    def _parts(self, cells: int) -> list[slice]:
        size = self.options.predict_batch
        return [slice(start, min(start + size, cells)) for start in range(0, cells, size)]


@dataclass(frozen=True, eq=False)
class Start:
    """The control cells of a context, by name: rows, coordinates and what the components leave out of each."""

    rows: Int[np.ndarray, " cells"]
    points: Points
    expression: Profiles
    residual: Float[np.ndarray, "_ genes"]

    @classmethod
    def of(cls, controls: Cells, context: str, space: Space, residual: str) -> "Start":
        """Return the controls of a context on the genes of a space."""
        rows = by_name(controls, controls.control_rows(context))
        points = space.points(controls, rows)
        expression = controls.with_genes(space.genes).dense(rows)
        left = expression - space.expression(points) if residual != "none" else np.zeros((1, expression.shape[1]))
        return cls(rows, points, expression, left.mean(axis=0, keepdims=True) if residual == "mean" else left)


@dataclass(frozen=True, eq=False)
class FlownCells(Mapping[Condition, Profiles]):
    """What every control cell of a condition's context becomes: coordinates are kept, expression is made when asked."""

    space: Space
    panel: tuple[str, ...]
    starts: Mapping[str, Start]
    points: Mapping[Condition, Points | None]
    keep_means: bool

    def __getitem__(self, condition: Condition) -> Profiles:
        start, points = self.starts[condition.context], self.points[condition]
        found = start.expression if points is None else self._expression(points, start)
        ordered = np.empty_like(found)
        ordered[np.argsort(np.argsort(start.rows, kind="stable"), kind="stable")] = found
        return ordered[:, self._columns]

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __contains__(self, condition: object) -> bool:
        return condition in self.points

    def below_zero(self) -> float:
        """Return the share of values that were below zero, counted in some cells of each condition."""
        counted, below = 0, 0
        for one, points in self.points.items():
            if points is not None:
                some = self._raw(points[:COUNTED_CELLS], self.starts[one.context], slice(COUNTED_CELLS))
                counted, below = counted + some.size, below + int((some < 0).sum())
        return below / max(counted, 1)

    @cached_property
    def _columns(self) -> Int[np.ndarray, " genes"]:
        place = {gene: column for column, gene in enumerate(self.space.genes)}
        return np.asarray([place[gene] for gene in self.panel])

    def _raw(self, points: Points, start: Start, part: slice) -> Profiles:
        return self.space.expression(points) + (start.residual if len(start.residual) == 1 else start.residual[part])

    def _expression(self, points: Points, start: Start) -> Profiles:
        raw = self._raw(points, start, slice(None))
        clipped = not_negative(raw) if self.keep_means else np.maximum(raw, 0.0)
        return clipped.astype(np.float32)


def not_negative(cells: Profiles) -> Profiles:
    """Return cells without values below zero whose gene means are as before, where those are above zero.

    Setting values to zero raises the mean of a gene; what is left above zero is scaled down to make up for it.
    """
    wanted = np.maximum(cells.mean(axis=0), 0.0)
    clipped = np.maximum(cells, 0.0)
    means = clipped.mean(axis=0)
    return clipped * np.divide(wanted, means, out=np.zeros_like(means), where=means > 0)
