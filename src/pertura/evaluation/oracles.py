"""Predictions made of observed cells: what a prediction could be at best, given how many cells were seen.

They look at the answer and are references, never models. Half of the cells of each condition predicts the other half.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction, Provenance
from pertura.core.seeds import shuffled
from pertura.evaluation.resampling import Rows, moments
from pertura.metrics.differential import false_discovery_rate
from pertura.metrics.weighted import scores_against_rest

TECHNICAL, INTERPOLATED = "technical-duplicate", "interpolated-duplicate"


@dataclass(frozen=True, eq=False)
class Oracle:
    """A prediction and the cells it may be judged on: those of the screen without the half it was made of."""

    prediction: Prediction
    rest: Cells


@dataclass(frozen=True, eq=False)
class Duplicates(Mapping[Condition, Float[np.ndarray, "cells genes"]]):
    """Cells of each condition, shifted where `shifts` says so, and read when they are asked for."""

    cells: Cells
    rows: Mapping[Condition, Rows]
    shifts: Mapping[Condition, Float[np.ndarray, " genes"]] | None

    def __getitem__(self, condition: Condition) -> Float[np.ndarray, "cells genes"]:
        found = self.cells.dense(self.rows[condition])
        return found if self.shifts is None else found + self.shifts[condition]

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, condition: object) -> bool:
        return condition in self.rows


def technical_duplicate(cells: Cells, conditions: Sequence[Condition], *, seed: int = 0) -> Oracle:
    """Return half of the observed cells of each condition as the prediction of the other half.

    The reference of Mejia et al. 2025. A condition of one cell raises `BadDataError`: it has no halves.
    """
    halves = _halves(cells, conditions, seed)
    predicted = Duplicates(cells, halves, None)
    return Oracle(Prediction(cells.genes, predicted, Provenance(TECHNICAL, seed=seed)), _rest(cells, halves))


def interpolated_duplicate(cells: Cells, conditions: Sequence[Condition], *, seed: int = 0) -> Oracle:
    """Return the duplicate where its genes are telling, and the mean of the perturbations elsewhere.

    a x duplicate + (1 - a) x mean over the conditions of the context, with a = 1 - FDR of the gene in Welch's t of the
    condition's half against the halves of all others (after Miller et al. 2025). A shift of all cells of the
    duplicate gives it that mean. It is less noisy than the duplicate, and so usually scores better.
    """
    halves = _halves(cells, conditions, seed)
    shares, means, centres = _telling(cells, conditions, halves)
    predicted = Duplicates(cells, halves, dict(zip(conditions, (1 - shares) * (centres - means), strict=True)))
    return Oracle(Prediction(cells.genes, predicted, Provenance(INTERPOLATED, seed=seed)), _rest(cells, halves))


def _telling(
    cells: Cells, conditions: Sequence[Condition], halves: dict[Condition, Rows]
) -> tuple[Float[np.ndarray, "conditions genes"], ...]:
    """Return 1 - FDR, the mean of each half, and the mean over the conditions of its context."""
    means, squares = (np.asarray(one) for one in zip(*(moments(cells, halves[one]) for one in conditions)))
    counts = np.asarray([len(halves[one]) for one in conditions])
    names = sorted({one.context for one in conditions})
    contexts = np.asarray([names.index(one.context) for one in conditions])
    t = np.nan_to_num(scores_against_rest(counts, means, squares, contexts))
    # the freedom of the smaller side: the rest has many cells
    p = 2 * stats.t.sf(np.abs(t), np.maximum(counts - 1, 1)[:, None])
    centres = np.asarray([means[contexts == context].mean(axis=0) for context in contexts])
    return 1 - false_discovery_rate(p), means, centres


def _halves(cells: Cells, conditions: Sequence[Condition], seed: int) -> dict[Condition, Rows]:
    found = {}
    for one in conditions:
        rows = cells.rows_of(one)
        if len(rows) < 2:
            raise BadDataError(
                f"{one.label} has {len(rows)} cells and no halves", remedy="leave it out of the conditions"
            )
        found[one] = np.sort(rows[shuffled(cells.ids[rows], seed, "duplicate", one.label)[: len(rows) // 2]])
    return found


def _rest(cells: Cells, halves: dict[Condition, Rows]) -> Cells:
    taken = np.concatenate(list(halves.values()))
    return cells.take(np.setdiff1d(np.arange(len(cells)), taken))
