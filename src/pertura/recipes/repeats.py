"""What the seed of a training is worth: a network's scores over several seeds on the same observed cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pertura.evaluation.evaluate import Scores
from pertura.evaluation.presets import shown
from pertura.evaluation.table import METRICS
from pertura.report.card import SpreadFacts
from pertura.report.tables import Better, Column, Interval, Row, Table

LEVEL = 0.95
NOTE = (
    "The same network, trained again with other seeds on the same cells and judged on the same observed cells. The "
    "interval of the mean is Student's t over seeds alone; those of the other tables are over conditions and cells. "
    "The first seed is the one that is compared above."
)


@dataclass(frozen=True)
class Spread:
    """Scores of one metric over seeds: mean, standard deviation, and the interval of the mean."""

    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and interval of two or more scores; undefined ones leave all undefined."""
    from scipy.stats import t

    found = np.asarray(values, dtype=np.float64)
    mean, sd = float(found.mean()), float(found.std(ddof=1))
    half = float(t.ppf((1 + LEVEL) / 2, len(found) - 1)) * sd / np.sqrt(len(found))
    return Spread(tuple(map(float, found)), mean, sd, mean - half, mean + half)


def spread_of(scores: Sequence[Scores], metric: str, subset: str) -> Spread:
    """Return the spread of one metric over the seeds of a network."""
    return spread([one.summary(metric, subset).value for one in scores])


def repeats_table(repeats: dict[str, tuple[Scores, ...]], metric: str, subset: str) -> Table:
    """Return a row for each network that was trained with several seeds."""
    better: Better = "higher" if METRICS[metric].higher_is_better else "lower"
    columns = (
        Column("model"),
        Column("seeds", "count"),
        Column("mean", "interval", f"mean {metric} over seeds, with its interval", better=better),
        Column("sd", "number", "standard deviation over seeds"),
        Column("each seed", "text"),
    )
    rows = []
    for name, scores in repeats.items():
        found = spread_of(scores, metric, subset)
        each = ", ".join(f"{value:.3f}" for value in found.values)
        rows.append(Row((name, len(scores), Interval(found.mean, found.low, found.high), found.sd, each)))
    return Table(f"{metric} over training seeds", columns, tuple(rows), NOTE)


def card_spreads(scores: Sequence[Scores]) -> tuple[SpreadFacts, ...]:
    """Return what the card of a network says of its seeds, for the telling metrics."""
    made = []
    for metric in shown(scores[0].metrics):
        found = spread_of(scores, metric, "all")
        interval = Interval(found.mean, found.low, found.high) if np.isfinite(found.mean) else Interval(None)
        made.append(SpreadFacts(metric=metric, seeds=len(scores), mean=interval, sd=found.sd))
    return tuple(made)
