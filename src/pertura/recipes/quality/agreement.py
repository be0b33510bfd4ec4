"""Do guides of one gene do the same? Compared with guides of different genes, against disjoint controls."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Float32

from pertura.core.cells import Cells
from pertura.core.seeds import generator
from pertura.data.pseudobulk import mean_of
from pertura.recipes.quality.assessed import NAN
from pertura.recipes.quality.groups import Group
from pertura.recipes.quality.reference import Reference

FEWEST_CELLS = 10
MOST_NULL, FEWEST_NULL = 1000, 20
MOST_PAIRS = 45


@dataclass(frozen=True, eq=False)
class GuideDeltas:
    """Changes of the guides of a context against each half of its controls; guides with few cells have none."""

    groups: tuple[Group, ...]
    deltas: Float32[np.ndarray, "2 guides genes"]
    targets: tuple[Bool[np.ndarray, " genes"], ...]

    @classmethod
    def of(cls, cells: Cells, groups: Sequence[Group], reference: Reference) -> "GuideDeltas":
        """Return the changes of the guides that have at least ten cells."""
        enough = tuple(one for one in groups if len(one.rows) >= FEWEST_CELLS)
        deltas = np.empty((2, len(enough), len(cells.genes)), dtype=np.float32)
        for i, one in enumerate(enough):
            mean = mean_of(cells.expression, one.rows)
            for side, half in enumerate(reference.halves):
                deltas[side, i] = mean - half.matched(one.rows)
        genes = np.asarray(cells.genes, dtype=object)
        return cls(enough, deltas, tuple(np.isin(genes, one.condition.genes) for one in enough))

    def correlation(self, first: int, second: int) -> float:
        """Return how alike two guides change the genes that neither targets.

        Each is taken against other controls, so that noise of the controls makes nothing alike; both ways are averaged.
        """
        others = ~(self.targets[first] | self.targets[second])
        both = [
            _pearson(self.deltas[0, first][others], self.deltas[1, second][others]),
            _pearson(self.deltas[1, first][others], self.deltas[0, second][others]),
        ]
        return float(np.mean(both))


@dataclass(frozen=True, eq=False)
class Agreement:
    """Mean correlation and its place among pairs of guides of different genes, by condition and by guide."""

    values: dict[tuple[str, str], tuple[float, float]]
    null: Float[np.ndarray, " pairs"]

    def of(self, group: Group) -> tuple[float, float]:
        """Return correlation and p of a group; NaN where there is none."""
        return self.values.get((group.condition.label, group.guide), (NAN, NAN))


def agreement_of(found: GuideDeltas, context: str, seed: int) -> Agreement:
    """Return the agreement of the guides of each condition of a context."""
    null = _null(found, context, seed)
    members: dict[str, list[int]] = {}
    for i, one in enumerate(found.groups):
        members.setdefault(one.condition.label, []).append(i)
    values: dict[tuple[str, str], tuple[float, float]] = {}
    for label, mine in members.items():
        pairs = {pair: found.correlation(*pair) for pair in list(combinations(mine, 2))[:MOST_PAIRS]}
        if not pairs:
            continue
        values[label, ""] = _placed(list(pairs.values()), null)
        for i in mine:
            own = [value for pair, value in pairs.items() if i in pair]
            if own:
                values[label, found.groups[i].guide] = _placed(own, null)
    return Agreement(values, null)


def _placed(values: list[float], null: Float[np.ndarray, " pairs"]) -> tuple[float, float]:
    mean = float(np.mean(values))
    if len(null) < FEWEST_NULL or mean != mean:
        return mean, NAN
    return mean, float((1 + (null >= mean).sum()) / (1 + len(null)))


def _null(found: GuideDeltas, context: str, seed: int) -> Float[np.ndarray, " pairs"]:
    """Correlations of guides that share no target: all pairs, or a thousand drawn."""
    genes = [set(one.condition.genes) for one in found.groups]
    size = len(found.groups)
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size) if not genes[i] & genes[j]]
    if len(pairs) > MOST_NULL:
        rng = generator(seed, "guide pairs", context)
        pairs = [pairs[i] for i in np.sort(rng.choice(len(pairs), MOST_NULL, replace=False))]
    values = np.asarray([found.correlation(*pair) for pair in pairs], dtype=np.float64)
    return values[np.isfinite(values)]


def _pearson(first: Float32[np.ndarray, " genes"], second: Float32[np.ndarray, " genes"]) -> float:
    first, second = first - first.mean(dtype=np.float64), second - second.mean(dtype=np.float64)
    lengths = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    return float(first @ second) / lengths if lengths > 0 else NAN
