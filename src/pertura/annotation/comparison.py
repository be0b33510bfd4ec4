"""Strategies on the same folds: scores of each, and paired differences with intervals."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

from pertura.annotation.folds import Fold
from pertura.annotation.scores import (
    accuracy,
    balanced_accuracy,
    confusion_of,
    macro_f1,
    reliability,
    silhouette,
)
from pertura.annotation.strategy import Lesson, Strategy
from pertura.annotation.trust import Calls, Trusted, UnknownRule, trusted
from pertura.annotation.view import View

CONFIDENCE = 0.95
METRICS = ("accuracy", "macro_f1", "balanced_accuracy")
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One strategy on one fold. `valid_macro_f1` is what strategies are chosen by; test never is."""

    strategy: str
    fold: Fold
    calls: Calls
    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    calibration_error: float
    silhouette: float
    valid_macro_f1: float
    temperature: float
    unknown: float
    seconds: float
    trainable_parameters: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A strategy's score minus another's on the same folds, with a 95 % interval; ends are NaN for a single fold."""

    strategy: str
    against: str
    metric: str
    mean: float
    low: float
    high: float
    folds: int

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `not told apart`."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "not told apart"


@dataclass(frozen=True, eq=False)
class StrategyComparison:
    """All outcomes, by strategy in the order they were asked for, and by fold."""

    strategies: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    folds: tuple[Fold, ...]
    first: Mapping[str, Trusted] = field(default_factory=dict)
    """What each strategy was after the first fold, to be looked at."""

    def of(self, strategy: str) -> tuple[Outcome, ...]:
        """Return the outcomes of a strategy, fold by fold."""
        return tuple(one for one in self.outcomes if one.strategy == strategy)

    def mean(self, strategy: str, metric: str) -> float:
        """Return the mean of a score over folds; NaN where no fold has it."""
        values = self.values(strategy, metric)
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def values(self, strategy: str, metric: str) -> Float[np.ndarray, " folds"]:
        """Return a score of each fold."""
        return np.asarray([getattr(one, metric) for one in self.of(strategy)], dtype=np.float64)

    @property
    def best(self) -> str:
        """The strategy with the best mean macro F1 on valid cells; of equals the first that was asked for.

        Where no valid cell there was, the first strategy.
        """
        scores = [self.mean(one, "valid_macro_f1") for one in self.strategies]
        known = [-np.inf if np.isnan(one) else one for one in scores]
        return self.strategies[int(np.argmax(known))]

    def difference(self, strategy: str, against: str, metric: str) -> Difference:
        """Return the paired difference of two strategies."""
        gaps = self.values(strategy, metric) - self.values(against, metric)
        sizes = [(len(one.train) + len(one.valid), len(one.test)) for one in self.folds]
        low, high = corrected_interval(gaps, float(np.mean([test / learnt for learnt, test in sizes])))
        return Difference(strategy, against, metric, float(gaps.mean()), low, high, len(gaps))


def corrected_interval(gaps: Float[np.ndarray, " folds"], ratio: float) -> tuple[float, float]:
    """Return the ends of a 95 % interval of a mean difference over folds that share train cells.

    The variance is widened by `ratio`, the number of test cells over that of the others, because train parts overlap
    (Nadeau and Bengio, Machine Learning 2003). NaN for fewer than two folds.
    """
    count = len(gaps)
    if count < 2:
        return float("nan"), float("nan")
    width = student.ppf((1 + CONFIDENCE) / 2, count - 1) * np.sqrt((1 / count + ratio) * gaps.var(ddof=1))
    return float(gaps.mean() - width), float(gaps.mean() + width)


@dataclass(frozen=True, eq=False)
class Course:
    """What all folds share: the cells, the class of each, the number of classes, the unknown rule, the seed."""

    view: View
    codes: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    classes: int
    rule: UnknownRule
    seed: int

    def lesson(self, fold: Fold, key: str) -> Lesson:
        """Return what a strategy learns from in a fold."""
        return Lesson(self.view, self.codes, fold.train, fold.valid, self.classes, self.seed, key)


def compared(course: Course, strategies: Sequence[Strategy], folds: Sequence[Fold], told: Told) -> StrategyComparison:
    """Return every strategy on every fold. Everything is fitted inside the fold; test cells are only asked about."""
    found: list[Outcome] = []
    first: dict[str, Trusted] = {}
    total = len(strategies) * len(folds)
    for fold in folds:
        for strategy in strategies:
            told(f"{strategy.name}, fold {fold.name}", len(found), total)
            one, made = outcome(course, strategy, fold)
            found.append(one)
            first.setdefault(strategy.name, made)
    order = {one.name: place for place, one in enumerate(strategies)}
    found.sort(key=lambda one: order[one.strategy])
    return StrategyComparison(tuple(order), tuple(found), tuple(folds), first)


def outcome(course: Course, strategy: Strategy, fold: Fold) -> tuple[Outcome, Trusted]:
    """Return a strategy on one fold, with the fit."""
    began = time.perf_counter()
    lesson = course.lesson(fold, fold.name)
    made, valid = trusted(strategy, lesson, course.rule)
    calls = made.calls(course.view, fold.test)
    seconds = time.perf_counter() - began
    observed = course.codes[fold.test]
    table = confusion_of(observed, calls.first, course.classes)
    chosen = confusion_of(course.codes[fold.valid], valid.argmax(axis=1), course.classes) if len(valid) else None
    return (
        Outcome(
            strategy=strategy.name,
            fold=fold,
            calls=calls,
            accuracy=accuracy(table),
            macro_f1=macro_f1(table),
            balanced_accuracy=balanced_accuracy(table),
            calibration_error=reliability(calls.confidence, calls.first == observed).error,
            silhouette=silhouette(calls.space, observed),
            valid_macro_f1=float("nan") if chosen is None else macro_f1(chosen),
            temperature=made.temperature,
            unknown=float(calls.unknown.mean()) if len(fold.test) else float("nan"),
            seconds=seconds,
            trainable_parameters=made.fitted.trainable_parameters,
            notes=made.fitted.notes,
        ),
        made,
    )
