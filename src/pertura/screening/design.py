"""A batch of perturbations to run next: for the goal, for what is uncertain, and not all of one kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.screening.backtest import Estimate, places_for
from pertura.screening.nearest import unit_rows

TOP = 0.10
STARTS = 10
STRATEGIES = ("random", "top", "design")
Values = Float[np.ndarray, " candidates"]
Table = Float[np.ndarray, "candidates genes"]


@dataclass(frozen=True, slots=True)
class TradeOff:
    """How much uncertainty and sameness weigh against the goal.

    value = gain + explore * spread - diversity * likeness: gain in standard deviations over the candidates, spread
    (of the ensemble) in the same unit, likeness log2(1 + sum of c^2), c the cosines (where positive) of a candidate's
    predicted change, centred over the candidates, with those already in the batch: 1 beside one twin, 2 beside three.
    """

    explore: float = 0.5
    diversity: float = 0.5

    @property
    def told(self) -> str:
        """The formula in words."""
        return (
            f"value = gain + {self.explore:g} x spread - {self.diversity:g} x likeness to what is already in the batch "
            "(gain and spread in standard deviations of the gains)"
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Chosen candidates in the order of choice, with the three parts of their value."""

    rows: Int[np.ndarray, " chosen"]
    gain: Float[np.ndarray, " chosen"]
    spread: Float[np.ndarray, " chosen"]
    likeness: Float[np.ndarray, " chosen"]
    trade: TradeOff

    @property
    def value(self) -> Float[np.ndarray, " chosen"]:
        """The value each had when it was chosen."""
        return self.gain + self.trade.explore * self.spread - self.trade.diversity * self.likeness


def choose_batch(gains: Values, spread: Values, deltas: Table, budget: int, trade: TradeOff) -> Batch:
    """Return `budget` candidates, each the best given those before it; all of them where there are fewer."""
    if budget < 1:
        raise UsageError(f"a budget of {budget}; it must be one or more")
    unit = float(gains.std()) or 1.0
    gain, uncertain = (gains - gains.mean()) / unit, spread / unit
    directions = unit_rows(deltas - deltas.mean(axis=0)) if len(deltas) else deltas
    shared, open_ = np.zeros(len(gains)), np.ones(len(gains), dtype=bool)
    rows, like = [], []
    for _ in range(min(budget, len(gains))):
        likeness = np.log2(1.0 + shared)
        value = np.where(open_, gain + trade.explore * uncertain - trade.diversity * likeness, -np.inf)
        best = int(value.argmax())
        rows.append(best)
        like.append(float(likeness[best]))
        open_[best] = False
        shared += np.square(np.maximum(directions @ directions[best], 0.0))
    chosen = np.asarray(rows, dtype=np.int64)
    return Batch(chosen, gain[chosen], uncertain[chosen], np.asarray(like, dtype=np.float64), trade)


@dataclass(frozen=True, eq=False)
class Answer:
    """What models fitted to some conditions predict of all: gains, their spread, and changes."""

    gains: Values
    spread: Values
    deltas: Table


Learn = Callable[[Int[np.ndarray, " measured"], int], Answer]
"""From the rows that were measured so far, and a seed, to what is predicted of every row."""


@dataclass(frozen=True)
class Round:
    """After a round: the share of the truly best conditions that were measured by now, and the regret of the best."""

    strategy: str
    measured: int
    found: Estimate
    regret: Estimate


def simulate_rounds(
    observed: Values, learn: Learn, *, trade: TradeOff, batch: int, rounds: int = 4, seed: int = 0
) -> tuple[Round, ...]:
    """Return how random choice, the best predicted and the design would have fared on a screen that is measured.

    Each of ten starts measures a random batch, then every strategy chooses batch after batch, each from models fitted
    to what it has measured by then. `observed` are measured gains; the truly best are the first tenth of them. An
    interval (95 %) is of the mean over starts.
    """
    if batch < 1 or batch >= len(observed):
        raise UsageError(f"a batch of {batch} of {len(observed)} measured conditions; take 1 to {len(observed) - 1}")
    rounds = min(rounds, (len(observed) - 1) // batch)
    truly = np.argsort(-observed, kind="stable")[: places_for(TOP, len(observed))]
    traces = np.zeros((STARTS, len(STRATEGIES), rounds, 2))
    for start in range(STARTS):
        first = generator(seed, "first batch", start).permutation(len(observed))[:batch]
        for which, strategy in enumerate(STRATEGIES):
            known = np.zeros(len(observed), dtype=bool)
            known[first] = True
            for one in range(rounds):
                known[_next(strategy, known, learn, (batch, seed + start), trade)] = True
                traces[start, which, one] = known[truly].mean(), _regret(observed, known)
    return tuple(
        Round(strategy, min(batch * (one + 2), len(observed)), *_means_of(traces[:, which, one]))
        for which, strategy in enumerate(STRATEGIES)
        for one in range(rounds)
    )


def _next(
    strategy: str, known: Bool[np.ndarray, " candidates"], learn: Learn, sized: tuple[int, int], trade: TradeOff
) -> Int[np.ndarray, " chosen"]:
    batch, seed = sized
    left = np.flatnonzero(~known)
    if strategy == "random":
        return left[generator(seed, "random batch", int(known.sum())).permutation(len(left))[:batch]]
    answer = learn(np.flatnonzero(known), seed)
    chosen = trade if strategy == "design" else TradeOff(0.0, 0.0)
    return left[choose_batch(answer.gains[left], answer.spread[left], answer.deltas[left], batch, chosen).rows]


def _regret(observed: Values, known: Bool[np.ndarray, " candidates"]) -> float:
    whole = float(observed.max() - observed.mean())
    return float((observed.max() - observed[known].max()) / whole) if whole > 0 else 0.0


def _means_of(traces: Float[np.ndarray, "starts 2"]) -> tuple[Estimate, Estimate]:
    """The mean share found, from 0 to 1, and the mean regret, not below 0: no interval reaches beyond."""
    return _mean_of(traces[:, 0], 1.0), _mean_of(traces[:, 1], np.inf)


def _mean_of(values: Float[np.ndarray, " starts"], most: float) -> Estimate:
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    wide = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return Estimate(mean, max(mean - wide, 0.0), min(mean + wide, most))


def batch_names(rows: Sequence[int], names: Sequence[str]) -> list[str]:
    """Return the names of chosen rows."""
    return [names[row] for row in rows]
