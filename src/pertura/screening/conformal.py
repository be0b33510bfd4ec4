"""Intervals whose coverage was measured: split conformal prediction on conditions that models had not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from pertura.core.errors import UsageError

POOLED = "all"
FEWEST = 8
"""Fewer observed conditions of a kind are calibrated together with all others."""
Values = Float[np.ndarray, " conditions"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Errors of held-out scores in units of their spread, and how wide an interval of the wanted level must be.

    `half` is the half width in those units (infinite where too few conditions were held out for the level). `floor`
    is added to the spread of the ensemble, so that members that agree by chance do not make a narrow interval.
    """

    kind: str
    level: float
    errors: Values
    half: float
    floor: float

    @property
    def held_out(self) -> int:
        """How many held-out conditions stand behind it."""
        return len(self.errors)

    @property
    def coverage(self) -> float:
        """Share of held-out conditions inside an interval made from the others; NaN with fewer than two."""
        if self.held_out < 2:
            return float("nan")
        inside = [one <= _half(np.delete(self.errors, i), self.level) for i, one in enumerate(self.errors)]
        return float(np.mean(inside))

    @property
    def expected(self) -> tuple[float, float]:
        """Where the coverage of new conditions lies in nine of ten cases, if they are like the held-out ones.

        Given n held-out conditions, the coverage of the k-th smallest error is distributed as Beta(k, n + 1 - k).
        """
        rank = _rank(self.held_out, self.level)
        if rank > self.held_out:
            return 1.0, 1.0
        low, high = stats.beta.ppf([0.05, 0.95], rank, self.held_out + 1 - rank)
        return float(low), float(high)

    def intervals(self, scores: Values, spread: Values) -> tuple[Values, Values]:
        """Return the lower and the upper ends of the intervals of some scores."""
        width = self.half * np.hypot(spread, self.floor)
        return scores - width, scores + width


@dataclass(frozen=True, eq=False)
class Calibrations:
    """A calibration for each kind of condition that has enough held-out ones, and one of all."""

    by_kind: Mapping[str, Calibration]

    def of(self, kind: str) -> Calibration:
        """Return the calibration of a kind, or that of all where the kind has too few."""
        return self.by_kind.get(kind, self.by_kind[POOLED])

    def intervals(self, scores: Values, spread: Values, kinds: Sequence[str]) -> tuple[Values, Values]:
        """Return the ends of each interval, each by the calibration of its kind."""
        low, high = np.empty(len(scores)), np.empty(len(scores))
        for kind in set(kinds):
            rows = np.flatnonzero([one == kind for one in kinds])
            low[rows], high[rows] = self.of(kind).intervals(scores[rows], spread[rows])
        return low, high


def calibrated(predicted: Values, spread: Values, observed: Values, level: float, kind: str = POOLED) -> Calibration:
    """Return the calibration of held-out scores; an error counts in units of sqrt(spread^2 + floor^2).

    The floor is the median error, so that an ensemble of one, without spread, gives intervals of one width.
    """
    if not 0 < level < 1:
        raise UsageError(f"a level of {level}: it must lie between 0 and 1")
    errors = np.abs(observed - predicted)
    floor = float(np.median(errors)) if len(errors) else 1.0
    floor = floor or float(errors.max(initial=0.0)) or 1e-12
    units = np.sort(errors / np.hypot(spread, floor))
    return Calibration(kind, level, units, _half(units, level), floor)


def calibrations(
    predicted: Values, spread: Values, observed: Values, kinds: Sequence[str], level: float
) -> Calibrations:
    """Return a calibration of all held-out conditions, and of each kind with at least eight of them."""
    found = {POOLED: calibrated(predicted, spread, observed, level)}
    for kind in sorted(set(kinds)):
        rows: Bool[np.ndarray, " conditions"] = np.asarray([one == kind for one in kinds], dtype=bool)
        if rows.sum() >= FEWEST:
            found[kind] = calibrated(predicted[rows], spread[rows], observed[rows], level, kind)
    return Calibrations(found)


def _rank(count: int, level: float) -> int:
    return int(np.ceil((count + 1) * level - 1e-12))


def _half(errors: Values, level: float) -> float:
    rank = _rank(len(errors), level)
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else float("inf")
