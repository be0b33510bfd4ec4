"""Would a type that nobody labelled be noticed? Each class is left out in turn and then looked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pertura.annotation.calibration import probabilities
from pertura.annotation.comparison import Course
from pertura.annotation.distance import mean_distance
from pertura.annotation.folds import Fold
from pertura.annotation.strategy import Lesson, Strategy
from pertura.annotation.trust import known_places
from pertura.metrics.classification import roc_area

FEWEST_CELLS = 5
MANY_CLASSES = 20
"""With more classes than this, one fold of each has to do."""


@dataclass(frozen=True, slots=True)
class UnseenType:
    """How well a left-out class is told from the others: chance that its cell is farther, or less sure, than another.

    Means over folds. 0.5 is chance; below it the unseen cells look surer than the known ones.
    """

    label: str
    cells: int
    by_distance: float
    by_probability: float
    folds: int


def unseen_types(
    course: Course,
    strategy: Strategy,
    folds: Sequence[Fold],
    names: Sequence[str],
    told: Callable[[str, int, int], None],
) -> tuple[UnseenType, ...]:
    """Return the figures of each class of at least five cells, over the folds of the first repeat.

    The strategy is fitted to the train and valid cells of the other classes; all cells of the class are then set
    against the test cells of the others.
    """
    first = [one for one in folds if one.repeat == 0]
    chosen = first[:1] if len(names) > MANY_CLASSES else first
    sizes = np.bincount(course.codes, minlength=len(names))
    found = []
    wanted = [code for code in range(len(names)) if sizes[code] >= FEWEST_CELLS and len(names) > 2]
    for place, code in enumerate(wanted):
        told(f"{names[code]} as an unseen type", place, len(wanted))
        areas = np.asarray([_areas(course, strategy, fold, code) for fold in chosen], dtype=np.float64)
        distance, probability = areas.mean(axis=0)
        found.append(UnseenType(names[code], int(sizes[code]), float(distance), float(probability), len(chosen)))
    return tuple(found)


def _areas(course: Course, strategy: Strategy, fold: Fold, code: int) -> tuple[float, float]:
    learnt = np.concatenate([fold.train, fold.valid])
    learnt = learnt[course.codes[learnt] != code]
    asked = np.union1d(fold.test, np.flatnonzero(course.codes == code))
    none = np.empty(0, dtype=np.int64)
    lesson = Lesson(course.view, course.codes, learnt, none, course.classes, course.seed, f"without {code}")
    fitted = strategy.fit(lesson)
    answer = fitted.answer(course.view, asked)
    unseen = course.codes[asked] == code
    distance = mean_distance(answer.space, known_places(fitted, lesson))
    sure = probabilities(answer.logits).max(axis=1)
    placed = np.nan_to_num(distance, nan=np.inf)
    return roc_area(unseen, placed), roc_area(unseen, -sure)
