"""Redrawn, permuted and halved means of observed cells.

Every draw is keyed by seed and names and made over cells in the order of their names, so it does not depend on the
order of the file, on other conditions, or on the genes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from pertura.core.cells import Cells
from pertura.core.expression import BLOCK_CELLS
from pertura.core.perturbation import Condition
from pertura.core.seeds import generator
from pertura.data.pseudobulk import batch_weights, mean_of

Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class ControlGroups:
    """Control cells by context and batch, and how much of each group a condition's control mean takes.

    `weights[i]` sums to one over the groups of the context of condition i.
    """

    names: tuple[tuple[str, str], ...]
    rows: tuple[Rows, ...]
    weights: Float[np.ndarray, "conditions groups"]
    unmatched: Mapping[Condition, int]


@dataclass(frozen=True, eq=False)
class Draws:
    """Means of conditions and of control groups in each of several draws (float32 to halve the memory)."""

    means: Float[np.ndarray, "draws conditions genes"]
    groups: Float[np.ndarray, "draws groups genes"]
    weights: Float[np.ndarray, "conditions groups"]

    def __len__(self) -> int:
        return len(self.means)

    def side(self, draw: int) -> tuple[Float[np.ndarray, "conditions genes"], Float[np.ndarray, "conditions genes"]]:
        """Return condition means and matched control means of one draw, in float64."""
        return self.means[draw].astype(np.float64), self.weights @ self.groups[draw].astype(np.float64)


def control_groups(cells: Cells, conditions: Sequence[Condition], control_rows: Mapping[str, Rows]) -> ControlGroups:
    """Return the groups of `control_rows` (context -> rows) and the weight of each in each condition's controls."""
    names: list[tuple[str, str]] = []
    rows: list[Rows] = []
    for context, mine in sorted(control_rows.items()):
        codes = np.zeros(len(mine), dtype=np.int64) if cells.batch_codes is None else cells.batch_codes[mine]
        for code in np.unique(codes):
            names.append((context, cells.batches[code] if cells.batch_codes is not None else ""))
            rows.append(by_name(cells, mine[codes == code]))
    weights = np.zeros((len(conditions), len(names)))
    unmatched: dict[Condition, int] = {}
    for i, condition in enumerate(conditions):
        mine = control_rows[condition.context]
        per_cell, missing = batch_weights(cells, cells.rows_of(condition), mine)
        of_row = dict(zip(mine.tolist(), per_cell.tolist()))
        for group, (context, _) in enumerate(names):
            if context == condition.context:
                weights[i, group] = sum(of_row[row] for row in rows[group].tolist())
        if missing:
            unmatched[condition] = missing
    return ControlGroups(tuple(names), tuple(rows), weights, unmatched)


def group_means(cells: Cells, groups: ControlGroups) -> Float[np.ndarray, "groups genes"]:
    """Return the mean of each control group, from all its cells."""
    return np.asarray([mean_of(cells.expression, rows) for rows in groups.rows])


def by_name(cells: Cells, rows: Rows) -> Rows:
    """Return `rows` in the order of the cells' names."""
    return rows[np.argsort(cells.ids[rows].astype(str), kind="stable")]


def weighted_sums(
    cells: Cells, rows: Rows, weights: sp.csc_matrix | Float[np.ndarray, "sums cells"]
) -> Float[np.ndarray, "sums genes"]:
    """Return `weights` (sums x cells) times the expression of `rows`, read block by block.

    Sparse weights (a permutation touches each cell once) stay sparse; dense ones meet dense blocks.
    """
    total = np.zeros((weights.shape[0], len(cells.genes)))
    for start in range(0, len(rows), BLOCK_CELLS):
        stop = start + BLOCK_CELLS
        if isinstance(weights, np.ndarray):
            total += weights[:, start:stop] @ cells.dense(rows[start:stop])
        else:
            product = weights[:, start:stop] @ cells.expression.rows(rows[start:stop]).astype(np.float64)
            total += product if isinstance(product, np.ndarray) else product.toarray()
    return total


def bootstrap(cells: Cells, conditions: Sequence[Condition], groups: ControlGroups, draws: int, seed: int) -> Draws:
    """Return means of cells redrawn with replacement, within each condition and each control group."""
    means = [_redrawn(cells, cells.rows_of(one), draws, (seed, "bootstrap", one.label)) for one in conditions]
    controls = [
        _redrawn(cells, rows, draws, (seed, "bootstrap control", *name))
        for name, rows in zip(groups.names, groups.rows)
    ]
    return _draws(means, controls, groups.weights)


def permuted(cells: Cells, conditions: Sequence[Condition], groups: ControlGroups, draws: int, seed: int) -> Draws:
    """Return means after permuting the labels, control included, among the judged cells of each context and batch."""
    size = len(conditions) + len(groups.names)
    sums = np.zeros((draws, size, len(cells.genes)))
    counts = np.zeros(size)
    for stratum, rows, labels in _strata(cells, conditions, groups):
        rng = generator(seed, "permuted", *stratum)
        shuffled = np.concatenate([rng.permutation(labels) + draw * size for draw in range(draws)])
        columns = np.tile(np.arange(len(rows)), draws)
        ones = np.ones(len(shuffled))
        weights = sp.csc_matrix((ones, (shuffled, columns)), shape=(draws * size, len(rows)))
        sums += weighted_sums(cells, rows, weights).reshape(sums.shape)
        counts += np.bincount(labels, minlength=size)
    mean = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    return Draws(mean[:, : len(conditions)], mean[:, len(conditions) :], groups.weights)


def halved(
    cells: Cells, conditions: Sequence[Condition], groups: tuple[ControlGroups, ControlGroups], draws: int, seed: int
) -> tuple[Draws, Draws]:
    """Return two disjoint halves of the cells of each condition, each with half of its own side's controls.

    The first half meets the first groups' controls, the second half the second's. A condition with one cell has no
    halves and gives NaN; a control group with one cell serves whole.
    """
    pairs = [_cut(cells, cells.rows_of(one), draws, (seed, "halves", one.label)) for one in conditions]
    sides = []
    for side, mine in enumerate(groups):
        controls = [
            _cut(cells, rows, draws, (seed, "halves control", side, *name))[0]
            if len(rows) > 1
            else np.repeat(cells.dense(rows), draws, axis=0)
            for name, rows in zip(mine.names, mine.rows)
        ]
        sides.append(_draws([pair[side] for pair in pairs], controls, mine.weights))
    return sides[0], sides[1]


def _redrawn(cells: Cells, rows: Rows, draws: int, key: tuple[object, ...]) -> Float[np.ndarray, "draws genes"]:
    size = len(rows)
    counts = generator(int(str(key[0])), *key[1:]).multinomial(size, np.full(size, 1 / size), size=draws)
    return weighted_sums(cells, by_name(cells, rows), counts / size)


def _cut(
    cells: Cells, rows: Rows, draws: int, key: tuple[object, ...]
) -> tuple[Float[np.ndarray, "draws genes"], Float[np.ndarray, "draws genes"]]:
    half = len(rows) // 2
    if half == 0:
        nothing = np.full((draws, len(cells.genes)), np.nan)
        return nothing, nothing
    rng = generator(int(str(key[0])), *key[1:])
    weights = np.zeros((2, draws, len(rows)))
    for draw in range(draws):
        order = rng.permutation(len(rows))
        weights[0, draw, order[:half]] = 1 / half
        weights[1, draw, order[half : 2 * half]] = 1 / half
    both = weighted_sums(cells, by_name(cells, rows), weights.reshape(2 * draws, -1))
    return both[:draws], both[draws:]


def _draws(
    means: Sequence[Float[np.ndarray, "draws genes"]],
    controls: Sequence[Float[np.ndarray, "draws genes"]],
    weights: Float[np.ndarray, "conditions groups"],
) -> Draws:
    stacked = np.stack(means, axis=1).astype(np.float32)
    return Draws(stacked, np.stack(controls, axis=1).astype(np.float32), weights)


def _strata(
    cells: Cells, conditions: Sequence[Condition], groups: ControlGroups
) -> list[tuple[tuple[str, str], Rows, Int[np.ndarray, " _"]]]:
    """Return (context, batch), rows by name and labels of the cells whose labels may be exchanged."""
    rows = [cells.rows_of(one) for one in conditions] + list(groups.rows)
    contexts = [one.context for one in conditions] + [name[0] for name in groups.names]
    labels = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    flat = np.concatenate(rows)
    batch = np.zeros(len(flat), dtype=np.int64) if cells.batch_codes is None else cells.batch_codes[flat]
    of_context = np.asarray(contexts)[labels]
    found = []
    for context in sorted(set(contexts)):
        for code in np.unique(batch[of_context == context]):
            mine = np.flatnonzero((of_context == context) & (batch == code))
            mine = mine[np.argsort(cells.ids[flat[mine]].astype(str), kind="stable")]
            name = "" if cells.batch_codes is None else cells.batches[code]
            found.append(((context, name), flat[mine], labels[mine]))
    return found
