"""Observed sides and predictions that the tests of evaluation and comparison share."""

from dataclasses import replace

import numpy as np

from pertura.core import Prediction, Provenance
from pertura.evaluation.effort import Effort
from pertura.evaluation.observed import observe
from screens import contexts_screen, pairs_screen

QUICK = Effort(bootstrap=30, permutations=15, halves=3, effect_permutations=39)
MADE = {"pairs": pairs_screen, "contexts": contexts_screen}


def observed_of(screen, seed=0, effort=QUICK, conditions=None):
    """The observed side of the test part of a screen."""
    return observe(screen.cells, screen.split, conditions, seed=seed, effort=effort)


def answer(observed, means, name="made", fallbacks=None):
    """A prediction of one mean profile for each judged condition."""
    rows = {one: np.asarray(row, dtype=np.float64)[None] for one, row in zip(observed.conditions, means)}
    return Prediction(observed.genes, rows, Provenance(name), fallbacks or {})


def populated(observed, means, *, size=13, spread=0.3, name="made", fallbacks=None):
    """The same with several cells around each profile, whose mean is the profile."""
    rng = np.random.default_rng(0)
    cells = {}
    for one, mean in zip(observed.conditions, means):
        drawn = spread * rng.standard_normal((size, len(mean)))
        cells[one] = mean + drawn - drawn.mean(axis=0)
    return Prediction(observed.genes, cells, Provenance(name), fallbacks or {})


def right_change(observed):
    """Means with the observed change from control, put on the model-side controls."""
    return observed.model_controls + observed.means - observed.controls


def noisy(observed, size, seed=0):
    """The right change with noise of some size on it."""
    rng = np.random.default_rng(seed)
    return right_change(observed) + size * rng.standard_normal(observed.means.shape)


def with_few_cells(screen, one, count):
    """The same screen with only so many cells of one condition."""
    rows = np.setdiff1d(np.arange(len(screen.cells)), screen.cells.rows_of(one)[count:])
    return replace(screen, cells=screen.cells.take(rows))
