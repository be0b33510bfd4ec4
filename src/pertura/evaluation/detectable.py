"""Which perturbations have an effect that the data can show at all."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition
from pertura.core.seeds import generator, shuffled
from pertura.metrics.distance import energy_test, pairwise

MOST_CELLS = 500
THRESHOLD = 0.05


def detectable(p_values: Float[np.ndarray, " conditions"]) -> Bool[np.ndarray, " conditions"]:
    """Return which conditions have p <= 0.05; an undefined p is not detectable."""
    return np.asarray(np.nan_to_num(p_values, nan=1.0) <= THRESHOLD)


def effect_p_values(
    cells: Cells, conditions: Sequence[Condition], permutations: int, seed: int
) -> Float[np.ndarray, " conditions"]:
    """Return for each condition the p-value of a permutation E-test of its cells against its context's controls.

    Euclidean energy distance on the whole panel; at most 500 cells of a side, chosen by name. All controls of the
    context take part: this describes the observed cells and feeds no prediction. NaN where a side has < 2 cells.
    """
    contexts = sorted({one.context for one in conditions})
    controls = {name: cells.dense(_few(cells, cells.control_rows(name), seed)) for name in contexts}
    among = {name: pairwise(mine) for name, mine in controls.items()}
    values = np.empty(len(conditions))
    for i, condition in enumerate(conditions):
        mine, name = cells.dense(_few(cells, cells.rows_of(condition), seed)), condition.context
        rng = generator(seed, "energy test", condition.label)
        values[i] = energy_test(mine, controls[name], permutations, rng, among[name])[1]
    return values


def _few(cells: Cells, rows: Int[np.ndarray, " _"], seed: int) -> Int[np.ndarray, " _"]:
    return rows[shuffled(cells.ids[rows], seed, "energy test")[:MOST_CELLS]]
