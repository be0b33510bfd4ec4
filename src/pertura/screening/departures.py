"""Measured departures of pairs from additivity on the goal, with the error that redrawn cells give them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Split
from pertura.data.pseudobulk import batch_weights
from pertura.screening.goal import Goal, without_targets
from pertura.screening.interactions import departures
from pertura.screening.observed import DRAWS, Means, Redrawn, noise_of_mean

Values = Float[np.ndarray, " pairs"]


@dataclass(frozen=True, eq=False)
class Departures:
    """For each pair whose singles were measured in its context: score of the pair minus that of the sum."""

    pairs: tuple[Condition, ...]
    values: Values
    errors: Values
    lacking: tuple[Condition, ...]
    """Pairs of which a single was not measured."""


def singles_of(pair: Condition) -> tuple[Condition, ...]:
    """Return the singles of a condition, in the same context."""
    return tuple(
        Condition(Perturbation(frozenset({target})), pair.context) for target in sorted(pair.perturbation.targets)
    )


def observed_departures(
    cells: Cells, means: Means, split: Split, goal: Goal, *, seed: int = 0, draws: int = DRAWS
) -> Departures:
    """Return the measured departures; errors redraw the cells of the pair, of both singles and of the controls."""
    pairs = [one for one in means.conditions if one.perturbation.is_pair]
    there = [one for one in pairs if all(single in means.row for single in singles_of(one))]
    contexts = sorted({one.context for one in there})
    sides = {name: Redrawn.of(cells, split.judge_controls(cells, name), seed, draws) for name in contexts}
    values, errors = np.zeros(len(there)), np.zeros(len(there))
    for i, pair in enumerate(there):
        three = (pair, *singles_of(pair))
        plain = np.asarray([means.judge_deltas[means.row[one]] for one in three])
        values[i] = _departure(goal, plain[:, None], pair)[0]
        drawn = plain[:, None] + _noise(cells, three, sides[pair.context], seed, draws)
        errors[i] = _departure(goal, drawn, pair).std(ddof=1)
    return Departures(tuple(there), values, errors, tuple(one for one in pairs if one not in set(there)))


def _noise(
    cells: Cells, three: Sequence[Condition], side: Redrawn, seed: int, draws: int
) -> Float[np.ndarray, "three draws genes"]:
    found = []
    for one in three:
        rows = cells.rows_of(one)
        weights, _ = batch_weights(cells, rows, side.rows)
        found.append(noise_of_mean(cells, rows, seed, (draws, one.label)) - side.noise(weights))
    return np.asarray(found)


def _departure(goal: Goal, deltas: Float[np.ndarray, "three draws genes"], pair: Condition) -> Values:
    """The pair's own targets count on neither side."""
    pair_side, first, second = (without_targets(one, [pair] * len(one), goal.genes) for one in deltas)
    return departures(pair_side, first, second, goal.scores)
