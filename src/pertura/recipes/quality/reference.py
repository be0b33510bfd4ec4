"""The control cells of one context: what a group is compared with, batch by batch, and how they vary on their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from pertura.core.cells import Cells
from pertura.core.expression import BLOCK_CELLS
from pertura.core.seeds import shuffled
from pertura.data.pseudobulk import batch_weights, mean_of
from pertura.metrics.distance import pairwise

MOST_CELLS = 500
"""Cells of a side that take part in an E-test, chosen by name."""
Rows = Int[np.ndarray, " _"]
Profile = Float[np.ndarray, " genes"]


@dataclass(frozen=True, eq=False)
class Side:
    """Some control cells of a context, with the mean of each batch among them."""

    cells: Cells
    rows: Rows

    @cached_property
    def means(self) -> Mapping[int, Profile]:
        """Batch -> mean of its control cells; -1 stands for all where batches are not known."""
        codes = batch_of(self.cells, self.rows)
        return {int(one): mean_of(self.cells.expression, self.rows[codes == one]) for one in np.unique(codes)}

    def matched(self, rows: Rows) -> Profile:
        """Return the mean of the controls, weighted to the batches of `rows`."""
        weights, _ = batch_weights(self.cells, rows, self.rows)
        codes = batch_of(self.cells, self.rows)
        return np.asarray(sum(weights[codes == one].sum() * mean for one, mean in self.means.items()))

    def matched_of(self, rows: Rows, values: Float[np.ndarray, "cells kinds"]) -> Float[np.ndarray, " kinds"]:
        """Return the mean over the controls of what `values` says of each cell, weighted likewise."""
        weights, _ = batch_weights(self.cells, rows, self.rows)
        return np.asarray(weights @ values[self.rows])


def batch_of(cells: Cells, rows: Rows) -> Rows:
    """Return the batch of each of some cells; -1 where batches are not known."""
    return np.full(len(rows), -1) if cells.batch_codes is None else cells.batch_codes[rows]


@dataclass(frozen=True, eq=False)
class Reference:
    """All that is asked of the controls of a context.

    `halves` share no cell and both hold every batch that has two controls. `slopes[kinds]` is how expression of the
    controls goes with those kinds of `features`, within batches.
    """

    context: str
    whole: Side
    halves: tuple[Side, Side]
    few: Rows
    slopes: Mapping[tuple[int, ...], Float[np.ndarray, "_ genes"]]

    @cached_property
    def profiles(self) -> Float[np.ndarray, "few genes"]:
        """The controls that take part in E-tests."""
        return self.whole.cells.dense(self.few)

    @cached_property
    def among(self) -> Float[np.ndarray, "few few"]:
        """Distances among them."""
        return pairwise(self.profiles)


def reference_of(
    cells: Cells, context: str, features: Float[np.ndarray, "cells kinds"], kinds: tuple[tuple[int, ...], ...]
) -> Reference:
    """Return the reference of a context with the slopes on each set of features."""
    rows = cells.control_rows(context)
    order = rows[shuffled(cells.ids[rows], 0, "quality controls")]
    first = np.sort(np.concatenate([_every_other(order, cells, int(one)) for one in np.unique(batch_of(cells, order))]))
    second = np.setdiff1d(rows, first)
    return Reference(
        context=context,
        whole=Side(cells, rows),
        halves=(Side(cells, first), Side(cells, second)),
        few=few_of(cells, rows),
        slopes=_slopes(cells, rows, features, kinds),
    )


def few_of(cells: Cells, rows: Rows) -> Rows:
    """Return at most 500 of some cells, chosen by name."""
    return rows[shuffled(cells.ids[rows], 0, "energy test")[:MOST_CELLS]]


def _every_other(order: Rows, cells: Cells, batch: int) -> Rows:
    return order[batch_of(cells, order) == batch][::2]


def _slopes(
    cells: Cells, rows: Rows, features: Float[np.ndarray, "cells kinds"], kinds: tuple[tuple[int, ...], ...]
) -> dict[tuple[int, ...], Float[np.ndarray, "_ genes"]]:
    """Least squares of each gene on features that are centred within batches, in one pass over the controls."""
    centred = features[rows].copy()
    codes = batch_of(cells, rows)
    for one in np.unique(codes):
        centred[codes == one] -= centred[codes == one].mean(axis=0)
    products = np.zeros((features.shape[1], len(cells.genes)))
    for start in range(0, len(rows), BLOCK_CELLS):
        block = cells.expression.rows(rows[start : start + BLOCK_CELLS])
        products += (block.T @ centred[start : start + BLOCK_CELLS]).T
    squares = centred.T @ centred
    return {
        some: np.linalg.lstsq(squares[np.ix_(some, some)], products[list(some)], rcond=1e-10)[0]
        for some in kinds
        if some and np.isfinite(squares[np.ix_(some, some)]).all()
    }
