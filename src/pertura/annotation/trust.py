"""What a fitted strategy says of cells: label, probability, distance, and whether the cell is of no known type."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from pertura.annotation.calibration import probabilities, temperature
from pertura.annotation.distance import Known, mean_distance, quantile
from pertura.annotation.strategy import Fitted, Lesson, Strategy
from pertura.annotation.view import View
from pertura.core.errors import UsageError
from pertura.core.expression import Rows

MOST_KNOWN = 10_000
"""Known cells that distances are taken to; of more, some are chosen by name."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class UnknownRule:
    """When a cell counts as of no known type.

    `quantile`: farther from the known cells than this share of valid cells; 1 is the farthest valid cell, above 1
    never. `probability`: its best label is less likely than this.
    """

    quantile: float = 0.95
    probability: float = 0.5

    def __post_init__(self) -> None:
        if not self.quantile > 0 or not 0 <= self.probability < 1:
            raise UsageError("--unknown-quantile is above 0, --min-probability from 0 to below 1")


@dataclass(frozen=True, eq=False)
class Calls:
    """What is said of some cells. `first` and `second` are codes of classes; `by_*` why a cell counts as unknown."""

    logits: Float[np.ndarray, "cells classes"]
    probabilities: Float[np.ndarray, "cells classes"]
    space: Float32[np.ndarray, "cells width"]
    first: Int[np.ndarray, " cells"]
    second: Int[np.ndarray, " cells"]
    distance: Float[np.ndarray, " cells"]
    by_distance: Bool[np.ndarray, " cells"]
    by_probability: Bool[np.ndarray, " cells"]

    @property
    def confidence(self) -> Float[np.ndarray, " cells"]:
        """Probability of the label."""
        return np.take_along_axis(self.probabilities, self.first[:, None], axis=1)[:, 0]

    @property
    def margin(self) -> Float[np.ndarray, " cells"]:
        """Probability of the label minus that of the next."""
        return self.confidence - np.take_along_axis(self.probabilities, self.second[:, None], axis=1)[:, 0]

    @property
    def unknown(self) -> Bool[np.ndarray, " cells"]:
        """Which cells count as of no known type."""
        return self.by_distance | self.by_probability


@dataclass(frozen=True, eq=False)
class Trusted:
    """A fitted strategy with its temperature, the known cells in its space, and the distance that is too far."""

    fitted: Fitted
    temperature: float
    known: Known
    farthest: float
    rule: UnknownRule

    def calls(self, view: View, rows: Rows) -> Calls:
        """Return what is said of some cells; each is judged alone."""
        answer = self.fitted.answer(view, rows)
        found = probabilities(answer.logits, self.temperature)
        order = np.argsort(-found, axis=1, kind="stable")
        distance = mean_distance(answer.space, self.known)
        best = np.take_along_axis(found, order[:, :1], axis=1)[:, 0]
        lost = np.isnan(distance)
        return Calls(
            logits=answer.logits,
            probabilities=found,
            space=answer.space,
            first=order[:, 0],
            second=order[:, min(1, order.shape[1] - 1)],
            distance=distance,
            by_distance=lost | (distance > self.farthest),
            by_probability=lost | (best < self.rule.probability),
        )


def trusted(
    strategy: Strategy, lesson: Lesson, rule: UnknownRule
) -> tuple[Trusted, Float[np.ndarray, "valid classes"]]:
    """Return a strategy fitted to a lesson, calibrated on its valid cells, and its logits of these.

    A strategy that selects nothing on valid is then fitted again to train and valid cells together; its temperature and
    threshold stay those that valid cells gave while they were unseen.
    """
    fitted = strategy.fit(lesson)
    known = known_places(fitted, lesson)
    if not len(lesson.valid):
        return Trusted(fitted, 1.0, known, float("inf"), rule), np.empty((0, lesson.classes))
    valid = fitted.answer(lesson.view, lesson.valid)
    degree = temperature(valid.logits, lesson.codes[lesson.valid])
    share = min(rule.quantile, 1.0)
    farthest = quantile(mean_distance(valid.space, known), share) if rule.quantile <= 1 else float("inf")
    made = Trusted(fitted, degree, known, farthest, rule)
    if not strategy.selects:
        whole = lesson.whole()
        again = strategy.fit(whole)
        made = replace(made, fitted=again, known=known_places(again, whole))
    return made, valid.logits


def known_places(fitted: Fitted, lesson: Lesson) -> Known:
    """Return the places of the train cells, or of some of them; those that have none are left out."""
    rows = lesson.train
    if len(rows) > MOST_KNOWN:
        from pertura.core.seeds import shuffled

        rows = rows[np.sort(shuffled(lesson.view.ids[rows], lesson.seed, "known cells")[:MOST_KNOWN])]
    space = fitted.answer(lesson.view, rows).space
    return space[np.isfinite(space).all(axis=1)]
