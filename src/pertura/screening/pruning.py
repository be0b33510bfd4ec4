"""The best pairs of many genes without evaluating all of them: best singles, additive surrogate, then the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.screening.goal import Goal

MOST_SINGLES = 2000
SHARE = 0.05
SAMPLED = 0.1
"""Of the evaluations, the share spent on pairs drawn at random: how far the surrogate is off is told by them alone."""
BLOCK = 4096
Pairs = Int[np.ndarray, "pairs 2"]
Values = Float[np.ndarray, " pairs"]
Evaluate = Callable[[Pairs], Values]


@dataclass(frozen=True, eq=False)
class Candidates:
    """The pairs that the model is asked for. `pairs` are positions in the list of genes.

    `surrogate` is the gain of the sum of both singles' changes, `sampled` which pairs were drawn at random.
    `every` counts all pairs of the list, `left_out` the genes that were too weak alone to be paired at all.
    """

    pairs: Pairs
    surrogate: Values
    sampled: Int[np.ndarray, " drawn"]
    every: int
    left_out: int
    rest: Float[np.ndarray, " others"]
    """The surrogate gains of the pairs that are not asked."""


@dataclass(frozen=True, eq=False)
class Found:
    """Pairs with the model's gains, the best first, and how many of the best are likely to have been missed."""

    pairs: Pairs
    gains: Values
    evaluated: int
    every: int
    missed: float
    top: int

    @property
    def told(self) -> str:
        """The search in words."""
        share = self.evaluated / max(self.every, 1)
        missed = f"about {self.missed:.2g} of the {self.top} best pairs are expected among the others"
        if np.isnan(self.missed):
            missed = "too few to draw some at random, so how many of the best are among the others cannot be told"
        return f"{self.evaluated:,} of {self.every:,} pairs ({share:.1%}) were evaluated; {missed}"


def candidates(
    deltas: Float[np.ndarray, "singles genes"],
    goal: Goal,
    *,
    share: float = SHARE,
    most_singles: int = MOST_SINGLES,
    seed: int = 0,
) -> Candidates:
    """Return which pairs to ask the model for, at most `share` of all pairs of the singles with these changes.

    Of more than `most_singles` singles the best are kept. All pairs of them are scored by the sum of both changes; the
    best are asked for, and a tenth of the number drawn at random from the others.
    """
    if not 0 < share <= 1:
        raise UsageError(f"a share of {share} of the pairs; it must lie above 0 and at most at 1")
    if len(deltas) < 2:
        raise UsageError(f"pairs of {len(deltas)} genes; name two genes or more")
    gains = goal.gains(deltas)
    kept = np.sort(np.argsort(-gains, kind="stable")[:most_singles])
    first, second = np.triu_indices(len(kept), k=1)
    pairs = np.stack([kept[first], kept[second]], axis=1)
    every = len(deltas) * (len(deltas) - 1) // 2
    surrogate = additive_gains(deltas, goal, pairs)
    budget = min(max(int(share * every), 1), len(pairs))
    drawn = min(int(SAMPLED * budget), len(pairs) - budget) if budget < len(pairs) else 0
    order = np.argsort(-surrogate, kind="stable")
    best, others = order[: budget - drawn], order[budget - drawn :]
    lot = generator(seed, "pairs drawn at random", len(pairs)).choice(len(others), drawn, replace=False)
    chosen = np.concatenate([best, others[np.sort(lot)]])
    rest = np.delete(others, lot)
    at = np.arange(len(best), len(chosen))
    return Candidates(pairs[chosen], surrogate[chosen], at, every, len(deltas) - len(kept), surrogate[rest])


def additive_gains(deltas: Float[np.ndarray, "singles genes"], goal: Goal, pairs: Pairs) -> Values:
    """Return the gain of the sum of both singles' changes, a block of pairs at a time."""
    if goal.statistic == "weighted-mean":
        single = goal.gains(deltas)
        return single[pairs[:, 0]] + single[pairs[:, 1]]
    parts = [pairs[start : start + BLOCK] for start in range(0, len(pairs), BLOCK)]
    return np.concatenate([goal.gains(deltas[one[:, 0]] + deltas[one[:, 1]]) for one in parts])


def searched(asked: Candidates, gains: Values, top: int = 10) -> Found:
    """Return the pairs by the model's gains, and the estimate of what was missed.

    A pair that was not asked is missed if its departure from the surrogate lifts it above the `top`-th best gain that
    was found. Departures are taken from the pairs drawn at random, with an exponential tail beyond the largest of
    them; the chances of all pairs that were not asked sum to the expected number. NaN where none was drawn.
    """
    order = np.argsort(-gains, kind="stable")
    top = min(top, len(gains))
    departure = (gains - asked.surrogate)[asked.sampled]
    missed = 0.0
    if len(asked.rest):
        needed = gains[order[top - 1]] - asked.rest
        missed = float(_chance_above(departure, needed).sum()) if len(departure) else float("nan")
    return Found(asked.pairs[order], gains[order], len(gains), asked.every, missed, top)


def prune_pairs(
    deltas: Float[np.ndarray, "singles genes"], goal: Goal, evaluate: Evaluate, *, share: float = SHARE, seed: int = 0
) -> Found:
    """Return the best pairs of singles with these changes; `evaluate` returns the model's gains of some pairs."""
    asked = candidates(deltas, goal, share=share, seed=seed)
    return searched(asked, evaluate(asked.pairs))


def _chance_above(departures: Values, needed: Float[np.ndarray, " others"]) -> Float[np.ndarray, " others"]:
    """Return the chance that a departure is larger than each of some values: empirical, then an exponential tail."""
    sizes = np.sort(departures)
    chance = (len(sizes) - np.searchsorted(sizes, needed, side="left")) / len(sizes)
    largest, start = sizes[-1], float(np.quantile(sizes, 0.8))
    excess = float((sizes[sizes > start] - start).mean()) if (sizes > start).any() else 0.0
    if excess <= 0:
        return np.where(needed > largest, 0.0, chance)
    tail = (sizes > start).mean() * np.exp(-np.maximum(needed - start, 0.0) / excess)
    return np.where(needed > largest, tail, chance)


def pair_names(genes: Sequence[str], pairs: Pairs) -> list[tuple[str, str]]:
    """Return the two genes of each pair."""
    return [(genes[a], genes[b]) for a, b in pairs.tolist()]
