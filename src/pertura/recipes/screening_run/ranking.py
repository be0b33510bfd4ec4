"""The ranked table: every candidate with its score, its interval, and what speaks for and against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from pertura.core.perturbation import Condition
from pertura.metrics.differential import false_discovery_rate
from pertura.recipes.screening_run.blocks import Block
from pertura.recipes.screening_run.candidates import Chosen, listed
from pertura.recipes.screening_run.setting import Setting
from pertura.recipes.screening_run.trust import Trust
from pertura.recipes.screening_run.unseen import as_unseen
from pertura.screening.held_out import kind_of
from pertura.screening.interactions import FEWEST, Calls, predicted_calls
from pertura.screening.nearest import Domain
from pertura.screening.pruning import Found, searched

if TYPE_CHECKING:
    import pandas

NOISE = "cannot be told from noise"
Values = Float[np.ndarray, " candidates"]
MEANINGS: dict[str, str] = {
    "rank": "place by score in the goal's direction; candidates that no model can represent have none",
    "perturbation": "the perturbed genes",
    "score": "the best estimate of the statistic: the predicted one, or where cells were measured both, each weighted "
    "by the inverse of its variance; the perturbed genes' own change is not counted",
    "low": "lower end of the interval of the score that cells would show: calibrated where it is predicted",
    "high": "upper end of that interval",
    "predicted score": "the mean over the models; of what was measured, by models that had not seen it, or empty",
    "told from noise": "whether the interval lies wholly on the wanted side of no change",
    "spread": "standard deviation of the predicted score over the ensemble: models and their refits on parts of the "
    "training",
    "z among genes": "score beyond that of other genes of like expression, in standard deviations",
    "p among genes": "chance of that under permutation of genes of like expression, in the goal's direction",
    "q among genes": "the same, corrected for all candidates (Benjamini-Hochberg)",
    "seen": "how many of its genes were perturbed in what the models learnt from, or `measured` where it was itself",
    "measured score": "score of its own cells against controls kept apart, where it was measured",
    "nearest observed": "the other measured perturbation whose change is most like the predicted one, or the measured "
    "one where there is one",
    "similarity": "cosine of both changes, less what all perturbations share",
    "its score": "measured score of that nearest perturbation",
    "linear score": "score that the linear model predicts of what it did not learn from",
    "linear place": "share of candidates that the linear model puts behind it",
    "unwanted": "weighted mean change of the genes that should stay as they are, measured where it was",
    "departure": "predicted score of the pair minus that of its singles' changes added",
    "departure p": "chance of a departure as large as an error of the model on pairs it had not seen",
    "departure q": "the same, corrected for all pairs (Benjamini-Hochberg)",
    "interaction": "synergistic or antagonistic where q is below the stated false discovery rate",
    "flags": "what is doubtful about the candidate",
}


@dataclass(frozen=True, eq=False)
class Ranking:
    """A finished screen: candidates in the order of their ranks, columns, and all that stands behind them.

    `order` are positions of the candidates in `chosen`; `left_out` those that no model can represent.
    """

    setting: Setting
    chosen: Chosen
    block: Block
    trust: Trust
    order: tuple[int, ...]
    left_out: tuple[int, ...]
    score: Values
    low: Values
    high: Values
    calls: Calls
    search: Found | None
    notes: tuple[str, ...]

    @property
    def table(self) -> "pandas.DataFrame":
        """The ranked candidates as a table; what cannot be represented stands last and has no rank."""
        import pandas

        rows = [*self.order, *self.left_out]
        return pandas.DataFrame(self._columns(rows))

    @property
    def measured(self) -> frozenset[Condition]:
        """The candidates that were measured."""
        return frozenset(one for one in self.chosen.conditions if one in self.trust.observed.of)

    @property
    def told(self) -> Bool[np.ndarray, " candidates"]:
        """Which candidates' intervals lie wholly on the wanted side of no change."""
        return self.low > 0 if self.setting.goal.sign > 0 else self.high < 0

    @property
    def uncertainty(self) -> Values:
        """Half of each interval; with too few hidden conditions for intervals the spread, or the error of the cells."""
        half = (self.high - self.low) / 2
        if self._is_bounded:
            return half
        normal = float(stats.norm.ppf((1 + self.setting.asked.level) / 2))
        spread = self.block["spread"]
        return np.where(np.isfinite(half), half / normal, np.nan_to_num(spread))

    @property
    def uncertainty_name(self) -> str:
        """What the uncertainty is, in words."""
        return "half of the interval" if self._is_bounded else "spread of the ensemble"

    @property
    def _is_bounded(self) -> bool:
        return bool(np.isfinite((self.high - self.low)[list(self.order)]).all())

    @property
    def verdict(self) -> str:
        """In a sentence, what the screen found, or that the goal cannot be told from noise."""
        goal, trust = self.setting.goal, self.trust
        moved = int(trust.observed.moving().sum())
        count, told = len(self.order), int(self.told[list(self.order)].sum())
        if not count:
            return "No candidate can be represented by the models."
        if not told and not moved:
            return (
                f"The goal {NOISE}: none of {len(trust.observed.conditions)} measured perturbations changes "
                f"{goal.name}, and no candidate's interval lies wholly on the wanted side of no change."
            )
        first = self.chosen.conditions[self.order[0]]
        how = "was measured" if first in trust.observed.of else "is predicted"
        words = f"{first.perturbation.label} {how} to move {goal.name} {goal.direction} most"
        if not told:
            return (
                f"{first.perturbation.label} stands first, but no candidate's interval lies wholly on the wanted side "
                f"of no change: that any moves {goal.name} {goal.direction} {NOISE}."
            )
        return f"{words}; {told:,} of {count:,} candidates are told from noise."

    def _columns(self, rows: Sequence[int]) -> dict[str, Any]:
        block, at, trust = self.block, np.asarray(rows, dtype=np.int64), self.trust
        p = np.where(block["fallback"] == "", block["p"], np.nan)
        conditions = [self.chosen.conditions[i] for i in rows]
        measured = [trust.observed.of.get(one, float("nan")) for one in conditions]
        ranks = [*range(1, len(self.order) + 1), *[None] * len(self.left_out)]
        near = [trust.observed.conditions[int(i)] if i >= 0 else None for i in block["nearest"][at]]
        columns: dict[str, Any] = {
            "rank": np.asarray(ranks, dtype="float64") if self.left_out else np.asarray(ranks),
            "perturbation": [one.perturbation.label for one in conditions],
            "score": self.score[at],
            "low": self.low[at],
            "high": self.high[at],
            "told from noise": self.told[at],
            "spread": block["spread"][at],
            "z among genes": block["z"][at],
            "p among genes": p[at],
            "q among genes": false_discovery_rate(p[None])[0][at],
            "seen": self._seen(conditions),
            "measured score": measured,
            "predicted score": block["score"][at],
            "nearest observed": [one.perturbation.label if one else "" for one in near],
            "similarity": block["similarity"][at],
            "its score": [trust.observed.of[one] if one else float("nan") for one in near],
            "linear score": block["linear"][at],
            "linear place": _places(block["linear"] * self.setting.goal.sign)[at],
        }
        if self.setting.unwanted is not None:
            columns["unwanted"] = block["unwanted"][at]
        if self.setting.asked.kind == "pairs":
            columns |= {
                "departure": block["departure"][at],
                "departure p": self.calls.p[at],
                "departure q": self.calls.q[at],
                "interaction": [self.calls.names[i] for i in rows],
            }
        return {**columns, "flags": [self.flags(i) for i in rows]}

    def flags(self, row: int) -> str:
        """Return what is doubtful about a candidate, in words."""
        why = str(self.block["fallback"][row])
        told = self._domain.flags(self.chosen.conditions[row], float(self.block["similarity"][row]))
        if self._alike[row]:
            told = (*told, f"predicted like {self._alike[row]:,} others")
        return "; ".join([f"not represented by a model: {why}"] if why else told)

    @cached_property
    def _alike(self) -> Int[np.ndarray, " candidates"]:
        """For each candidate of how many others the very same is predicted, as of genes with one vector."""
        same = np.stack([np.round(self.block[name], 12) for name in ("score", "spread")], axis=1)
        _, group, sizes = np.unique(same, axis=0, return_inverse=True, return_counts=True)
        return np.where(np.isfinite(same).all(axis=1), sizes[group.ravel()] - 1, 0)

    @cached_property
    def _domain(self) -> Domain:
        setting = self.setting
        expressed = (setting.controls.dense(np.arange(len(setting.controls))) > 0).mean(axis=0)
        goal = frozenset(setting.goal.genes[i] for i in setting.goal.programme)
        inside = goal if setting.goal.statistic != "distance" else frozenset[str]()
        return Domain(setting.goal.genes, expressed, setting.trained, inside, self.trust.usual)

    def _seen(self, conditions: Sequence[Condition]) -> list[str]:
        trained, known = self.setting.trained, self.trust.observed.of
        return [
            "measured" if one in known else f"{sum(gene in trained for gene in one.genes)} of {len(one.genes)}"
            for one in conditions
        ]


def ranking_of(setting: Setting, chosen: Chosen, block: Block, trust: Trust) -> Ranking:
    """Return the ranking of scored candidates; equal scores stand in the order of names."""
    sign = setting.goal.sign
    asked, raw = chosen.asked, block["score"]
    search = searched(asked, sign * raw[: len(asked.pairs)]) if asked is not None else None
    block = as_unseen(setting, chosen.conditions, block, trust)
    score, low, high = _estimates(setting, chosen, block, trust)
    there = [not why or one in trust.observed.of for why, one in zip(block["fallback"], chosen.conditions)]
    names = np.asarray([one.label for one in chosen.conditions])
    order = np.lexsort((names, -sign * score))
    ranked = tuple(int(i) for i in order if there[i])
    left_out = tuple(int(i) for i in order if not there[i])
    calls = predicted_calls(block["departure"], trust.departure_errors, fdr=setting.asked.fdr, direction=sign)
    lacking = [chosen.conditions[i].perturbation.label for i in left_out]
    notes = (*setting.notes, *chosen.notes, *trust.notes, *_notes(setting, trust, calls, lacking))
    if setting.asked.kind == "singles" and not setting.asked.genes:
        # a vocabulary names genes that a prior says nothing of: they are counted, not listed
        left_out = ()
    return Ranking(setting, chosen, block, trust, ranked, left_out, score, low, high, calls, search, notes)


def _estimates(setting: Setting, chosen: Chosen, block: Block, trust: Trust) -> tuple[Values, Values, Values]:
    """The score of each candidate with its interval: predicted, and joined with what was measured of it.

    What no model could predict without having seen it, or only by a fallback, counts for nothing: what was measured
    then stands alone.
    """
    low, high = _intervals(setting, chosen, block, trust)
    score, normal = block["score"].copy(), float(stats.norm.ppf((1 + setting.asked.level) / 2))
    row = {one: i for i, one in enumerate(trust.observed.conditions)}
    for i, one in enumerate(chosen.conditions):
        if one not in row:
            continue
        measured, error = trust.observed.scores[row[one]], max(trust.observed.errors[row[one]], 1e-12)
        wide = (high[i] - low[i]) / 2 / normal
        weights = np.asarray([1 / error**2, 0.0 if not np.isfinite(wide) else 1 / max(wide, 1e-12) ** 2])
        score[i] = float(weights @ (measured, np.nan_to_num(block["score"][i])) / weights.sum())
        reach = normal / np.sqrt(weights.sum())
        low[i], high[i] = score[i] - reach, score[i] + reach
    return score, low, high


def _intervals(setting: Setting, chosen: Chosen, block: Block, trust: Trust) -> tuple[Values, Values]:
    if trust.calibrations is None:
        unknown = np.isnan(block["score"])
        return np.where(unknown, np.nan, -np.inf), np.where(unknown, np.nan, np.inf)
    kinds = [kind_of(one, setting.trained) for one in chosen.conditions]
    return trust.calibrations.intervals(block["score"], block["spread"], kinds)


def _notes(setting: Setting, trust: Trust, calls: Calls, lacking: Sequence[str]) -> list[str]:
    told = []
    if lacking:
        told.append(listed(lacking, "candidates that the models know by name, but cannot represent: not ranked"))
    if setting.asked.kind == "pairs" and calls.calibrated_by < FEWEST:
        told.append(
            f"no pair is called synergistic or antagonistic: the null needs {FEWEST} measured pairs with their "
            f"singles, there are {calls.calibrated_by}"
        )
    if setting.linear is not None and any(one.name == setting.linear.name for one in setting.members):
        told.append("the model is the linear model itself: they agree by definition")
    if trust.calibrations is not None and not np.isfinite(trust.calibrations.of("all").half):
        told.append(
            f"{trust.calibrations.of('all').held_out} held-out conditions are too few for intervals at "
            f"{setting.asked.level:.0%}: they are unbounded; a lower --level may have some"
        )
    return told


def _places(gains: Values) -> Values:
    """The share of the others that each is ahead of; NaN where it has none."""
    places, known = np.full(len(gains), np.nan), np.isfinite(gains)
    if known.sum() > 1:
        places[known] = (stats.rankdata(gains[known]) - 1) / (known.sum() - 1)
    return places
