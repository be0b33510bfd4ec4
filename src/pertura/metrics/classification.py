"""How well scores separate marked genes from the others: areas under curves, ties taken as one threshold."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Marked and other genes that score at least as much as each distinct score, highest first."""

    hits: Int[np.ndarray, " thresholds"]
    misses: Int[np.ndarray, " thresholds"]


def thresholds(marked: Bool[np.ndarray, " genes"], scores: Float[np.ndarray, " genes"]) -> Thresholds:
    """Return the counts at each distinct score."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    hits = np.cumsum(marked[order])[last]
    return Thresholds(hits, last + 1 - hits)


def average_precision(marked: Bool[np.ndarray, " genes"], scores: Float[np.ndarray, " genes"]) -> float:
    """Return the precision averaged over steps of recall, sum of (R_n - R_n-1) P_n; NaN where all or none is marked."""
    if marked.all() or not marked.any():
        return float("nan")
    counts = thresholds(marked, scores)
    precision = counts.hits / (counts.hits + counts.misses)
    return float(np.diff(counts.hits, prepend=0) @ precision / marked.sum())


def roc_area(marked: Bool[np.ndarray, " genes"], scores: Float[np.ndarray, " genes"]) -> float:
    """Return the chance that a marked gene outscores another, a tie counting half; NaN where all or none is marked."""
    if marked.all() or not marked.any():
        return float("nan")
    counts = thresholds(marked, scores)
    below = np.diff(counts.misses, prepend=0) * (counts.hits + np.append(0, counts.hits[:-1])) / 2
    return float(below.sum() / (marked.sum() * (~marked).sum()))
