"""The observed perturbation that a predicted change is most like, and what is doubtful about a candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from pertura.core.perturbation import Condition

RARE = 0.01
UNLIKE = 0.05
Table = Float[np.ndarray, "conditions genes"]


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each candidate the row of the most similar observed condition (-1 where there is none) and how similar."""

    rows: Int[np.ndarray, " candidates"]
    similarity: Float[np.ndarray, " candidates"]


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Observed changes to look for neighbours in, centred on their mean: what all perturbations share says nothing."""

    conditions: tuple[Condition, ...]
    centre: Float[np.ndarray, " genes"]
    directions: Table

    @classmethod
    def of(cls, conditions: Sequence[Condition], deltas: Table) -> "Neighbourhood":
        """Return the neighbourhood of some observed conditions."""
        centre = deltas.mean(axis=0) if len(deltas) else np.zeros(deltas.shape[1])
        return cls(tuple(conditions), centre, unit_rows(deltas - centre))

    def nearest(self, candidates: Sequence[Condition], deltas: Table) -> Nearest:
        """Return the observed condition nearest to each candidate by the cosine of centred changes, never itself."""
        if not self.conditions:
            return Nearest(np.full(len(candidates), -1), np.full(len(candidates), np.nan))
        similar = unit_rows(deltas - self.centre) @ self.directions.T
        place: dict[object, list[int]] = {}
        for row, one in enumerate(self.conditions):
            place.setdefault(one.perturbation, []).append(row)
        for row, candidate in enumerate(candidates):
            similar[row, place.get(candidate.perturbation, [])] = -np.inf
        rows = similar.argmax(axis=1)
        best = similar[np.arange(len(rows)), rows]
        return Nearest(np.where(np.isfinite(best), rows, -1), np.where(np.isfinite(best), best, np.nan))


def unit_rows(table: Table) -> Table:
    """Return rows of length one; rows of zeros stay."""
    sizes = np.linalg.norm(table, axis=1, keepdims=True)
    return np.divide(table, sizes, out=np.zeros_like(table), where=sizes > 0)


@dataclass(frozen=True, eq=False)
class Domain:
    """What is known of the cells and of the training: enough to say where a candidate leaves it.

    `expressed` is the share of control cells that express each gene of the panel, `trained` the genes that were
    perturbed in training, `usual` the similarity to the nearest that all but a twentieth of held-out conditions have.
    """

    genes: tuple[str, ...]
    expressed: Float[np.ndarray, " genes"]
    trained: frozenset[str]
    programme: frozenset[str]
    usual: float = float("nan")

    def flags(self, candidate: Condition, similarity: float) -> tuple[str, ...]:
        """Return what is doubtful about a candidate, in words; nothing where nothing is."""
        place, found = self._place, []
        silent = [gene for gene in candidate.genes if gene in place and self.expressed[place[gene]] < RARE]
        if silent and any(str(mode) in ("interference", "knockout") for mode in candidate.perturbation.modes):
            found.append(f"{' and '.join(silent)} hardly expressed in the controls: little to lose")
        unmeasured = [gene for gene in candidate.genes if gene not in place]
        if unmeasured:
            found.append(
                "target not measured" if len(candidate.genes) == 1 else f"{' and '.join(unmeasured)} not measured"
            )
        inside = [gene for gene in candidate.genes if gene in self.programme]
        if inside:
            found.append(f"{' and '.join(inside)} in the goal itself: its own change is not counted")
        if np.isfinite(self.usual) and similarity < self.usual:
            found.append("unlike any observed perturbation")
        return tuple(found)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {gene: column for column, gene in enumerate(self.genes)}
