"""How many cells a perturbation needs so that a change of the goal of given size is found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from scipy import stats

from pertura.core.cells import Cells
from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.screening.goal import Goal

DEPTHS = (1.0, 0.5, 0.25)
ALPHA, POWER = 0.05, 0.8
WHOLE = 0.01
"""How far a recovered count may be from a whole number."""


@dataclass(frozen=True)
class CellsNeeded:
    """Cells per perturbation at one depth for one size of change; None where no number of cells is enough.

    `depth` is a share of the controls' own, `sd` the standard deviation of the score of one cell there.
    """

    depth: float
    effect: float
    sd: float
    cells: int | None


def score_of_cells(goal: Goal, expression: Float[np.ndarray, "cells genes"]) -> Float[np.ndarray, " cells"]:
    """Return what each cell alone adds to a linear score: the programme's weighted mean, or the way to the target."""
    if goal.statistic == "enrichment":
        raise UsageError("power is for scores that are means over cells: take weighted-mean or distance")
    size = np.abs(goal.weights).sum() if goal.statistic == "weighted-mean" else np.square(goal.weights).sum() / 2.0
    return expression @ (goal.weights / size)


def cells_needed(
    sd: float, effect: float, controls: int, *, tests: int = 1, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Return how many cells show a change of the score with this power; None where the controls are too few for it.

    One-sided at alpha / tests (Bonferroni), normal score means: n = sd^2 / ((effect / (z_a + z_b))^2 - sd^2 / m).
    """
    if effect == 0 or sd <= 0:
        return None if effect == 0 else 1
    wanted = stats.norm.isf(alpha / tests) + stats.norm.ppf(power)
    left = (effect / wanted) ** 2 - sd**2 / controls
    return max(int(np.ceil(sd**2 / left - 1e-9)), 2) if left > 0 else None


def power_table(
    controls: Cells, goal: Goal, effects: Sequence[float], *, tests: int = 1, seed: int = 0
) -> tuple[tuple[CellsNeeded, ...], tuple[str, ...]]:
    """Return the cells needed for each size of change at each depth, and what could not be told.

    Depths below the controls' own are reached by thinning their counts binomially; where counts cannot be told from
    the values only the controls' own depth is given.
    """
    rows: list[CellsNeeded] = []
    notes: tuple[str, ...] = ()
    for depth in DEPTHS:
        expression = _at_depth(controls, depth, seed)
        if expression is None:
            notes = ("counts cannot be told from these values: only the controls' own depth is given",)
            continue
        sd = float(score_of_cells(goal, expression).std(ddof=1))
        rows += [CellsNeeded(depth, one, sd, cells_needed(sd, one, len(controls), tests=tests)) for one in effects]
    return tuple(rows), notes


def _at_depth(controls: Cells, depth: float, seed: int) -> Float[np.ndarray, "cells genes"] | None:
    """The controls with each molecule kept with probability `depth`, normalised again; None where none are known."""
    every = np.arange(len(controls))
    values = controls.dense(every)
    if depth == 1.0:
        return values
    order = np.argsort(controls.ids.astype(str), kind="stable")
    counts = _counts(controls, values)
    if counts is None:
        return None
    kept = np.empty_like(counts)
    kept[order] = generator(seed, "thinned", depth).binomial(counts[order].astype(np.int64), depth)
    scale = controls.scale
    if scale.kind == "counts" or controls.library_sizes is None or not scale.target_sum or not scale.log_base:
        return kept
    per_count = scale.target_sum / (controls.library_sizes * depth)
    return np.log1p(kept * per_count[:, None]) / np.log(scale.log_base)


def _counts(controls: Cells, values: Float[np.ndarray, "cells genes"]) -> Float[np.ndarray, "cells genes"] | None:
    scale = controls.scale
    if scale.kind == "counts":
        return values
    if controls.library_sizes is None or not scale.target_sum or not scale.log_base:
        return None
    counts = np.expm1(values * np.log(scale.log_base)) * (controls.library_sizes / scale.target_sum)[:, None]
    stored = sp.csr_matrix(counts).data
    whole = np.abs(stored - np.rint(stored)) <= WHOLE * np.maximum(stored / 100, 1)
    return np.rint(counts) if not len(stored) or whole.mean() > 0.95 else None
