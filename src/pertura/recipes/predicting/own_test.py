"""What a model of a run scored in the run's own test, for perturbations like one that is asked."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from pertura.core.errors import MissingError
from pertura.core.perturbation import Condition
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.files import read_scores
from pertura.prediction.domain import OwnRecord
from pertura.recipes.predicting.models import LINEAR, OpenedModel

METRIC = "pearson_delta"
BEYOND = ("train-mean", *LINEAR)


def own_record(model: OpenedModel, condition: Condition) -> OwnRecord | None:
    """Return how the model scored on test perturbations of as many genes, beside what it has to beat.

    None where the run holds no scores.
    """
    mine = _scores(model.run, model.name)
    if mine is None or METRIC not in mine.metrics:
        return None
    alike = _alike(mine, condition)
    which = "pairs" if condition.perturbation.is_pair else "singles" if condition.perturbation.is_single else "all"
    if not alike.any():
        alike, which = np.ones(len(mine.conditions), dtype=bool), "all, none of its size"
    row = mine.row(METRIC)
    others = {name: scores for name in BEYOND if name != model.name and (scores := _scores(model.run, name))}
    beside = {name: _mean(one.values[one.row(METRIC)][_alike_of(one, mine, alike)]) for name, one in others.items()}
    value, ceiling = _mean(mine.values[row][alike]), _mean(mine.ceiling[row][alike])
    return OwnRecord(METRIC, value, int(alike.sum()), which, beside, ceiling)


def _alike(scores: Scores, condition: Condition) -> np.ndarray:
    size = len(condition.genes)
    return np.asarray([len(one.genes) == size for one in scores.conditions], dtype=bool)


def _alike_of(other: Scores, mine: Scores, alike: np.ndarray) -> np.ndarray:
    kept = {one for one, taken in zip(mine.conditions, alike, strict=True) if taken}
    return np.asarray([one in kept for one in other.conditions], dtype=bool)


def _mean(values: np.ndarray) -> float:
    return float(np.nan_to_num(values).mean()) if len(values) else float("nan")


@lru_cache(maxsize=8)
def _scores(run: Path | None, name: str) -> Scores | None:
    folder = None if run is None else run / "models" / name / "scores"
    if folder is None or not folder.is_dir():
        return None
    try:
        return read_scores(folder)
    except MissingError:  # the run has not come so far; altered scores are an error
        return None
