"""Predicted and observed cells, redrawn, permuted, halved: about these a preset is asked again.

Every draw is keyed by seed and names and made over cells in the order of their names, not in that of the file.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from pertura.core.expression import BLOCK_CELLS, Expression, InMemory, dense
from pertura.core.seeds import generator
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.counts import Stacked

Codes = Int[np.ndarray, " _"]
Rows = Int[np.ndarray, " _"]
CLOSE = 1e-4


@dataclass(frozen=True, eq=False)
class Draw:
    """One alteration: how often each observed cell counts and under which label (-1: left out).

    `predicted` says how often each predicted cell counts. `borrowed` labels the observed cells that stand on the
    predicted side as well (-1: none).
    """

    codes: Codes
    copies: Codes
    predicted: Codes
    borrowed: Codes


@dataclass(frozen=True, eq=False)
class Sides:
    """Predicted and observed cells with the same labels, and which predicted control is which observed one.

    `twins[i]` is the observed row of predicted cell i where it is the same control cell, else -1.
    """

    predicted: Labelled
    observed: Labelled

    @cached_property
    def twins(self) -> Codes:
        """The observed row of each predicted control cell that is the same cell, by name and values or by values."""
        found = np.full(len(self.predicted.codes), -1, dtype=np.int64)
        mine = self.predicted.rows_of(self.predicted.control)
        theirs = self.observed.rows_of(self.observed.control)
        row_of_id = {str(self.observed.ids[row]): int(row) for row in theirs}
        named = np.asarray([row_of_id.get(str(self.predicted.ids[row]), -1) for row in mine], dtype=np.int64)
        for start in range(0, len(mine), BLOCK_CELLS):
            part = slice(start, start + BLOCK_CELLS)
            both = np.flatnonzero(named[part] >= 0) + start
            if len(both):
                same = _alike(self.predicted.expression, mine[both], self.observed.expression, named[both])
                found[mine[both[same]]] = named[both[same]]
        left = mine[found[mine] < 0]
        if len(left):
            free = np.setdiff1d(theirs, found[found >= 0])
            found[left] = _by_values(self.predicted.expression, left, self.observed.expression, free)
        return found

    @property
    def shared(self) -> float:
        """The share of the predicted control cells that are observed ones."""
        mine = self.predicted.rows_of(self.predicted.control)
        return float((self.twins[mine] >= 0).mean()) if len(mine) else 0.0

    def whole(self) -> Draw:
        """Return the sides as they are."""
        return Draw(self.observed.codes, _ones(self.observed), _ones(self.predicted), _none(self.observed))

    def permuted(self, seed: int, draw: int) -> Draw:
        """Permute the labels of the observed cells, control included; shared controls are those that are control now.

        The pool stays shared where it was: that is part of what the preset measures.
        """
        order = np.argsort(self.observed.ids.astype(str), kind="stable")
        codes = np.empty_like(self.observed.codes)
        codes[order] = generator(seed, "permuted labels", draw).permutation(self.observed.codes[order])
        if self.shared == 0:
            return replace(self.whole(), codes=codes)
        control = self.observed.labels.index(self.observed.control)
        borrowed = np.where(codes == control, self.predicted_control, -1)
        return Draw(codes, _ones(self.observed), (self.twins < 0).astype(np.int64), borrowed)

    @property
    def predicted_control(self) -> int:
        """The code of control."""
        return self.predicted.labels.index(self.predicted.control)

    def redrawn(self, seed: int, draws: int) -> list[Draw]:
        """Redraw observed cells with replacement within each label; shared controls follow."""
        copies = np.zeros((draws, len(self.observed.codes)), dtype=np.int64)
        for label in self.observed.labels:
            rows = _by_name(self.observed, label)
            if len(rows):
                rng = generator(seed, "redrawn", label)
                copies[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws)
        return [replace(self.whole(), copies=one, predicted=self._followed(one)) for one in copies]

    def _followed(self, copies: Codes) -> Codes:
        """How often predicted cells count where shared controls count as often as the observed ones."""
        return np.where(self.twins >= 0, copies[np.maximum(self.twins, 0)], 1)

    def apart(self, seed: int, draw: int, of: Draw | None = None) -> Draw:
        """Cut the shared controls in two: one half stays with the observed cells, the other with the predicted ones."""
        base = of or self.whole()
        control = self.observed.labels.index(self.observed.control)
        pool = np.flatnonzero(base.codes == control)
        kept = _half(self.observed, pool, generator(seed, "controls apart", draw))
        codes = base.codes.copy()
        codes[pool[~kept]] = -1
        judge = np.zeros(len(codes), dtype=bool)
        judge[pool[kept]] = True
        theirs = np.where((self.twins >= 0) & judge[np.maximum(self.twins, 0)], 0, base.predicted)
        return Draw(codes, base.copies, theirs, np.where(judge, -1, base.borrowed))

    def replicate(self, seed: int, draw: int) -> Draw:
        """Half of the observed cells of each label as the prediction of the other half, controls apart."""
        codes, borrowed = _none(self.observed), _none(self.observed)
        for code, label in enumerate(self.observed.labels):
            rows = self.observed.rows_of(label)
            first = _half(self.observed, rows, generator(seed, "replicate", label, draw))
            usable = 2 * (len(rows) // 2)
            if usable:
                codes[rows[first]] = code
                borrowed[rows[~first]] = self.predicted.labels.index(label)
        return Draw(codes, _ones(self.observed), np.zeros_like(self.predicted.codes), borrowed)

    def measured(self, draw: Draw) -> Labelled:
        """Return the observed cells of a draw."""
        return _taken(self.observed, draw.codes, draw.copies)

    def cells(self, draw: Draw) -> tuple[Labelled, Labelled]:
        """Return predicted and observed cells of a draw; a label without cells on either side is left out of both."""
        observed = self.measured(draw)
        predicted = _taken(self.predicted, self.predicted.codes, draw.predicted)
        lent = np.flatnonzero(draw.borrowed >= 0)
        if len(lent):
            loan = replace(self.observed.take(lent), codes=draw.borrowed[lent], labels=self.predicted.labels)
            predicted = stacked(predicted, loan) if len(predicted.codes) else replace(loan, name=predicted.name)
        return common(predicted, observed)


def stacked(upper: Labelled, lower: Labelled) -> Labelled:
    """Return the cells of both, of equal labels and genes, one below the other."""
    return replace(
        upper,
        expression=Stacked(upper.expression, lower.expression),
        ids=np.concatenate([upper.ids, lower.ids]),
        codes=np.concatenate([upper.codes, lower.codes]),
    )


def common(predicted: Labelled, observed: Labelled) -> tuple[Labelled, Labelled]:
    """Return both with the labels that have cells in both."""
    present = [{one for one, size in side.counts.items() if size} for side in (predicted, observed)]
    both = present[0] & present[1]
    return predicted.only(both), observed.only(both)


def means_of(cells: Labelled, means: Float[np.ndarray, "labels genes"]) -> Labelled:
    """Return one cell for each label: its mean; a label whose mean is not known is left out."""
    known = np.flatnonzero(np.isfinite(means).all(axis=1))
    labels = tuple(cells.labels[i] for i in known)
    ids = np.asarray(labels, dtype=object)
    return Labelled(InMemory(means[known]), cells.genes, ids, labels, np.arange(len(known)), cells.control, cells.name)


def label_means(
    cells: Labelled, draws: Sequence[tuple[Codes, Codes]], rows: Rows | None = None
) -> Float[np.ndarray, "draws labels genes"]:
    """Return the mean of each label under several (codes, copies), from one reading of the cells; NaN without cells."""
    index = np.arange(len(cells.codes)) if rows is None else rows
    size = len(cells.labels)
    sums = np.zeros((len(draws) * size, len(cells.genes)))
    counts = np.zeros(len(draws) * size)
    for start in range(0, len(index), BLOCK_CELLS):
        part = index[start : start + BLOCK_CELLS]
        weights = _weights(draws, part, size)
        counts += np.asarray(weights.sum(axis=1)).reshape(-1)
        used = np.flatnonzero(np.diff(weights.indptr))
        sums[used] += weights[used] @ dense(cells.expression.rows(part))
    means = np.divide(sums, counts[:, None], out=np.full_like(sums, np.nan), where=counts[:, None] > 0)
    return means.reshape(len(draws), size, -1)


def _weights(draws: Sequence[tuple[Codes, Codes]], rows: Rows, size: int) -> sp.csr_matrix:
    """(draw, label) x cells: how often each cell counts."""
    places, columns, values = [], [], []
    for number, (codes, copies) in enumerate(draws):
        counted = np.flatnonzero((codes[rows] >= 0) & (copies[rows] > 0))
        places.append(number * size + codes[rows[counted]])
        columns.append(counted)
        values.append(copies[rows[counted]])
    content = np.concatenate(values).astype(np.float64), (np.concatenate(places), np.concatenate(columns))
    return sp.csr_matrix(content, shape=(len(draws) * size, len(rows)))


def _taken(cells: Labelled, codes: Codes, copies: Codes) -> Labelled:
    rows = np.repeat(np.arange(len(codes)), np.where(codes >= 0, copies, 0))
    return replace(cells.take(rows), codes=codes[rows])


def _by_name(cells: Labelled, label: str) -> Rows:
    rows = cells.rows_of(label)
    return rows[np.argsort(cells.ids[rows].astype(str), kind="stable")]


def _half(cells: Labelled, rows: Rows, rng: np.random.Generator) -> Bool[np.ndarray, " _"]:
    """Mark half of the rows, drawn over their names."""
    by_name = np.argsort(cells.ids[rows].astype(str), kind="stable")
    marked = np.zeros(len(rows), dtype=bool)
    marked[by_name[rng.permutation(len(rows))[: (len(rows) + 1) // 2]]] = True
    return marked


def _ones(cells: Labelled) -> Codes:
    return np.ones(len(cells.codes), dtype=np.int64)


def _none(cells: Labelled) -> Codes:
    return np.full(len(cells.codes), -1, dtype=np.int64)


def _alike(one: Expression, rows: Rows, other: Expression, twins: Rows) -> Bool[np.ndarray, " _"]:
    return np.isclose(dense(one.rows(rows)), dense(other.rows(twins)), rtol=CLOSE, atol=CLOSE).all(axis=1)


def _by_values(one: Expression, rows: Rows, other: Expression, pool: Rows) -> Rows:
    """Return for each row a row of the pool with the very same values in float32, each given away once; -1: none."""
    waiting: dict[bytes, list[int]] = {}
    for row, key in _keys(other, pool):
        waiting.setdefault(key, []).append(row)
    found = []
    for _, key in _keys(one, rows):
        same = waiting.get(key)
        found.append(same.pop(0) if same else -1)
    return np.asarray(found, dtype=np.int64)


def _keys(expression: Expression, rows: Rows) -> list[tuple[int, bytes]]:
    keys = []
    for start in range(0, len(rows), BLOCK_CELLS):
        part = rows[start : start + BLOCK_CELLS]
        values = dense(expression.rows(part)).astype(np.float32) + np.float32(0)
        keys += [
            (int(row), hashlib.blake2b(line.tobytes(), digest_size=16).digest()) for row, line in zip(part, values)
        ]
    return keys
