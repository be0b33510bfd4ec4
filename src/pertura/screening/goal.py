"""What a perturbation should do, as one number for each change from control, and the null of that number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition

Statistic = Literal["weighted-mean", "enrichment", "distance"]
Direction = Literal["up", "down"]
STATISTICS: dict[str, str] = {
    "weighted-mean": "the weighted mean change of the programme's genes, sum(w d) / sum|w|, in log expression",
    "enrichment": "the weighted mean rank of the programme's genes among all changes, from -1 (all last) to 1",
    "distance": "the share of the squared distance from control to the target state that is gone: 1 at the target, "
    "0 where nothing changes, below 0 where cells end farther away",
}
BINS = 10
Deltas = Float[np.ndarray, "conditions genes"]
Values = Float[np.ndarray, " conditions"]


@dataclass(frozen=True, eq=False)
class Specificity:
    """How far scores lie beyond those of other genes of like expression: z, and the one-sided p of the direction."""

    z: Values
    p: Values


@dataclass(frozen=True, eq=False)
class Goal:
    """A statistic of changes on a panel. `weights` are those of the programme, or control to target for `distance`.

    `bins` groups genes of like expression: the null of a score takes other genes of the same bins. A score keeps its
    natural sign; `gain` turns it so that more is better.
    """

    name: str
    genes: tuple[str, ...]
    weights: Float[np.ndarray, " genes"]
    statistic: Statistic = "weighted-mean"
    direction: Direction = "up"
    bins: Int[np.ndarray, " genes"] | None = None

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise UsageError(f"no statistic {self.statistic!r}; there are {', '.join(STATISTICS)}")
        if not self.weights.any() or not np.isfinite(self.weights).all():
            raise UsageError(f"goal {self.name}: no measured gene has a weight; nothing could be scored")

    @property
    def sign(self) -> int:
        """+1 where more is wanted, -1 where less."""
        return 1 if self.direction == "up" else -1

    @property
    def programme(self) -> Int[np.ndarray, " found"]:
        """The columns that have a weight."""
        return np.flatnonzero(self.weights)

    def scores(self, deltas: Deltas) -> Values:
        """Return the score of each change; changes in genes without weight count for `enrichment` and `distance`."""
        linear = self._values(deltas) @ self._linear
        return linear if self.statistic != "distance" else linear - self._square(deltas)

    def gains(self, deltas: Deltas) -> Values:
        """Return the scores turned so that more is better."""
        return self.sign * self.scores(deltas)

    def contributions(self, deltas: Deltas) -> Deltas:
        """Return what each gene adds to the score; they sum to it."""
        parts = self._values(deltas) * self._linear
        return parts if self.statistic != "distance" else parts - np.square(deltas) / np.square(self.weights).sum()

    def specificity(self, deltas: Deltas) -> Specificity:
        """Return the scores against other genes of like expression, with exact mean and variance.

        The null permutes the changes among the genes of a bin: what random genes of the programme's expression would
        score. Mean and variance of a linear statistic under permutation are known in closed form (sampling without
        replacement); p takes the null for normal. NaN where the null does not vary.
        """
        values, off = self._values(deltas), np.zeros(len(deltas))
        mean, variance = off.copy(), off.copy()
        bins = np.zeros(len(self.genes), dtype=np.int64) if self.bins is None else self.bins
        for one in np.unique(bins):
            columns = np.flatnonzero(bins == one)
            weights, inside = self._linear[columns], values[:, columns]
            mean += weights.sum() * inside.mean(axis=1)
            if len(columns) > 1:
                spread = np.square(weights).sum() - np.square(weights.sum()) / len(columns)
                variance += inside.var(axis=1, ddof=1) * max(float(spread), 0.0)
        excess = values @ self._linear - mean
        scale = np.sqrt(variance)
        tiny = 1e-12 * np.abs(values).max(initial=0.0)
        z = np.divide(excess, scale, out=np.full(len(deltas), np.nan), where=scale > tiny)
        return Specificity(z, stats.norm.sf(self.sign * z))

    @property
    def _linear(self) -> Float[np.ndarray, " genes"]:
        if self.statistic == "distance":
            return 2.0 * self.weights / np.square(self.weights).sum()
        return self.weights / np.abs(self.weights).sum()

    def _values(self, deltas: Deltas) -> Deltas:
        """The changes themselves, or their ranks over genes from -1 to 1."""
        if self.statistic != "enrichment":
            return deltas
        genes = deltas.shape[1]
        ranks = stats.rankdata(deltas, axis=1) if deltas.size else deltas
        return (2.0 * ranks - (genes + 1)) / max(genes - 1, 1)

    def _square(self, deltas: Deltas) -> Values:
        return np.square(deltas).sum(axis=1) / np.square(self.weights).sum()


def expression_bins(means: Float[np.ndarray, " genes"], bins: int = BINS) -> Int[np.ndarray, " genes"]:
    """Return for each gene the tenth of mean control expression that it lies in; equal means are never parted."""
    ranks = stats.rankdata(means) / max(len(means), 1)
    return np.minimum((ranks * bins).astype(np.int64), bins - 1)


def without_targets(deltas: Deltas, conditions: Sequence[Condition], genes: Sequence[str]) -> Deltas:
    """Return the changes with each condition's own targets set to no change.

    A perturbation that moves the goal through the gene it was aimed at alone is no discovery.
    """
    place = {gene: column for column, gene in enumerate(genes)}
    kept = deltas.copy()
    for row, condition in enumerate(conditions):
        kept[row, [place[gene] for gene in condition.genes if gene in place]] = 0.0
    return kept
