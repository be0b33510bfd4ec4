"""Labelled cells with known effects, and a small preset of each kind of metric, for tests of what stands beside it."""

import numpy as np

from pertura.core.expression import InMemory, dense
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.altered import Sides
from pertura.evaluation.compatible.effort import Runs
from pertura.evaluation.compatible.profile import Column, CompatibleMetric, CompatiblePreset, Judged, Options
from pertura.evaluation.compatible.study import Study, leave_one_out_mean, no_change
from pertura.metrics.delta import pearson
from pertura.prediction.emit import control_shift

CONTROL = "non-targeting"
FEW = Runs(permutations=2, halves=1, draws=0, cuts=1)
DRAWN = Runs(permutations=1, halves=1, draws=20, cuts=1)
TIERS = ("means", "pairs", "tests", "cells")
METRICS = (
    CompatibleMetric("pearson_delta", "correlation of changes", 1.0, "means"),
    CompatibleMetric("mse", "squared error of means", 0.0, "means"),
    CompatibleMetric("spread_ratio", "spread of predicted over observed cells", 1.0, "cells"),
    CompatibleMetric("cells", "predicted cells", None, "cells"),
)


def labelled(name, effects, *, cells=20, controls=40, genes=60, noise=0.3, seed=0, shared=None):
    """Cells around a start plus the effect of their label; `shared` are controls taken from other labelled cells."""
    rng = np.random.default_rng([seed, len(name)])
    start = np.random.default_rng(0).uniform(2, 4, genes)
    labels = tuple(sorted([*effects, CONTROL]))
    sizes = [controls if one == CONTROL else cells for one in labels]
    codes = np.repeat(np.arange(len(labels)), sizes)
    profiles = np.asarray([start + effects.get(one, 0.0) for one in labels])
    values = profiles[codes] + noise * rng.normal(size=(len(codes), genes))
    ids = np.asarray([f"{name}-{i}" for i in range(len(codes))], dtype=object)
    if shared is not None:
        mine, theirs = codes == labels.index(CONTROL), shared.rows_of(CONTROL)
        values[mine], ids[mine] = dense(shared.expression.rows(theirs)), shared.ids[theirs]
    panel = tuple(f"gene{i}" for i in range(genes))
    return Labelled(InMemory(np.maximum(values, 0.0)), panel, ids, labels, codes, CONTROL, name)


def effects(count=8, size=0.5, genes=60, seed=1):
    rng = np.random.default_rng(seed)
    return {f"label{i}": size * rng.normal(size=genes) for i in range(count)}


def both(size=0.5, right=0.8, **options):
    """A prediction that knows part of each effect, and observed cells; controls are the same cells."""
    known = effects(size=size)
    observed = labelled("observed", known, seed=2, **options)
    predicted = labelled(
        "predicted", {one: right * effect for one, effect in known.items()}, seed=3, shared=observed, **options
    )
    return Sides(predicted, observed)


def judge(predicted, observed, options: Options) -> Judged:
    """Correlation and error of means, and a metric of cells; counts what it was asked."""
    labels = tuple(one for one in observed.targets if len(observed.rows_of(one)))
    sides = [
        {one: dense(side.expression.rows(side.rows_of(one))) for one in (*labels, CONTROL)}
        for side in (predicted, observed)
    ]
    means = [{one: cells.mean(axis=0) for one, cells in side.items()} for side in sides]
    table = {
        "pearson_delta": [
            float(pearson(means[0][one] - means[0][CONTROL], means[1][one] - means[1][CONTROL])) for one in labels
        ],
        "mse": [float(np.square(means[0][one] - means[1][one]).mean()) for one in labels],
        "spread_ratio": [float(sides[0][one].std() / sides[1][one].std()) for one in labels],
        "cells": [float(len(sides[0][one])) for one in labels],
    }
    return Judged(
        labels, {name: Column(np.asarray(values)) for name, values in table.items() if name not in options.skip}
    )


PRESET = CompatiblePreset("small", "test 1", METRICS, "pearson_delta", judge)


def study(sides, *, runs=FEW, logged=True, references=None, preset=PRESET, seed=1):
    chosen = (no_change(), leave_one_out_mean()) if references is None else references
    return Study(preset, sides, Options(), chosen, dict.fromkeys(TIERS, runs), logged, control_shift, seed)


def reordered(cells, seed=0):
    return cells.take(np.random.default_rng(seed).permutation(len(cells.codes)))
