"""What the members of an ensemble say of some conditions, scored on the goal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition
from pertura.recipes.screening_run.runs import Member
from pertura.recipes.screening_run.setting import Setting
from pertura.screening.deltas import predicted_deltas
from pertura.screening.departures import singles_of
from pertura.screening.goal import Goal, without_targets
from pertura.screening.interactions import departures

Table = Float[np.ndarray, "conditions genes"]
Values = Float[np.ndarray, " conditions"]


@dataclass(frozen=True, eq=False)
class Answers:
    """The mean change that members predict, its score, the spread of scores over members and their refits.

    Own targets count as unchanged. `fallbacks`: conditions that some member could not represent, and why.
    """

    deltas: Table
    scores: Values
    spread: Values
    fallbacks: Mapping[Condition, str]


def answers(
    members: Sequence[Member], bags: Sequence[Member], controls: Cells, conditions: Sequence[Condition], goal: Goal
) -> Answers:
    """Return the answers of members (their mean counts) and of their refits (their spread does, with the members').

    Linear algebra runs on one thread: the same block gives the same bits in any process.
    """
    with threadpool_limits(1):
        fallbacks: dict[Condition, str] = {}
        total = np.zeros((len(conditions), len(controls.genes)))
        scores = []
        for one in members:
            found = predicted_deltas(one.model, controls, conditions, seed=0)
            deltas = without_targets(found.values, conditions, controls.genes)
            fallbacks |= {where: why for where, why in found.fallbacks.items() if where not in fallbacks}
            total += deltas
            scores.append(goal.scores(deltas))
        every = [*scores]
        for one in bags:
            found = predicted_deltas(one.model, controls, conditions, seed=0)
            every.append(goal.scores(without_targets(found.values, conditions, controls.genes)))
        spread = np.std(every, axis=0, ddof=1) if len(every) > 1 else np.zeros(len(conditions))
        return Answers(total / len(members), np.mean(scores, axis=0), spread, fallbacks)


def score_departures(members: Sequence[Member], controls: Cells, pairs: Sequence[Condition], goal: Goal) -> Values:
    """Return for each pair the score of its predicted change minus that of its singles' predicted changes added.

    NaN where a member cannot represent the pair or one of its singles.
    """
    singles = sorted({one for pair in pairs for one in singles_of(pair)})
    row = {one: i for i, one in enumerate((*pairs, *singles))}
    with threadpool_limits(1):
        total, unknown = np.zeros((len(row), len(controls.genes))), np.zeros(len(row), dtype=bool)
        for one in members:
            found = predicted_deltas(one.model, controls, list(row), seed=0)
            total += found.values
            unknown[[row[where] for where in found.fallbacks]] = True
        total /= len(members)
        three = [[row[pair], *(row[one] for one in singles_of(pair))] for pair in pairs]
        index = np.asarray(three, dtype=np.int64).reshape(-1, 3)
        both, first, second = (without_targets(total[index[:, i]], pairs, goal.genes) for i in range(3))
        # rounding of what adds up is no departure
        values = np.round(departures(both, first, second, goal.scores), 12)
    return np.where(unknown[index].any(axis=1), np.nan, values)


def columns_of(goal: Goal, found: Answers) -> dict[str, Values]:
    """Return what predicted changes alone say of conditions: score, spread, and z and p among genes."""
    specific = goal.specificity(found.deltas)
    return {"score": found.scores, "spread": found.spread, "z": specific.z, "p": specific.p}


def every_answer(setting: Setting, conditions: Sequence[Condition]) -> Answers:
    """Return the answers of the setting's members and refits for candidates."""
    return answers(setting.members, setting.bags, setting.controls, conditions, setting.goal)
