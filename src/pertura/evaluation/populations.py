"""Distances between predicted and observed cells, of a few cells of each condition.

Euclidean over the whole panel. At most `most_cells` cells of a condition take part, chosen by name, and as many
predicted ones, which have no names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition
from pertura.core.seeds import shuffled
from pertura.evaluation import resampling
from pertura.evaluation.effort import Rounds
from pertura.evaluation.resampling import ControlGroups, by_name
from pertura.evaluation.sides import CellSides
from pertura.metrics.distance import Spreads, gaps, kernel

PURPOSE = "cells in distances"
Few = Float[np.ndarray, "_ genes"]
Rows = resampling.Rows
Weights = Float[np.ndarray, "draws _"]
Within = Float[np.ndarray, "2 _ _"]


@dataclass(frozen=True, eq=False)
class Populations:
    """The observed cells that enter distances, and how they are redrawn, permuted and halved."""

    cells: Cells
    conditions: tuple[Condition, ...]
    judge: ControlGroups
    model: ControlGroups
    seed: int
    most_cells: int
    rounds: Rounds

    @cached_property
    def widths(self) -> Mapping[str, float]:
        """The median squared distance between judge-side controls of each context: the width of its kernels."""
        return {name: self._width(name) for name in sorted({one.context for one in self.conditions})}

    def _width(self, context: str) -> float:
        few = self.cells.dense(self._some(self._controls(self.judge, context)))
        apart = np.square(gaps(few, few))[np.triu_indices(len(few), 1)]
        middle = float(np.median(apart)) if len(apart) else 0.0
        return middle if middle > 0 else 1.0

    def plain(self, predicted: Iterable[Few]) -> CellSides:
        """Return predicted against observed cells."""
        whole = [_even(len(rows)) for rows in self._chosen]
        return self._sides(self._against(predicted, self._chosen, whole, self._within), 0)

    def redrawn(self, predicted: Iterable[Few]) -> list[CellSides]:
        """Return predicted cells against observed ones drawn again, with replacement, in each draw."""
        table = self._against(predicted, self._chosen, self._copies, self._within)
        return [self._sides(table, draw) for draw in range(self.rounds.bootstrap)]

    def permuted(self, predicted: Iterable[Few]) -> list[CellSides]:
        """Return predicted cells against those that carry their label after each permutation."""
        draws = self.rounds.permutations
        table = np.empty((len(self.conditions), 2, 3, draws))
        for i, (few, condition) in enumerate(zip(predicted, self.conditions, strict=True)):
            first = np.asarray(few, dtype=np.float64)
            table[i, :, 0] = self._both(first, first, condition).mean(axis=(1, 2))[:, None]
            within = self._within_permuted.setdefault(i, np.full((2, draws), np.nan))
            for draw, rows in enumerate(self._relabelled):
                observed = self.cells.dense(rows[i])
                if np.isnan(within[0, draw]):
                    within[:, draw] = self._both(observed, observed, condition).mean(axis=(1, 2))
                across = self._both(first, observed, condition).mean(axis=1)
                table[i, :, 2, draw] = (across @ _even(len(observed)).T)[:, 0]
            table[i, :, 1] = within
        return [self._sides(table, draw) for draw in range(draws)]

    def no_change(self) -> CellSides:
        """Return model-side controls in place of a prediction."""
        few = {name: self.cells.dense(self._some(self._controls(self.model, name))) for name in self.widths}
        return self.plain([few[one.context] for one in self.conditions])

    def halves(self) -> list[CellSides]:
        """Return half of the cells against the other half, half as many of either as of whole populations."""
        return [self._halved(draw) for draw in range(self.rounds.halves)]

    def few(self, cells: Few) -> Few:
        """Return the predicted cells that take part: evenly spaced by total expression, whatever their order."""
        few = np.asarray(cells)
        if len(few) > self.most_cells:
            by_total = np.argsort(np.asarray(few, dtype=np.float64).sum(axis=1), kind="stable")
            few = few[by_total[np.arange(self.most_cells) * len(few) // self.most_cells]]
        return few

    # ---- which cells

    def _some(self, rows: Rows) -> Rows:
        return rows[shuffled(self.cells.ids[rows], self.seed, PURPOSE)[: self.most_cells]]

    def _controls(self, groups: ControlGroups, context: str) -> Rows:
        return np.concatenate([rows for (name, _), rows in zip(groups.names, groups.rows) if name == context])

    @cached_property
    def _chosen(self) -> list[Rows]:
        return [self._some(self.cells.rows_of(one)) for one in self.conditions]

    @cached_property
    def _copies(self) -> list[Weights]:
        """The first redraws of the means, as far as they concern the chosen cells; every draw weighs one."""
        sizes = [len(self.cells.rows_of(one)) for one in self.conditions] + [len(rows) for rows in self.judge.rows]
        drawn = resampling.copies(self.conditions, self.judge, sizes, self.rounds.bootstrap, self.seed)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        found = []
        for i, one in enumerate(self.conditions):
            named = by_name(self.cells, self.cells.rows_of(one))
            place = {int(row): column for column, row in enumerate(named)}
            mine = drawn[:, starts[i] + np.asarray([place[int(row)] for row in self._chosen[i]])].astype(np.float64)
            total = mine.sum(axis=1, keepdims=True)
            found.append(np.divide(mine, total, out=np.full_like(mine, np.nan), where=total > 0))
        return found

    @cached_property
    def _relabelled(self) -> list[list[Rows]]:
        rows, codes = resampling.permuted_codes(
            self.cells, self.conditions, self.judge, self.rounds.permutations, self.seed
        )
        return [[rows[drawn == i][: self.most_cells] for i in range(len(self.conditions))] for drawn in codes]

    # ---- means of pairs

    @cached_property
    def _within(self) -> list[Within]:
        return [self._both(few, few, one) for few, one in zip(map(self.cells.dense, self._chosen), self.conditions)]

    @cached_property
    def _within_permuted(self) -> dict[int, Float[np.ndarray, "2 draws"]]:
        """Distances among relabelled cells of each condition: the same for all predictions, whose means are kept."""
        return {}

    def _both(self, first: Few, second: Few, condition: Condition) -> Within:
        distances = gaps(first, second)
        return np.stack([distances, kernel(distances, self.widths[condition.context])])

    def _against(
        self,
        predicted: Iterable[Few],
        rows: Sequence[Rows],
        weights: Sequence[Weights],
        within: Sequence[Within],
    ) -> Float[np.ndarray, "conditions 2 3 draws"]:
        """Return mean distance and kernel within predicted, within observed, and across, in each draw."""
        table = np.empty((len(self.conditions), 2, 3, len(weights[0])))
        for i, (few, condition) in enumerate(zip(predicted, self.conditions, strict=True)):
            first = np.asarray(few, dtype=np.float64)
            across = self._both(first, self.cells.dense(rows[i]), condition).mean(axis=1)
            table[i, :, 0] = self._both(first, first, condition).mean(axis=(1, 2))[:, None]
            table[i, :, 1] = _weighted(within[i], weights[i])
            table[i, :, 2] = across @ weights[i].T
        return table

    def _halved(self, draw: int) -> CellSides:
        table = np.full((len(self.conditions), 2, 3, 1), np.nan)
        for i, one in enumerate(self.conditions):
            rows = by_name(self.cells, self.cells.rows_of(one))
            half = min(len(rows), self.most_cells) // 2
            if half:
                key = resampling.halves_key(one, self.seed)
                order = resampling.half_orders(len(rows), self.rounds.halves, key)[draw]
                start = len(rows) // 2
                observed, second = (self.cells.dense(rows[order[at : at + half]]) for at in (0, start))
                parts = ((second, second), (observed, observed), (second, observed))
                table[i, :, :, 0] = np.stack([self._both(*part, one).mean(axis=(1, 2)) for part in parts], axis=1)
        return self._sides(table, 0)

    def _sides(self, table: Float[np.ndarray, "conditions 2 3 draws"], draw: int) -> CellSides:
        distances, kernels = (Spreads(*table[:, kind, :, draw].T) for kind in (0, 1))
        return CellSides(distances, kernels)


def _even(size: int) -> Weights:
    return np.full((1, size), 1 / max(size, 1))


def _weighted(within: Within, weights: Weights) -> Float[np.ndarray, "2 draws"]:
    """Return weighted means over pairs."""
    return np.einsum("di,kij,dj->kd", weights, within, weights, optimize=True)
