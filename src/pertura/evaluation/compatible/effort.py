"""How often a preset is asked again, decided from the size of the work alone: equal input makes equal output."""

from dataclasses import dataclass

import numpy as np

from pertura.core.errors import UsageError
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.profile import CompatibleMetric

LEVELS = {"less": 0.25, "normal": 1.0, "more": 40.0}
TIERS = ("means", "pairs", "tests", "cells")
"""What metrics are computed from: means, distances of all pairs of means, rank tests, distances of cells."""
BUDGETS = {"means": 6e10, "pairs": 12e10, "tests": 3e10, "cells": 3e10}
"""Work for the re-runs of each tier at level normal, in steps of about a nanosecond on one core."""
FIXED = 3e7
"""Steps of any re-run, however small the screen."""
PER_MEAN, PER_PAIR, PER_TEST, PER_DISTANCE = 150.0, 5.0, 50.0, 0.4
"""Measured steps: for each label and gene; pair of labels and gene; cell and gene; pair of cells and gene."""
OF_PAIRS = ("discrimination", "pds", "clustering")
FEWEST_DRAWS, MOST_PERMUTATIONS, MOST_HALVES, MOST_CUTS = 20, 10, 4, 2
MOST_DRAWS = {"means": 60, "pairs": 24, "tests": 60, "cells": 40}


@dataclass(frozen=True, slots=True)
class Runs:
    """How many re-runs of each kind; none at all where the tier is left out.

    `cuts` is how often shared controls are cut in two.
    """

    permutations: int = 0
    halves: int = 0
    draws: int = 0
    cuts: int = 0

    @property
    def any(self) -> bool:
        """The tier is run again at all."""
        return self.permutations > 0


def tier_of(metric: CompatibleMetric) -> str:
    """Return what a metric is computed from; distances of all pairs of means are a tier of their own."""
    return "pairs" if metric.needs == "means" and metric.name.startswith(OF_PAIRS) else metric.needs


def planned(predicted: Labelled, observed: Labelled, references: int, effort: str, *, logged: bool) -> dict[str, Runs]:
    """Return the re-runs of each tier; a tier that cannot be asked of its references within its budget has none.

    Counts (not `logged`) have no means that could stand for cells: what looks at means is asked about cells too.
    """
    if effort not in LEVELS:
        raise UsageError(f"--effort {effort}: one of {', '.join(LEVELS)}")
    labels, genes = len(observed.labels), len(observed.genes)
    entries = [len(side.codes) * genes for side in (predicted, observed)]
    reading = 2.0 * entries[1] if logged else PER_TEST * sum(entries)
    work = {
        "means": PER_MEAN * labels * genes + reading,
        "pairs": PER_PAIR * labels * labels * genes + reading,
        "tests": PER_TEST * sum(entries),
        "cells": PER_DISTANCE * (_pairs(predicted) + _pairs(observed)) * genes,
    }
    level = LEVELS[effort]
    return {tier: _runs(level * BUDGETS[tier] / (work[tier] + FIXED), references, tier, level) for tier in TIERS}


def _runs(affordable: float, references: int, tier: str, level: float) -> Runs:
    """First references, one permutation, one half and one cut; then more of each; draws only where there are many."""
    left = affordable - references - 5
    if left < 0:
        return Runs()
    share = min(level, 1.0)
    draws = int(min(0.7 * left, share * MOST_DRAWS[tier]))
    return Runs(
        permutations=int(np.clip(0.2 * left, 1, share * MOST_PERMUTATIONS)),
        halves=int(np.clip(0.1 * left, 1, share * MOST_HALVES)),
        draws=draws if draws >= FEWEST_DRAWS else 0,
        cuts=MOST_CUTS if left > 8 and share == 1 else 1,
    )


def _pairs(cells: Labelled) -> float:
    sizes = np.asarray([cells.counts[one] for one in cells.targets], dtype=np.float64)
    controls = float(cells.counts[cells.control])
    return controls**2 + float((sizes * (sizes + controls)).sum())
