"""What the perturbations of a screen do to the goal as measured, with the noise of their cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from pertura.core.cells import Cells, Scale
from pertura.core.expression import BLOCK_CELLS, InMemory, dense
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.seeds import generator
from pertura.core.split import ControlPartition, Split
from pertura.data.pseudobulk import batch_weights, mean_of, pseudobulk
from pertura.metrics.differential import false_discovery_rate
from pertura.screening.goal import Goal, without_targets

DRAWS = 200
FEWEST_CELLS = 2
Rows = Int[np.ndarray, " cells"]
Table = Float[np.ndarray, "conditions genes"]
Values = Float[np.ndarray, " conditions"]


@dataclass(frozen=True, eq=False)
class Means:
    """A screen as means: the change of each condition from the controls of either side of the split.

    Batches are matched on both sides. `start` is the mean model-side control of each context, `scale` that of the
    cells. `few` are conditions left out for having fewer than two cells.
    """

    genes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    model_deltas: Table
    judge_deltas: Table
    start: Mapping[str, Float[np.ndarray, " genes"]]
    counts: Int[np.ndarray, " conditions"]
    scale: Scale
    few: tuple[Condition, ...] = ()

    @cached_property
    def row(self) -> dict[Condition, int]:
        """Condition -> its row."""
        return {one: row for row, one in enumerate(self.conditions)}

    def cells(self) -> Cells:
        """Return one cell for each condition and context: its mean; what models of means learn from is the same."""
        contexts = sorted(self.start)
        controls = [Condition(Perturbation(), name) for name in contexts]
        starts = np.asarray([self.start[name] for name in contexts])
        own = starts[[contexts.index(one.context) for one in self.conditions]] + self.model_deltas
        names = [f"control-{i}" for i in range(len(contexts))] + [f"mean-{i}" for i in range(len(self.conditions))]
        return Cells(
            expression=InMemory(np.concatenate([starts, own])),
            genes=self.genes,
            ids=np.asarray(names),
            conditions=(*controls, *self.conditions),
            codes=np.arange(len(names)),
            scale=self.scale,
            name="means of the screen",
        )

    def split(self, train: Sequence[Condition], name: str, seed: int) -> Split:
        """Return a split of `cells` that trains on these conditions; the others are its test."""
        shared = {one: ControlPartition.shared([f"control-{i}"]) for i, one in enumerate(sorted(self.start))}
        rest = frozenset(self.conditions) - frozenset(train)
        return Split(name, frozenset(train), frozenset(), rest, controls=shared, seed=seed)


def means_of(cells: Cells, split: Split) -> Means:
    """Return a screen as means. Conditions of contexts that the split has no controls of are left out."""
    there = [one for one in cells.perturbed if one.context in split.controls]
    kept = tuple(one for one in there if len(cells.rows_of(one)) >= FEWEST_CELLS)
    contexts = sorted({one.context for one in kept})
    model = {name: split.model_controls(cells, name) for name in contexts}
    judge = {name: split.judge_controls(cells, name) for name in contexts}
    mine = pseudobulk(cells, kept, model)
    theirs = pseudobulk(cells, kept, judge)
    return Means(
        genes=cells.genes,
        conditions=kept,
        model_deltas=mine.deltas,
        judge_deltas=theirs.deltas,
        start={name: mean_of(cells.expression, rows) for name, rows in model.items()},
        counts=mine.counts,
        scale=cells.scale,
        few=tuple(one for one in there if one not in set(kept)),
    )


@dataclass(frozen=True, eq=False)
class ObservedScores:
    """The measured score of each condition, its standard error, and what is left of it when nothing is done.

    `errors` come from cells redrawn with replacement on both sides; `null_errors` are those of as many control cells
    in place of the perturbed ones; `p` is one-sided in the goal's direction against that null.
    """

    conditions: tuple[Condition, ...]
    scores: Values
    errors: Values
    null_errors: Values
    direction: int

    @property
    def p(self) -> Values:
        """The chance of a score as far in the goal's direction where nothing is done."""
        z = np.divide(self.scores, self.null_errors, out=np.zeros(len(self.scores)), where=self.null_errors > 0)
        return stats.norm.sf(self.direction * z)

    @property
    def two_sided(self) -> Values:
        """The chance of a score as far from zero where nothing is done."""
        z = np.divide(self.scores, self.null_errors, out=np.zeros(len(self.scores)), where=self.null_errors > 0)
        return 2.0 * stats.norm.sf(np.abs(z))

    def moving(self, level: float = 0.05) -> Bool[np.ndarray, " conditions"]:
        """Which conditions move the goal either way, at a false discovery rate (Benjamini-Hochberg)."""
        if not len(self.scores):
            return np.zeros(0, dtype=bool)
        return np.asarray(false_discovery_rate(self.two_sided[None])[0] < level)

    @cached_property
    def of(self) -> dict[Condition, float]:
        """Condition -> its score."""
        return dict(zip(self.conditions, self.scores.tolist()))


def observed_scores(
    cells: Cells, means: Means, split: Split, goal: Goal, *, seed: int = 0, draws: int = DRAWS
) -> ObservedScores:
    """Return the measured scores of a screen against its judge-side controls.

    Scores that are not linear in the change are biased by noise (a noisy change lies farther from a target state):
    the bias is what redrawn cells have on average beyond the cells themselves, and is taken off.
    """
    contexts = sorted(means.start)
    controls = {name: Redrawn.of(cells, split.judge_controls(cells, name), seed, draws) for name in contexts}
    plain = goal.scores(without_targets(means.judge_deltas, means.conditions, goal.genes))
    errors, null, bias = (np.zeros(len(means.conditions)) for _ in range(3))
    for i, one in enumerate(means.conditions):
        rows = cells.rows_of(one)
        side = controls[one.context]
        weights, _ = batch_weights(cells, rows, side.rows)
        noise = noise_of_mean(cells, rows, seed, (draws, one.label)) - side.noise(weights)
        many = np.repeat([one], draws).tolist()
        redrawn = goal.scores(without_targets(means.judge_deltas[i] + noise, many, goal.genes))
        errors[i], bias[i] = redrawn.std(ddof=1), redrawn.mean() - plain[i]
        null[i] = side.null_error(goal, len(rows), one)
    corrected = plain - bias if goal.statistic == "distance" else plain
    return ObservedScores(means.conditions, corrected, errors, null, goal.sign)


@dataclass(frozen=True, eq=False)
class Redrawn:
    """Controls of one context with the multiplicities of their redraws."""

    rows: Rows
    matrix: Float[np.ndarray, "cells genes"]
    times: Float[np.ndarray, "draws cells"]

    @classmethod
    def of(cls, cells: Cells, rows: Rows, seed: int, draws: int) -> "Redrawn":
        """Return the redraws of some controls; independent of their order."""
        named = rows[np.argsort(cells.ids[rows].astype(str), kind="stable")]
        rng = generator(seed, "redrawn controls", len(named))
        times = rng.multinomial(len(named), np.full(len(named), 1 / len(named)), size=draws).astype(np.float64)
        return cls(named, cells.dense(named), times)

    def noise(self, weights: Float[np.ndarray, " cells"]) -> Float[np.ndarray, "draws genes"]:
        """Return how far the weighted mean of redrawn controls is from that of the controls."""
        redrawn = self.times * weights
        redrawn /= redrawn.sum(axis=1, keepdims=True)
        return (redrawn - weights / weights.sum()) @ self.matrix

    @cached_property
    def _unit(self) -> Float[np.ndarray, "draws genes"]:
        """The noise of the mean of redrawn controls, times the root of their number: that of one cell."""
        even = np.full(len(self.rows), 1.0)
        return self.noise(even) * np.sqrt(len(self.rows))

    def null_error(self, goal: Goal, cells: int, condition: Condition) -> float:
        """Return the standard deviation of the score of `cells` control cells against these controls."""
        scale = np.sqrt(1 / cells + 1 / len(self.rows))
        deltas = without_targets(self._unit * scale, [condition] * len(self._unit), goal.genes)
        return float(goal.scores(deltas).std(ddof=1))


def noise_of_mean(cells: Cells, rows: Rows, seed: int, drawn: tuple[int, str]) -> Float[np.ndarray, "draws genes"]:
    """Return how far the means of redrawn cells are from the mean of the cells; `drawn`: how often, and whose cells.

    Independent of the order of the cells.
    """
    draws, name = drawn
    named = rows[np.argsort(cells.ids[rows].astype(str), kind="stable")]
    even = np.full(len(rows), 1 / len(rows))
    times = generator(seed, "redrawn cells", name).multinomial(len(rows), even, size=draws) / len(rows)
    off = np.zeros((draws, len(cells.genes)))
    for start in range(0, len(named), BLOCK_CELLS):
        part = slice(start, start + BLOCK_CELLS)
        off += (times[:, part] - even[part]) @ dense(cells.expression.rows(named[part]))
    return off


def only(observed: ObservedScores, wanted: Sequence[Condition]) -> ObservedScores:
    """Return the scores of some conditions, in the order asked."""
    row = {one: i for i, one in enumerate(observed.conditions)}
    rows = np.asarray([row[one] for one in wanted], dtype=np.int64)
    return replace(
        observed,
        conditions=tuple(wanted),
        scores=observed.scores[rows],
        errors=observed.errors[rows],
        null_errors=observed.null_errors[rows],
    )
