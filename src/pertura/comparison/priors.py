"""Does a prior help? The same model with the prior, without one, and with controls of it, on the same conditions."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from pertura.comparison.roles import CONTROLS, NONE, Role, role_of
from pertura.comparison.significance import Difference, difference, difference_from_mean, holm
from pertura.evaluation.aggregate import Summary
from pertura.evaluation.evaluate import Scores

LEVEL = 0.05
Against = Literal["none", "random", "permuted"]
QUESTIONS: tuple[Against, ...] = ("none", *CONTROLS)
Said = Literal["helps", "harms", "undecided"]


@dataclass(frozen=True)
class Answer:
    """A model with a prior against the same without one (`none`: of a baseline the train mean), or controls of it.

    `holm` is the p of `gap` corrected for all priors that were asked the same question of the same model and subset.
    `seeds` are those of the controls, whose mean is compared. `stand_ins` of the conditions were not answered from the
    prior, because it lacks a gene: there the difference from the train mean is zero.
    """

    role: Role
    against: Against
    subset: str
    gap: Difference
    holm: float
    seeds: tuple[int, ...]
    stand_ins: int

    @property
    def says(self) -> Said:
        """What interval and corrected p allow to say."""
        if not self.holm <= LEVEL:
            return "undecided"
        return "helps" if self.gap.value > 0 else "harms"


@dataclass(frozen=True)
class TwoByTwo:
    """Scores of one model with neither, expression, text or both, and what each knowledge adds to the other.

    `text`: the model with the prior. Gains are paired: of text alone (text - neither), of expression alone, of text
    beside expression (both - expression), and of expression beside text. `stand_ins` of the conditions were answered
    with the train mean, by the models with expression, text and both.
    """

    role: Role
    subset: str
    neither: Summary
    expression: Summary
    text: Summary
    both: Summary
    gain_of_text: Difference
    gain_of_expression: Difference
    gain_of_text_beside_expression: Difference
    gain_of_expression_beside_text: Difference
    stand_ins: tuple[int, int, int]


@dataclass(frozen=True)
class PriorQuestion:
    """All answers of one metric, and a square for each prior that was also joined with expression.

    `lacking` names what could not be asked because a model for it was not run.
    """

    metric: str
    answers: tuple[Answer, ...]
    squares: tuple[TwoByTwo, ...]
    lacking: tuple[str, ...]

    def of(self, subset: str) -> tuple[Answer, ...]:
        """Return the answers on one subset."""
        return tuple(one for one in self.answers if one.subset == subset)

    def that_help(self, subset: str, bases: Iterable[str] | None = None) -> tuple[Role, ...]:
        """Return the priors that were asked all three questions and help in each."""
        mine = [one for one in self.of(subset) if bases is None or one.role.base in set(bases)]
        asked = {one.role: {other.against for other in mine if other.role == one.role} for one in mine}
        won = {role: all(one.says == "helps" for one in mine if one.role == role) for role in asked}
        return tuple(role for role, questions in asked.items() if questions == set(QUESTIONS) and won[role])


def prior_question(scores: Sequence[Scores], metric: str, *, networks: Collection[str] = ()) -> PriorQuestion | None:
    """Return whether priors help, for each model that was run with one; None where none was.

    Without a prior a model of `networks` is compared with itself, any other with the train mean: a network is the same
    without, a regression on a prior is not.
    `scores` are of one screen: every difference is paired within conditions and bootstrap draws, and is asked of all
    conditions, the detectable ones, and each stratum. Scores of different splits, seeds or presets raise
    `BadDataError`.
    """
    named = _Named({one.model: one for one in scores}, frozenset(networks))
    roles = [role for name in named if (role := role_of(name)) is not None]
    priors = sorted({one.itself for one in roles if not one.with_expression}, key=lambda one: one.name)
    priors = [one for one in priors if one.name in named]
    if not priors:
        return None
    answers: list[Answer] = []
    for subset in _subsets(scores[0]):
        for base in sorted({(one.run, one.base) for one in priors}):
            family = [one for one in priors if (one.run, one.base) == base]
            for against in QUESTIONS:
                answers += _corrected([_answer(named, roles, one, against, (metric, subset)) for one in family])
    squares = [_square(named, one, metric, subset) for subset in _subsets(scores[0]) for one in priors]
    return PriorQuestion(
        metric,
        tuple(answers),
        tuple(one for one in squares if one is not None),
        tuple(_lacking(named, roles, priors)),
    )


def prior_table(question: PriorQuestion) -> pd.DataFrame:
    """Return one row per model, prior, subset and question."""
    rows = [
        {
            "model": f"{one.role.run}{one.role.base}",
            "prior": one.role.prior,
            "metric": question.metric,
            "subset": one.subset,
            "against": one.against,
            "difference": one.gap.value,
            "low": one.gap.low,
            "high": one.gap.high,
            "p": one.gap.p,
            "p_holm": one.holm,
            "says": one.says,
            "conditions": one.gap.conditions,
            "stand_ins": one.stand_ins,
            "control_seeds": " ".join(map(str, one.seeds)),
        }
        for one in question.answers
    ]
    return pd.DataFrame(rows)


class _Named(dict[str, Scores]):
    """Scores by model, and which models are networks."""

    def __init__(self, scores: Mapping[str, Scores], networks: frozenset[str]) -> None:
        super().__init__(scores)
        self.networks = networks

    def none_of(self, role: Role) -> str:
        """What a model with a prior is without one."""
        return role.base if role.base in self.networks else NONE

    def of_run(self, run: str, model: str) -> Scores | None:
        """Return the scores of a model of the same run, or of one that several runs share."""
        return self.get(f"{run}{model}", self.get(model))


def _subsets(scores: Scores) -> list[str]:
    filled = [name for name in sorted(scores.strata) if scores.among(name).any()]
    return ["all", *(["detectable"] if scores.detectable.any() else []), *filled]


def _answer(named: _Named, roles: Sequence[Role], role: Role, against: Against, on: tuple[str, str]) -> Answer | None:
    metric, subset = on
    mine, others = named[role.name], _opponents(named, roles, role, against)
    if not others:
        return None
    seeds = tuple(sorted(one.seed for one in _controls(roles, role, against)))
    gap = difference_from_mean(mine, others, metric, subset, name=named.none_of(role) if against == "none" else against)
    return Answer(role, against, subset, gap, gap.p, seeds, _stand_ins(mine, subset))


def _corrected(family: Sequence[Answer | None]) -> list[Answer]:
    there = [one for one in family if one is not None]
    adjusted = holm(np.asarray([one.gap.p for one in there], dtype=np.float64))
    return [replace(one, holm=float(p)) for one, p in zip(there, adjusted)]


def _opponents(named: _Named, roles: Sequence[Role], role: Role, against: Against) -> list[Scores]:
    if against == "none":
        plain = named.of_run(role.run, named.none_of(role))
        return [] if plain is None else [plain]
    return [named[one.name] for one in _controls(roles, role, against)]


def _controls(roles: Sequence[Role], role: Role, against: Against) -> list[Role]:
    return [one for one in roles if one.control == against and one.itself == role]


def _square(named: _Named, role: Role, metric: str, subset: str) -> TwoByTwo | None:
    neither, expression = named.of_run(role.run, NONE), named.of_run(role.run, role.base)
    text, both = named[role.name], named.get(replace(role, with_expression=True).name)
    if neither is None or expression is None or both is None:
        return None
    return TwoByTwo(
        role=role,
        subset=subset,
        neither=neither.summary(metric, subset),
        expression=expression.summary(metric, subset),
        text=text.summary(metric, subset),
        both=both.summary(metric, subset),
        gain_of_text=difference(text, neither, metric, subset),
        gain_of_expression=difference(expression, neither, metric, subset),
        gain_of_text_beside_expression=difference(both, expression, metric, subset),
        gain_of_expression_beside_text=difference(both, text, metric, subset),
        stand_ins=(_stand_ins(expression, subset), _stand_ins(text, subset), _stand_ins(both, subset)),
    )


def _stand_ins(scores: Scores, subset: str) -> int:
    return sum(one in scores.fallbacks for one, taken in zip(scores.conditions, scores.among(subset)) if taken)


def _lacking(named: _Named, roles: Sequence[Role], priors: Sequence[Role]) -> list[str]:
    told = []
    for against in QUESTIONS:
        short = [one for one in priors if not _opponents(named, roles, one, against)]
        kinds = [named.none_of(one) if against == "none" else f"a {against} control" for one in short]
        for what in dict.fromkeys(kinds):
            beside = ", ".join(one.name for one, kind in zip(short, kinds) if kind == what)
            told.append(f"{what} was not run beside {beside}")
    return told
