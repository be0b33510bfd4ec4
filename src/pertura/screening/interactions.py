"""Pairs that do more, or less, to the goal than their singles together: called only beyond a stated null."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from pertura.metrics.differential import false_discovery_rate

FEWEST = 10
TAIL = 0.8
SYNERGISTIC, ANTAGONISTIC, NEITHER = "synergistic", "antagonistic", "neither"
Values = Float[np.ndarray, " pairs"]


@dataclass(frozen=True, eq=False)
class Calls:
    """The departure of each pair's score from the sum of its singles' scores, its p and q, and the call at `fdr`."""

    departure: Values
    p: Values
    q: Values
    fdr: float
    direction: int
    calibrated_by: int
    """How many held-out pairs, or redraws, stand behind the null."""

    @property
    def called(self) -> Bool[np.ndarray, " pairs"]:
        """Which pairs depart from additivity at the stated false discovery rate."""
        return np.asarray(np.nan_to_num(self.q, nan=1.0) < self.fdr)

    @property
    def names(self) -> list[str]:
        """Synergistic: farther in the goal's direction than both singles together; antagonistic: less far."""
        words = np.where(self.direction * self.departure > 0, SYNERGISTIC, ANTAGONISTIC)
        return np.where(self.called, words, NEITHER).tolist()


def departures(
    pair: Float[np.ndarray, "pairs genes"],
    first: Float[np.ndarray, "pairs genes"],
    second: Float[np.ndarray, "pairs genes"],
    scores: Callable[[Float[np.ndarray, "pairs genes"]], Values],
) -> Values:
    """Return the score of each pair's change minus the score of the sum of its singles' changes."""
    return scores(pair) - scores(first + second)


def predicted_calls(departure: Values, errors: Float[np.ndarray, " held_out"], *, fdr: float, direction: int) -> Calls:
    """Return the calls of predicted departures; `errors` are predicted minus observed departures of held-out pairs.

    If a pair does not interact, what a model predicts for it is an error of the model, so that the p of a departure is
    the share of errors as large (conformal, so it holds whatever their distribution). Beyond the errors that were seen
    an exponential tail continues them from their upper fifth: heavier than that of normal errors. A p is undefined
    with fewer than ten held-out pairs, and nothing is called.
    """
    p = np.full(len(departure), np.nan)
    if len(errors) >= FEWEST:
        sizes, asked = np.sort(np.abs(errors)), np.abs(departure)
        larger = len(sizes) - np.searchsorted(sizes, asked, side="left")
        p = (1 + larger) / (len(sizes) + 1)
        start = float(np.quantile(sizes, TAIL))
        excess = float((sizes[sizes > start] - start).mean()) if (sizes > start).any() else 0.0
        if excess > 0:
            tail = p_at(sizes, start) * np.exp(-(asked - start) / excess)
            p = np.where(asked > sizes[-1], np.minimum(tail, 1 / (len(sizes) + 1)), p)
        p = np.where(np.isfinite(departure), p, np.nan)
    return Calls(departure, p, false_discovery_rate(p[None])[0], fdr, direction, len(errors))


def observed_calls(departure: Values, errors: Values, *, fdr: float, direction: int, draws: int) -> Calls:
    """Return the calls of measured departures against the standard error that redrawn cells give them."""
    z = np.divide(departure, errors, out=np.full(len(departure), np.nan), where=errors > 0)
    p = 2.0 * stats.norm.sf(np.abs(z))
    return Calls(departure, p, false_discovery_rate(p[None])[0], fdr, direction, draws)


def p_at(sizes: Values, value: float) -> float:
    """Return the conformal p of a value among sizes."""
    return float((1 + (sizes >= value).sum()) / (len(sizes) + 1))
