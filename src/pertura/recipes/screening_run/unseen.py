"""Measured candidates as if they were new: what is predicted of them comes from models that had not seen them."""

from collections.abc import Sequence

import numpy as np

from pertura.core.perturbation import Condition
from pertura.recipes.screening_run.blocks import Block
from pertura.recipes.screening_run.setting import Setting
from pertura.recipes.screening_run.trust import Trust
from pertura.screening.goal import without_targets
from pertura.screening.nearest import Neighbourhood

PREDICTED = ("score", "spread", "z", "p", "unwanted", "similarity", "linear", "departure")


def as_unseen(setting: Setting, conditions: Sequence[Condition], block: Block, trust: Trust) -> Block:
    """Return the columns of candidates without what a model says of a condition that it learnt from.

    Such a condition has what was predicted of it while it was hidden, or nothing where it never was: its own cells
    would else count twice, as measured and as predicted. Nothing stands where a model cannot represent a candidate,
    whose answer is then a stand-in. The unwanted change and the nearest perturbation are those of the measured change,
    where there is one.
    """
    found = {name: values.astype(object if name == "fallback" else np.float64) for name, values in block.items()}
    held = trust.held_out
    hidden = {one: i for i, one in enumerate(held.conditions)} if held is not None else {}
    learnt, means = frozenset(setting.learnt), setting.means
    near = Neighbourhood.of(means.conditions, means.model_deltas)
    near_each = near.nearest(means.conditions, means.model_deltas)
    for i, one in enumerate(conditions):
        if one in learnt:
            _clear(found, i)
            if held is not None and one in hidden:
                for name, values in held.columns.items():
                    found[name][i] = values[hidden[one]]
                found["fallback"][i] = held.fallbacks[hidden[one]]
        if found["fallback"][i]:
            _clear(found, i)
        if one in means.row:
            row = means.row[one]
            found["nearest"][i], found["similarity"][i] = near_each.rows[row], near_each.similarity[row]
            if setting.unwanted is not None:
                delta = without_targets(means.judge_deltas[[row]], [one], means.genes)
                found["unwanted"][i] = setting.unwanted.scores(delta)[0]
    return found


def _clear(columns: Block, row: int) -> None:
    for name in PREDICTED:
        columns[name][row] = np.nan
    columns["nearest"][row] = -1
