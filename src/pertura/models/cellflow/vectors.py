"""What a network is told of conditions: vectors of the perturbed genes, and of the context."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pertura.core.perturbation import Condition, Mode, Target
from pertura.models.cellflow.options import CONTEXT, GENES
from pertura.priors.prior import GenePrior


@dataclass(frozen=True, eq=False)
class Told:
    """Conditions as a network takes them: for each covariate sets x elements x width, and which elements are there."""

    vectors: dict[str, Tensor]
    present: Bool[Tensor, "sets elements"]

    def of(self, sets: Tensor) -> "Told":
        """Return some of the conditions, perhaps several times."""
        return Told({name: one[sets] for name, one in self.vectors.items()}, self.present[sets])

    def to(self, device: str) -> "Told":
        """Return them on a device."""
        return Told({name: one.to(device) for name, one in self.vectors.items()}, self.present.to(device))


@dataclass(frozen=True, eq=False)
class GeneVectors:
    """A vector for each of `genes`: its row of the prior, or a place of its own where training had to do without.

    The mode of a target has places of its own where train has several. `prior` names where the rows came from; `own`
    lists the genes that are told apart by a place of their own.
    """

    genes: tuple[str, ...]
    table: Float[np.ndarray, "genes width"]
    prior: str
    own: tuple[str, ...]
    modes: tuple[Mode, ...]

    @classmethod
    def learnt(cls, priors: Sequence[GenePrior], targets: Iterable[Target], *, equal_length: bool) -> "GeneVectors":
        """Return the vectors of all genes of some priors, side by side, and of the genes that train perturbs.

        `equal_length` brings each row to a mean square of one: how much is known of a gene should not decide how
        strongly its perturbation acts.
        """
        wanted = sorted(targets)
        tables = [_rows_of(one, equal_length=equal_length) for one in priors]
        own = tuple(sorted({one.gene for one in wanted if not any(one.gene in rows for rows in tables)}))
        tables.append(dict(zip(own, np.eye(len(own), dtype=np.float32))))
        genes = tuple(sorted(set().union(*tables)))
        widths = [len(next(iter(rows.values()), ())) for rows in tables]
        blank = [np.zeros(width, dtype=np.float32) for width in widths]
        found = [np.concatenate([rows.get(gene, none) for rows, none in zip(tables, blank)]) for gene in genes]
        modes = tuple(sorted({one.mode for one in wanted}))
        return cls(genes, np.stack(found), "+".join(one.name for one in priors), own, modes if len(modes) > 1 else ())

    @property
    def width(self) -> int:
        """Numbers that describe a target."""
        return self.table.shape[1] + len(self.modes)

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Gene -> row of the table."""
        return {gene: row for row, gene in enumerate(self.genes)}

    def unknown(self, condition: Condition) -> tuple[str, ...]:
        """Return the perturbed genes that have no vector."""
        return tuple(gene for gene in condition.genes if gene not in self.place)

    def of(self, condition: Condition) -> Float[np.ndarray, "elements width"]:
        """Return a row for each target that has one, in the order of their names."""
        known = [one for one in sorted(condition.perturbation.targets) if one.gene in self.place]
        rows = np.zeros((len(known), self.width), dtype=np.float32)
        for row, target in zip(rows, known):
            row[: self.table.shape[1]] = self.table[self.place[target.gene]]
            if self.modes:
                row[self.table.shape[1] + self.modes.index(target.mode)] = 1.0
        return rows


@dataclass(frozen=True, eq=False)
class ContextVectors:
    """How a context is told: `label`, a place for each seen one; `controls`, the mean of its controls, scaled."""

    kind: str
    names: tuple[str, ...]
    centre: Float[np.ndarray, " dims"]
    scale: float

    @classmethod
    def learnt(cls, kind: str, means: Mapping[str, Float[np.ndarray, " dims"]]) -> "ContextVectors | None":
        """Return how to tell the contexts of train, from the means of their controls; None where there is one only."""
        if len(means) < 2 or kind == "none":
            return None
        table = np.stack([means[name] for name in sorted(means)]).astype(np.float64)
        centre = table.mean(axis=0)
        spread = float(np.sqrt(np.square(table - centre).mean()))
        return cls(kind, tuple(sorted(means)), centre, max(spread, 1e-12))

    @property
    def width(self) -> int:
        """Numbers that describe a context."""
        return len(self.names) if self.kind == "label" else len(self.centre)

    def of(self, context: str, mean: Float[np.ndarray, " dims"]) -> Float[np.ndarray, " width"]:
        """Return the vector of a context whose controls have this mean; a label that was not seen is all zeros."""
        if self.kind == "label":
            return np.asarray([context == one for one in self.names], dtype=np.float32)
        return ((mean - self.centre) / self.scale).astype(np.float32)


def told(
    conditions: Sequence[Condition],
    genes: GeneVectors,
    contexts: ContextVectors | None,
    means: Mapping[str, Float[np.ndarray, " dims"]],
    elements: int,
) -> Told:
    """Return conditions as the network takes them, padded to `elements` places, or more where one has more targets."""
    rows = [genes.of(one) for one in conditions]
    places = max([elements, *(len(one) for one in rows)])
    table = np.zeros((len(rows), places, genes.width), dtype=np.float32)
    present = np.zeros((len(rows), places), dtype=bool)
    for i, mine in enumerate(rows):
        table[i, : len(mine)], present[i, : len(mine)] = mine, True
    vectors = {GENES: torch.from_numpy(table)}
    if contexts is not None:
        beside = np.stack([contexts.of(one.context, means[one.context]) for one in conditions])
        vectors[CONTEXT] = torch.from_numpy(np.repeat(beside[:, None], places, axis=1))
    return Told(vectors, torch.from_numpy(present))


def _rows_of(prior: GenePrior, *, equal_length: bool) -> dict[str, Float[np.ndarray, " width"]]:
    """Gene -> row, without rows of zeros: they say nothing, and would stand for an empty place."""
    table = np.asarray(prior.table, dtype=np.float32)
    lengths = np.sqrt(np.square(table, dtype=np.float64).mean(axis=1)).astype(np.float32)
    scale = lengths if equal_length else np.ones_like(lengths)
    return {prior.genes[row]: table[row] / scale[row] for row in np.flatnonzero(lengths).tolist()}
