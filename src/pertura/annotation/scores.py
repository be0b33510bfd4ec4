"""Scores of labels: accuracy, macro F1, calibration, and what each class contributes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

BINS = 10
Codes = Int[np.ndarray, " cells"]
Probabilities = Float[np.ndarray, "cells classes"]
Confusion = Int[np.ndarray, "observed predicted"]


def confusion_of(observed: Codes, predicted: Codes, classes: int) -> Confusion:
    """Return how many cells of each observed class (row) were given each class (column)."""
    return np.bincount(observed * classes + predicted, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Precision, recall and F1 of each class, and its observed cells; NaN where it was neither there nor called."""

    precision: Float[np.ndarray, " classes"]
    recall: Float[np.ndarray, " classes"]
    f1: Float[np.ndarray, " classes"]
    cells: Int[np.ndarray, " classes"]


def class_scores(confusion: Confusion) -> ClassScores:
    """Return the scores of each class. A class that is never called has a precision of 0 where it has cells."""
    right = np.diag(confusion).astype(np.float64)
    there, called = confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(called > 0, right / called, np.where(there > 0, 0.0, np.nan))
        recall = right / np.where(there > 0, there, np.nan)
        f1 = 2 * right / np.where(there + called > 0, there + called, np.nan)
    return ClassScores(precision, recall, f1, there)


def accuracy(confusion: Confusion) -> float:
    """Return the share of cells with the right label; NaN without cells."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def macro_f1(confusion: Confusion) -> float:
    """Return the mean F1 of the classes that occur, observed or called; NaN without cells.

    A class that was called and is not there counts 0, as it does in scikit-learn.
    """
    scores = class_scores(confusion).f1
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")


def balanced_accuracy(confusion: Confusion) -> float:
    """Return the mean recall of the classes that occur; NaN without cells."""
    recall = class_scores(confusion).recall
    return float(np.nanmean(recall)) if np.isfinite(recall).any() else float("nan")


@dataclass(frozen=True, eq=False)
class Reliability:
    """Cells by their probability, in ten equal bins: how many, how sure, how often right. Empty bins are NaN."""

    cells: Int[np.ndarray, " bins"]
    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between confidence and accuracy, weighted by cells."""
        total = self.cells.sum()
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gaps * self.cells) / total) if total else float("nan")


def reliability(confidence: Float[np.ndarray, " cells"], right: Bool[np.ndarray, " cells"]) -> Reliability:
    """Return how often cells are right at each confidence."""
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    cells = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        sure = np.bincount(place, weights=confidence, minlength=BINS) / cells
        hit = np.bincount(place, weights=right.astype(np.float64), minlength=BINS) / cells
    return Reliability(cells, sure, hit)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The error rate among the cells that are kept when the least sure are left out first."""

    coverage: Float[np.ndarray, " steps"]
    risk: Float[np.ndarray, " steps"]

    @property
    def area(self) -> float:
        """Area under the curve: smaller is better, 0 where no cell is wrong."""
        if len(self.coverage) < 2:
            return float(self.risk.mean()) if len(self.risk) else float("nan")
        return float(np.trapezoid(self.risk, self.coverage))


def risk_coverage(confidence: Float[np.ndarray, " cells"], right: Bool[np.ndarray, " cells"]) -> RiskCoverage:
    """Return the curve, one step for each distinct confidence, surest cells first."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1) if len(ordered) else order
    wrong = np.cumsum(~right[order])[last]
    kept = last + 1
    return RiskCoverage(kept / max(len(ordered), 1), wrong / np.maximum(kept, 1))


def silhouette(space: Float[np.ndarray, "cells width"], codes: Codes) -> float:
    """Return the mean silhouette of classes in a space; NaN where it is not defined (fewer than 2 cells a class)."""
    from sklearn.metrics import silhouette_score

    classes = len(np.unique(codes))
    if not 2 <= classes <= len(codes) - 1 or not np.isfinite(space).all():
        return float("nan")
    return float(silhouette_score(space, codes, sample_size=None if len(codes) <= 5000 else 5000, random_state=0))
