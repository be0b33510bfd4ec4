"""What the baselines have in common: a rule learns from train deltas and answers with a delta."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float
from pydantic import ConfigDict

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition, Perturbation, Target
from pertura.data.pseudobulk import Pseudobulk
from pertura.priors.prior import GenePrior

STRICT = ConfigDict(strict=True, extra="forbid")
Vector = Float[np.ndarray, " genes"]


@dataclass(frozen=True, eq=False)
class Training:
    """All that a rule may learn from: the pseudobulk of the train conditions on a panel, and perhaps a prior.

    `seen` are the cells a model may see (train and valid conditions, model-side controls), for rules that need more
    than means.
    """

    genes: tuple[str, ...]
    bulk: Pseudobulk
    prior: GenePrior | None = None
    seen: Cells | None = None

    @cached_property
    def deltas(self) -> Float[np.ndarray, "conditions genes"]:
        """Mean of each train condition minus the mean of its matched controls."""
        return self.bulk.deltas

    @cached_property
    def train_mean(self) -> Vector:
        """Mean of the train deltas; each condition weighs the same however many cells it has."""
        return self.deltas.mean(axis=0)

    @cached_property
    def controls(self) -> Float[np.ndarray, "contexts genes"]:
        """Mean control profile of each train context, the contexts sorted."""
        contexts = np.asarray([one.context for one in self.bulk.conditions])
        return np.asarray([self.bulk.controls[contexts == one].mean(axis=0) for one in np.unique(contexts)])

    def memory(
        self,
        keep: Sequence[bool] | None = None,
        arrays: Mapping[str, Float[np.ndarray, "..."]] | None = None,
        labels: Mapping[str, tuple[str, ...]] | None = None,
    ) -> "Memory":
        """Return a memory with the train deltas of the conditions in `keep` (none by default) and further arrays."""
        kept = np.flatnonzero(keep if keep is not None else [])
        conditions = tuple(self.bulk.conditions[i] for i in kept)
        # laid out in memory as a loaded file is: the same products of the same numbers round the same way
        laid_out = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
        return Memory(self.genes, self.train_mean, self.deltas[kept], conditions, laid_out, dict(labels or {}))


@dataclass(frozen=True, eq=False)
class Memory:
    """What a rule keeps of the training screen, and all that is saved of it.

    Row i of `deltas` belongs to `conditions[i]`; `labels` names the rows of some of the `arrays`.
    """

    genes: tuple[str, ...]
    train_mean: Vector
    deltas: Float[np.ndarray, "conditions genes"]
    conditions: tuple[Condition, ...] = ()
    arrays: Mapping[str, Float[np.ndarray, "..."]] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def column(self) -> dict[str, int]:
        """Gene -> its place in the panel."""
        return {gene: place for place, gene in enumerate(self.genes)}

    @cached_property
    def _by_perturbation(self) -> dict[Perturbation, dict[str, int]]:
        rows: dict[Perturbation, dict[str, int]] = {}
        for row, one in enumerate(self.conditions):
            rows.setdefault(one.perturbation, {})[one.context] = row
        return rows

    def of_context(self, context: str) -> Vector | None:
        """Return the mean delta of the conditions of a context; None where there are none."""
        return self._mean([row for row, one in enumerate(self.conditions) if one.context == context])

    def elsewhere(self, perturbation: Perturbation, context: str) -> Vector | None:
        """Return the mean delta of a perturbation over the contexts other than `context`; None where there are none."""
        rows = self._by_perturbation.get(perturbation, {})
        return self._mean([row for other, row in rows.items() if other != context])

    def single(self, target: Target, context: str) -> Vector | None:
        """Return a target's delta in its own context, else its mean over other contexts, else None."""
        perturbation = Perturbation(frozenset({target}))
        row = self._by_perturbation.get(perturbation, {}).get(context)
        return self.elsewhere(perturbation, context) if row is None else self.deltas[row]

    def _mean(self, rows: Sequence[int]) -> Vector | None:
        return self.deltas[rows].mean(axis=0) if rows else None


@dataclass(frozen=True, eq=False)
class Delta:
    """A predicted change from control. `fallback` says what could not be represented, `note` what is worth knowing."""

    values: Vector
    fallback: str = ""
    note: str = ""


class DeltaRule(ABC):
    """One baseline: its fields are its configuration, `learn` and `delta` are pure functions."""

    @abstractmethod
    def learn(self, training: Training) -> Memory:
        """Return what has to be kept of the training screen."""

    @abstractmethod
    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the change from control that is predicted for a perturbed condition."""


def train_mean(memory: Memory, why: str) -> Delta:
    """Return the train mean in place of an answer, with the reason."""
    return Delta(memory.train_mean, fallback=f"{why}: answered with train-mean")


def and_listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: `A`, `A and B`, `A, B and C`."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
