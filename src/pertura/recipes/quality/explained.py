"""How much of a change cells of another depth, or another phase of the cycle, show without any perturbation."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.seeds import generator
from pertura.data.pseudobulk import mean_of
from pertura.recipes.quality.assessed import NAN
from pertura.recipes.quality.groups import Group
from pertura.recipes.quality.reference import Reference

Kinds = tuple[int, ...]
ROUNDS = 4
FEWEST_CELLS = 10


def shares(
    cells: Cells, group: Group, reference: Reference, features: Float[np.ndarray, "cells kinds"], seed: int
) -> Mapping[Kinds, float]:
    """Return for each set of features the share of a group's squared change that goes with them.

    The part of a change that features explain is the slope of each gene on them among the controls, times their mean
    change. Change and rest are each measured twice, on halves of the cells against halves of the controls, and
    multiplied, so that noise adds nothing on average: share = 1 - <rest, rest'> / <change, change'>, cut at 0 and 1.
    NaN where the product of the changes is not positive: there is nothing to explain.
    """
    if len(group.rows) < FEWEST_CELLS or not reference.slopes:
        return {}
    total, rest = 0.0, dict.fromkeys(reference.slopes, 0.0)
    rng = generator(seed, "explained", group.condition.label, group.guide)
    by_name = group.rows[np.argsort(cells.ids[group.rows].astype(str), kind="stable")]
    for _ in range(ROUNDS):
        order = by_name[rng.permutation(len(by_name))]
        halves = np.sort(order[::2]), np.sort(order[1::2])
        changes, moved = [], []
        for rows, side in zip(halves, reference.halves):
            changes.append(mean_of(cells.expression, rows) - side.matched(rows))
            moved.append(features[rows].mean(axis=0) - side.matched_of(rows, features))
        total += float(changes[0] @ changes[1])
        for kinds, slopes in reference.slopes.items():
            left = [change - moves[list(kinds)] @ slopes for change, moves in zip(changes, moved)]
            rest[kinds] += float(left[0] @ left[1])
    if total <= 0:
        return dict.fromkeys(rest, NAN)
    return {kinds: float(np.clip(1 - value / total, 0.0, 1.0)) for kinds, value in rest.items()}
