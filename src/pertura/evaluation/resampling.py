"""Redrawn, permuted and halved observed cells: their means, and which cells they are.

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
from pertura.metrics.weighted import importance, scores_against_rest

Rows = Int[np.ndarray, " _"]
Stratum = tuple[tuple[str, str], Rows, Rows]
"""Context and batch, the cells whose labels may be exchanged, by name, and their labels."""
MOST_SUMS = 1 << 23
"""Sums that are held at a time while labels are permuted."""


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
    """Means of conditions and of control groups in each of several draws (float32 to halve the memory).

    `importance` are the weights of genes that go with the redrawn labels, where these are others than the observed.
    """

    means: Float[np.ndarray, "draws conditions genes"]
    groups: Float[np.ndarray, "draws groups genes"]
    weights: Float[np.ndarray, "conditions groups"]
    importance: Float[np.ndarray, "draws conditions genes"] | None = None

    def __len__(self) -> int:
        return len(self.means)

    def none(self) -> "Draws":
        """Return no draws of the same conditions and genes."""
        nothing = [np.empty((0, *one.shape[1:]), dtype=np.float32) for one in (self.means, self.groups)]
        return Draws(nothing[0], nothing[1], self.weights, None if self.importance is None else nothing[0])

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


def moments(cells: Cells, rows: Rows) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """Return mean and mean square of some cells."""
    even = np.full((1, len(rows)), 1 / len(rows))
    return weighted_sums(cells, rows, even)[0], weighted_sums(cells, rows, even, squared=True)[0]


def weighted_sums(
    cells: Cells, rows: Rows, weights: sp.csc_matrix | Float[np.ndarray, "sums cells"], squared: bool = False
) -> Float[np.ndarray, "sums genes"]:
    """Return `weights` (sums x cells) times the expression of `rows`, or its squares, read block by block.

    Blocks are made dense: a product of two sparse matrices (a permutation touches each cell once) takes ten times as
    long as one with a dense matrix at the usual density.
    """
    total = np.zeros((weights.shape[0], len(cells.genes)))
    for start in range(0, len(rows), BLOCK_CELLS):
        block = cells.dense(rows[start : start + BLOCK_CELLS])
        total += weights[:, start : start + BLOCK_CELLS] @ (np.square(block) if squared else block)
    return total


@dataclass(frozen=True, eq=False)
class Coded:
    """The cells that take part, by name within each label: condition i has the code i, control groups come after."""

    rows: Rows
    codes: Rows

    @classmethod
    def of(cls, cells: Cells, conditions: Sequence[Condition], groups: ControlGroups) -> "Coded":
        """Return the cells of `conditions` and of the control groups."""
        parts = [by_name(cells, cells.rows_of(one)) for one in conditions] + list(groups.rows)
        return cls(np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(one) for one in parts]))


def copies(
    conditions: Sequence[Condition], groups: ControlGroups, sizes: Sequence[int], draws: int, seed: int
) -> Int[np.ndarray, "draws cells"]:
    """Return how often each cell of `Coded` is drawn in each draw: the first draws of `bootstrap`."""
    keys = _bootstrap_keys(conditions, groups, seed)
    return np.concatenate([_drawn(size, draws, key) for size, key in zip(sizes, keys)], axis=1)


def permuted_codes(
    cells: Cells, conditions: Sequence[Condition], groups: ControlGroups, draws: int, seed: int
) -> tuple[Rows, Int[np.ndarray, "draws cells"]]:
    """Return cells and their codes in each permutation: the first draws of `permuted`."""
    strata = _strata(cells, conditions, groups)
    codes = []
    for stratum, _, labels in strata:
        rng = generator(seed, "permuted", *stratum)
        codes.append(np.asarray([rng.permutation(labels) for _ in range(draws)]))
    return np.concatenate([rows for _, rows, _ in strata]), np.concatenate(codes, axis=1)


def half_orders(size: int, draws: int, key: tuple[object, ...]) -> Int[np.ndarray, "draws cells"]:
    """Return for each draw an order of `size` cells, of which the first half and the next make the halves."""
    rng = generator(int(str(key[0])), *key[1:])
    return np.asarray([rng.permutation(size) for _ in range(draws)])


def halves_key(condition: Condition, seed: int) -> tuple[object, ...]:
    """Return what the halves of a condition's cells are keyed by."""
    return (seed, "halves", condition.label)


def control_halves_key(name: tuple[str, str], side: int, seed: int) -> tuple[object, ...]:
    """Return what the halves of a control group are keyed by; `side` 0 is the judge's, 1 the model's."""
    return (seed, "halves control", side, *name)


def bootstrap(cells: Cells, conditions: Sequence[Condition], groups: ControlGroups, draws: int, seed: int) -> Draws:
    """Return means of cells redrawn with replacement, within each condition and each control group."""
    parts = [by_name(cells, cells.rows_of(one)) for one in conditions] + list(groups.rows)
    means = np.empty((draws, len(parts), len(cells.genes)), dtype=np.float32)
    for i, (rows, key) in enumerate(zip(parts, _bootstrap_keys(conditions, groups, seed), strict=True)):
        means[:, i] = weighted_sums(cells, rows, _drawn(len(rows), draws, key) / len(rows))
    return Draws(means[:, : len(conditions)], means[:, len(conditions) :], groups.weights)


def permuted(cells: Cells, conditions: Sequence[Condition], groups: ControlGroups, draws: int, seed: int) -> Draws:
    """Return means after permuting the labels, control included, among the judged cells of each context and batch."""
    strata = _strata(cells, conditions, groups)
    _, codes = permuted_codes(cells, conditions, groups, draws, seed)
    size, known = len(conditions) + len(groups.names), len(conditions)
    shape = (draws, size, len(cells.genes))
    means, importance = np.empty(shape, dtype=np.float32), np.empty((draws, known, shape[2]), dtype=np.float32)
    counts = np.bincount(np.concatenate([labels for _, _, labels in strata]), minlength=size)
    share = np.maximum(counts, 1)[:, None]
    at_once = max(MOST_SUMS // (size * shape[2]), 1)
    for start in range(0, draws, at_once):
        some = slice(start, min(start + at_once, draws))
        sums, squares = _permuted_sums(cells, strata, codes[some], size)
        sums /= share
        squares /= share
        means[some] = sums
        importance[some] = gene_weights(counts[:known], sums[:, :known], squares[:, :known], conditions)
    return Draws(means[:, :known], means[:, known:], groups.weights, importance)


def _permuted_sums(
    cells: Cells, strata: Sequence[Stratum], codes: Int[np.ndarray, "draws cells"], size: int
) -> Float[np.ndarray, "2 draws codes genes"]:
    """Return sums of values and of squares over the cells of each code, in some draws."""
    draws, start = len(codes), 0
    both = np.zeros((2, draws, size, len(cells.genes)))
    for _, rows, _ in strata:
        mine = codes[:, start : start + len(rows)] + size * np.arange(draws)[:, None]
        start += len(rows)
        columns = np.tile(np.arange(len(rows)), draws)
        weights = sp.csc_matrix((np.ones(mine.size), (mine.reshape(-1), columns)), shape=(draws * size, len(rows)))
        for total, squared in zip(both, (False, True)):
            total += weighted_sums(cells, rows, weights, squared=squared).reshape(total.shape)
    return both


def gene_weights(
    counts: Int[np.ndarray, " conditions"],
    means: Float[np.ndarray, "draws conditions genes"],
    squares: Float[np.ndarray, "draws conditions genes"],
    conditions: Sequence[Condition],
) -> Float[np.ndarray, "draws conditions genes"]:
    """Return how much each gene sets a condition apart from the other judged ones of its context, draw by draw."""
    names = sorted({one.context for one in conditions})
    contexts = np.asarray([names.index(one.context) for one in conditions])
    weights = np.empty(means.shape, dtype=np.float32)
    for draw, (mean, square) in enumerate(zip(means, squares)):
        weights[draw] = importance(scores_against_rest(counts, mean, square, contexts))
    return weights


def halved(
    cells: Cells, conditions: Sequence[Condition], groups: tuple[ControlGroups, ControlGroups], draws: int, seed: int
) -> tuple[Draws, Draws]:
    """Return two disjoint halves of the cells of each condition, each with half of its own side's controls.

    The first half meets the first groups' controls, the second half the second's; the first, which is judged against,
    carries gene weights. A condition with one cell has no halves and gives NaN; a control group with one cell serves
    whole.
    """
    pairs = [_cut(cells, cells.rows_of(one), draws, halves_key(one, seed)) for one in conditions]
    squares = [_cut(cells, cells.rows_of(one), draws, halves_key(one, seed), squared=True)[0] for one in conditions]
    counts = np.asarray([len(cells.rows_of(one)) // 2 for one in conditions])
    firsts = np.stack([first for first, _ in pairs], axis=1)
    weights = gene_weights(counts, firsts, np.stack(squares, axis=1), conditions)
    sides = []
    for side, mine in enumerate(groups):
        controls = [
            _cut(cells, rows, draws, control_halves_key(name, side, seed))[0]
            if len(rows) > 1
            else np.repeat(cells.dense(rows), draws, axis=0)
            for name, rows in zip(mine.names, mine.rows)
        ]
        sides.append(_draws([pair[side] for pair in pairs], controls, mine.weights, weights if side == 0 else None))
    return sides[0], sides[1]


def _bootstrap_keys(conditions: Sequence[Condition], groups: ControlGroups, seed: int) -> list[tuple[object, ...]]:
    keys: list[tuple[object, ...]] = [(seed, "bootstrap", one.label) for one in conditions]
    return keys + [(seed, "bootstrap control", *name) for name in groups.names]


def _drawn(size: int, draws: int, key: tuple[object, ...]) -> Int[np.ndarray, "draws cells"]:
    return generator(int(str(key[0])), *key[1:]).multinomial(size, np.full(size, 1 / size), size=draws)


def _cut(
    cells: Cells, rows: Rows, draws: int, key: tuple[object, ...], squared: bool = False
) -> tuple[Float[np.ndarray, "draws genes"], Float[np.ndarray, "draws genes"]]:
    half = len(rows) // 2
    if half == 0:
        nothing = np.full((draws, len(cells.genes)), np.nan)
        return nothing, nothing
    weights = np.zeros((2, draws, len(rows)))
    for draw, order in enumerate(half_orders(len(rows), draws, key)):
        weights[0, draw, order[:half]] = 1 / half
        weights[1, draw, order[half : 2 * half]] = 1 / half
    both = weighted_sums(cells, by_name(cells, rows), weights.reshape(2 * draws, -1), squared)
    return both[:draws], both[draws:]


def _draws(
    means: Sequence[Float[np.ndarray, "draws genes"]],
    controls: Sequence[Float[np.ndarray, "draws genes"]],
    weights: Float[np.ndarray, "conditions groups"],
    gene_weights: Float[np.ndarray, "draws conditions genes"] | None = None,
) -> Draws:
    stacked, groups = (np.stack(parts, axis=1).astype(np.float32, copy=False) for parts in (means, controls))
    return Draws(stacked, groups, weights, gene_weights)


def _strata(cells: Cells, conditions: Sequence[Condition], groups: ControlGroups) -> list[Stratum]:
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
