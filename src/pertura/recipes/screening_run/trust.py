"""How far a ranking can be trusted: observed conditions hidden in turns, predicted, and compared with their cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.seeds import shuffled
from pertura.models.table import MODELS
from pertura.prediction.predict import Matching
from pertura.recipes.screening_run.answers import Answers, answers, columns_of, score_departures
from pertura.recipes.screening_run.candidates import listed
from pertura.recipes.screening_run.runs import Member
from pertura.recipes.screening_run.setting import Setting, bagged, refitted
from pertura.screening.backtest import NEAREST, Hiding, Verdict, backtest
from pertura.screening.conformal import Calibrations, calibrations
from pertura.screening.departures import Departures, observed_departures
from pertura.screening.goal import without_targets
from pertura.screening.held_out import FEWEST, Hidden, kind_of, turns
from pertura.screening.interactions import Calls, observed_calls
from pertura.screening.nearest import Neighbourhood
from pertura.screening.observed import DRAWS, ObservedScores, observed_scores, only

MOST_NEW, MOST_POOLED = 100, 5000
SINGLE, PAIR = "singles of genes never perturbed", "pairs never measured"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Conditions that were hidden, in the order of their turns: predicted without them, and what each ranking says."""

    conditions: tuple[Condition, ...]
    kinds: tuple[str, ...]
    columns: Mapping[str, Float[np.ndarray, " conditions"]]
    """What was predicted of them, by the names that the columns of candidates have."""
    rivals: Mapping[str, Float[np.ndarray, " conditions"]]
    fallbacks: tuple[str, ...]
    """Why some model could say nothing of a condition while it was hidden; empty where all could."""

    @property
    def scores(self) -> Float[np.ndarray, " conditions"]:
        """The predicted scores."""
        return self.columns["score"]

    @property
    def spread(self) -> Float[np.ndarray, " conditions"]:
        """Their spread over the ensemble."""
        return self.columns["spread"]

    @property
    def represented(self) -> Bool[np.ndarray, " conditions"]:
        """Which of them every model could say something of, while they were hidden."""
        return np.asarray([not why for why in self.fallbacks], dtype=bool)


@dataclass(frozen=True, eq=False)
class Trust:
    """What was measured of the goal, what held-out conditions say of the ranking, and what could not be said."""

    observed: ObservedScores
    measured_departures: Departures
    measured_calls: Calls
    held_out: HeldOut | None
    calibrations: Calibrations | None
    verdicts: tuple[Verdict, ...]
    departure_errors: Float[np.ndarray, " pairs"]
    usual: float
    notes: tuple[str, ...] = field(default=())


def trust_of(setting: Setting) -> Trust:
    """Return the trust of a setting: measured scores, calibration, back-test."""
    asked, means = setting.asked, setting.means
    observed = observed_scores(setting.cells, means, setting.split, setting.goal, seed=asked.seed)
    measured = observed_departures(setting.cells, means, setting.split, setting.goal, seed=asked.seed)
    calls = observed_calls(measured.values, measured.errors, fdr=asked.fdr, direction=setting.goal.sign, draws=DRAWS)
    notes = (f"{len(means.few)} conditions with fewer than two cells were left out",) if means.few else ()
    try:
        hidden = hidden_of(setting)
    except BadDataError as error:
        told = (*notes, f"no back-test and no intervals: {error}")
        return Trust(observed, measured, calls, None, None, (), np.empty(0), float("nan"), told)
    held = held_out(setting, hidden)
    mine = only(observed, held.conditions)
    known = np.flatnonzero(held.represented)
    kinds = [held.kinds[i] for i in known]
    found = calibrations(held.scores[known], held.spread[known], mine.scores[known], kinds, asked.level)
    if len(known) < len(held.conditions):
        names = [one.label for one, lacks in zip(held.conditions, held.fallbacks) if lacks]
        why = "hidden conditions that the models could not represent, so that no interval rests on them"
        notes = (*notes, listed(names, why))
    verdicts = _verdicts(setting, held, mine)
    errors = _departure_errors(held, measured)
    alike = held.columns["similarity"]
    usual = float(np.nanquantile(alike, 0.05)) if np.isfinite(alike).any() else float("nan")
    return Trust(observed, measured, calls, held, found, verdicts, errors, usual, notes)


def hidden_of(setting: Setting) -> tuple[Hidden, ...]:
    """Return which conditions are hidden in turns: all that were observed where models can be fitted again.

    Else those that the split of the run kept from training; `BadDataError` where these are fewer than four.
    """
    conditions, split = setting.means.conditions, setting.split
    if setting.is_refitted:
        return turns(conditions, folds=setting.asked.folds, seed=setting.asked.seed)
    test = tuple(one for one in conditions if one in split.test)
    if len(test) < FEWEST:
        raise BadDataError(f"the run kept {len(test)} conditions from training; {FEWEST} are needed to judge by them")
    return (Hidden("test of the run", tuple(one for one in conditions if one in split.train), test),)


def held_out(setting: Setting, hidden: Sequence[Hidden]) -> HeldOut:
    """Return what is predicted of hidden conditions by models that did not see them."""
    found = [_Turn(setting, one, several=len(hidden) > 1) for one in hidden]
    kinds = [kind for one in found for kind in one.kinds]
    names, columns = list(found[0].rivals), list(found[0].columns)
    return HeldOut(
        conditions=tuple(one for turn in found for one in turn.hidden.test),
        kinds=tuple(kinds),
        columns={name: np.concatenate([one.columns[name] for one in found]) for name in columns},
        rivals={name: np.concatenate([one.rivals[name] for one in found]) for name in names},
        fallbacks=tuple(why for one in found for why in one.fallbacks),
    )


class _Turn:
    """One turn: fitted, asked, compared with baselines that saw the same."""

    def __init__(self, setting: Setting, hidden: Hidden, *, several: bool) -> None:
        self.setting, self.hidden = setting, hidden
        self.means = setting.means
        self.whole = self.means.cells()
        trained = frozenset(gene for one in hidden.train for gene in one.genes)
        self.kinds = tuple(kind_of(one, trained) for one in hidden.test)
        self.members = tuple(self._fitted(one, hidden.train, hidden.name) for one in setting.members)
        # one turn has one level: nothing to put it on
        self.asked = (*hidden.test, *(_never_measured(setting, hidden) if several else ()))
        whole = self._answered(self.members, self._bags())
        near = Neighbourhood.of(hidden.train, self._observed(hidden.train)).nearest(self.asked, whole.deltas)
        sides = without_targets(self._observed(hidden.train), hidden.train, setting.goal.genes)
        rivals = {
            **{one.name: self._answered((one,), ()).scores for one in self.members},
            **{name: self._baseline(name) for name in _baselines(setting)},
            NEAREST: setting.goal.scores(sides)[near.rows],
        }
        if len(self.members) > 1:
            rivals = {"the ensemble": whole.scores, **rivals}
        judged = slice(0, len(hidden.test))
        self.fallbacks = [whole.fallbacks.get(one, "") for one in hidden.test]
        self.rivals = {name: self._aligned(one) for name, one in rivals.items()}
        self.columns = {
            **{name: one[judged] for name, one in columns_of(setting.goal, whole).items()},
            "similarity": near.similarity[judged],
            "departure": self._departures(),
        }

    def _aligned(self, scores: Float[np.ndarray, " asked"]) -> Float[np.ndarray, " conditions"]:
        """Scores of the hidden conditions less the median score of perturbations that no turn has seen.

        What all predictions share moves from turn to turn against what is hidden (a mean without the best is lower):
        ranked together without this, good models would seem bad and a constant one worse than chance.
        """
        count = len(self.hidden.test)
        aligned = scores[:count] - (np.median(scores[count:]) if len(scores) > count else 0.0)
        # equal predictions must stay equal: what rounding leaves of them would be ranked
        return np.round(aligned, 12)

    def _fitted(self, member: Member, train: Sequence[Condition], name: str) -> Member:
        if member.fresh is None:
            return member
        made = refitted(self.means, member, train, name)
        return Member(member.name, made.model, member.fresh, member.prior)

    def _bags(self) -> list[Member]:
        asked = self.setting.asked
        return [
            refitted(self.means, one, bagged(self.hidden.train, number, asked.seed), f"{self.hidden.name} {number}")
            for number in range(asked.members)
            for one in self.setting.members
            if one.fresh is not None and len(self.hidden.train) > 1
        ]

    def _observed(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        return self.means.model_deltas[[self.means.row[one] for one in conditions]]

    def _controls(self, context: str, members: Sequence[Member]) -> Cells:
        """Real control cells for networks; models of means need only their mean."""
        if any(one.fresh is None for one in members):
            return Matching.of(self.setting.cells, self.setting.split, context).controls
        return self.whole.take(self.whole.control_rows(context))

    def _answered(self, members: Sequence[Member], bags: Sequence[Member]) -> Answers:
        """Answers of all that is asked in this turn, context by context, in the order it is asked."""
        test = self.asked
        parts = {}
        for context in sorted({one.context for one in test}):
            mine = [one for one in test if one.context == context]
            controls = self._controls(context, members)
            parts[context] = (mine, answers(members, bags, controls, mine, self.setting.goal))
        row = {one: (context, i) for context, (mine, _) in parts.items() for i, one in enumerate(mine)}
        picked = [(parts[row[one][0]][1], row[one][1]) for one in test]
        return Answers(
            deltas=np.asarray([found.deltas[i] for found, i in picked]),
            scores=np.asarray([found.scores[i] for found, i in picked]),
            spread=np.asarray([found.spread[i] for found, i in picked]),
            fallbacks={one: why for _, found in parts.values() for one, why in found.fallbacks.items()},
        )

    def _baseline(self, name: str) -> Float[np.ndarray, " conditions"]:
        prior = next((one.prior for one in self.setting.members if one.prior is not None), None)

        entry = MODELS[name]
        member = Member(name, entry.build(None), lambda: entry.build(prior if entry.takes_prior else None))
        return self._answered((refitted(self.means, member, self.hidden.train, name),), ()).scores

    def _departures(self) -> Float[np.ndarray, " conditions"]:
        values = np.full(len(self.hidden.test), np.nan)
        for context in sorted({one.context for one in self.hidden.test}):
            rows = [i for i, one in enumerate(self.hidden.test) if one.perturbation.is_pair and one.context == context]
            if rows:
                pairs = [self.hidden.test[i] for i in rows]
                controls = self._controls(context, self.members)
                values[rows] = score_departures(self.members, controls, pairs, self.setting.goal)
        return values


def _never_measured(setting: Setting, hidden: Hidden) -> list[Condition]:
    """Perturbations like the hidden ones that were never measured, at most a hundred; the same in any turn."""
    first, measured = hidden.test[0], set(setting.means.conditions)
    pool: list[tuple[str, ...]]
    if first.perturbation.is_single:
        pool = [(gene,) for gene in setting.representable]
    else:
        genes = sorted({gene for one in measured if one.perturbation.is_single for gene in one.genes})
        pool = [(a, b) for i, a in enumerate(genes) for b in genes[i + 1 :]]
    few = pool if len(pool) <= MOST_POOLED else [pool[i] for i in np.linspace(0, len(pool) - 1, MOST_POOLED, dtype=int)]
    mode = next(iter(first.perturbation.modes))
    made = [Condition(Perturbation.of(*genes, mode=mode), first.context) for genes in few]
    new = [one for one in made if one not in measured]
    return [
        new[i] for i in sorted(shuffled([one.label for one in new], setting.asked.seed, "never measured")[:MOST_NEW])
    ]


def _baselines(setting: Setting) -> list[str]:
    mine = {one.name for one in setting.members}
    return [
        name for name, entry in MODELS.items() if entry.family == "baseline" and name not in mine and name != "depth"
    ]


def _verdicts(setting: Setting, held: HeldOut, observed: ObservedScores) -> tuple[Verdict, ...]:
    sign = setting.goal.sign
    found: list[Verdict] = []
    for kind, wanted in ((SINGLE, True), (PAIR, False)):
        rows = np.flatnonzero([one.perturbation.is_single == wanted for one in held.conditions])
        if len(rows) >= FEWEST:
            predicted = {name: sign * scores[rows] for name, scores in held.rivals.items()}
            hiding = Hiding(kind, sign * observed.scores[rows], observed.errors[rows], predicted)
            found += backtest(hiding, seed=setting.asked.seed)
    return tuple(found)


def _departure_errors(held: HeldOut, measured: Departures) -> Float[np.ndarray, " pairs"]:
    known = dict(zip(measured.pairs, measured.values.tolist()))
    errors = [
        predicted - known[one]
        for one, predicted in zip(held.conditions, held.columns["departure"].tolist())
        if one in known
    ]
    return np.asarray([one for one in errors if np.isfinite(one)], dtype=np.float64)
