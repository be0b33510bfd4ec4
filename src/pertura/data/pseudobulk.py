"""Means of conditions and of the control cells that match them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from pertura.core.cells import Cells
from pertura.core.errors import ContextError
from pertura.core.expression import BLOCK_CELLS, Expression, column_sums
from pertura.core.perturbation import Condition
from pertura.core.split import Split

Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class Pseudobulk:
    """Mean expression of each condition and of its matched controls, on one panel.

    `controls[i]` is weighted over the batches that the cells of condition i come from. `unmatched` counts, for each
    condition, its cells whose batch has no control cell: those are matched to all controls of their context.
    """

    conditions: tuple[Condition, ...]
    means: Float[np.ndarray, "conditions genes"]
    controls: Float[np.ndarray, "conditions genes"]
    counts: Int[np.ndarray, " conditions"]
    unmatched: Mapping[Condition, int] = field(default_factory=dict)

    @property
    def deltas(self) -> Float[np.ndarray, "conditions genes"]:
        """Mean of each condition minus the mean of its matched controls."""
        return self.means - self.controls


def mean_of(expression: Expression, rows: Rows) -> Float[np.ndarray, " genes"]:
    """Return the mean of some rows in float64, read block by block; NaN where there are no rows."""
    if not len(rows):
        return np.full(expression.shape[1], np.nan)
    total = np.zeros(expression.shape[1])
    for start in range(0, len(rows), BLOCK_CELLS):
        total += column_sums(expression.rows(rows[start : start + BLOCK_CELLS]))
    return total / len(rows)


def batch_weights(cells: Cells, rows: Rows, control_rows: Rows) -> tuple[Float[np.ndarray, " controls"], int]:
    """Return the weight of each control cell in the mean that matches `rows`, and how many cells found no batch.

    A control weighs (share of `rows` in its batch) / (controls of that batch). Cells of a batch without controls are
    spread over all controls. Without known batches all controls weigh the same. The weights sum to one.
    """
    even = np.full(len(control_rows), 1.0 / max(len(control_rows), 1))
    if cells.batch_codes is None or not len(rows):
        return even, 0
    size = len(cells.batches)
    wanted = np.bincount(cells.batch_codes[rows], minlength=size)
    have = np.bincount(cells.batch_codes[control_rows], minlength=size)
    unmatched = int(wanted[have == 0].sum())
    per_cell = np.divide(wanted, have, out=np.zeros(size), where=have > 0) / len(rows)
    return per_cell[cells.batch_codes[control_rows]] + even * (unmatched / len(rows)), unmatched


def pseudobulk(cells: Cells, conditions: Sequence[Condition], control_rows: Mapping[str, Rows]) -> Pseudobulk:
    """Return means and matched control means of `conditions`.

    `control_rows` gives for each context the rows that serve as its controls; a context without any raises
    `ContextError`.
    """
    means = np.empty((len(conditions), len(cells.genes)))
    controls = np.empty_like(means)
    counts = np.zeros(len(conditions), dtype=np.int64)
    unmatched: dict[Condition, int] = {}
    batch_means = {name: _batch_means(cells, rows) for name, rows in control_rows.items()}
    for i, condition in enumerate(conditions):
        if condition.context not in batch_means:
            raise ContextError(f"no control cells of context {condition.context!r} for {condition.label}")
        rows = cells.rows_of(condition)
        counts[i] = len(rows)
        means[i] = mean_of(cells.expression, rows)
        weights, missing = batch_weights(cells, rows, control_rows[condition.context])
        controls[i] = _weighted(cells, control_rows[condition.context], weights, batch_means[condition.context])
        if missing:
            unmatched[condition] = missing
    return Pseudobulk(tuple(conditions), means, controls, counts, unmatched)


def training_pseudobulk(cells: Cells, split: Split) -> Pseudobulk:
    """Return the pseudobulk of the train conditions against the model-side controls, without touching other cells."""
    seen = split.visible(cells)
    conditions = [one for one in seen.perturbed if one in split.train]
    return pseudobulk(seen, conditions, {one.context: seen.control_rows(one.context) for one in conditions})


def _batch_means(cells: Cells, rows: Rows) -> dict[int, Float[np.ndarray, " genes"]]:
    """Mean of the control cells of each batch; one entry, -1, where batches are not known."""
    if not len(rows):
        raise ContextError(f"{cells.name}: a context has no control cells on this side of the split")
    if cells.batch_codes is None:
        return {-1: mean_of(cells.expression, rows)}
    codes = cells.batch_codes[rows]
    return {int(code): mean_of(cells.expression, rows[codes == code]) for code in np.unique(codes)}


def _weighted(
    cells: Cells,
    rows: Rows,
    weights: Float[np.ndarray, " controls"],
    means: Mapping[int, Float[np.ndarray, " genes"]],
) -> Float[np.ndarray, " genes"]:
    if cells.batch_codes is None:
        return means[-1]
    per_batch = np.bincount(cells.batch_codes[rows], weights=weights, minlength=len(cells.batches))
    return np.sum([per_batch[code] * mean for code, mean in means.items()], axis=0)
