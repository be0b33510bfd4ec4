"""CellFlow's metrics (preset `cellflow`): r2 of means over genes, E-distance and MMD in 10 principal components.

The components are fitted on the cells of `Options.train`; without them the two distances are left out. The original
fits them on all cells it has, test cells among them.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from pertura.core.expression import blocks
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.pairing import same_genes, shared
from pertura.evaluation.compatible.profile import Column, CompatibleMetric, CompatiblePreset, Judged, Options
from pertura.metrics.population import mean_discrepancy, mean_e_distance, r_squared
from pertura.metrics.projection import Projection, principal_components

COMPONENTS = 10
VERSION = "CellFlow 0.0.9"
IN_COMPONENTS = {"e_distance": mean_e_distance, "mmd": mean_discrepancy}
METRICS = (
    CompatibleMetric(
        "r_squared", "variance over genes of the observed mean that the predicted mean explains", 1.0, "means"
    ),
    CompatibleMetric(
        "e_distance",
        "twice the squared distance of the two means in 10 components; an energy distance sees more than means",
        0.0,
        "cells",
    ),
    CompatibleMetric(
        "mmd",
        "squared maximum mean discrepancy in 10 components, averaged over Gaussian kernels of six widths",
        0.0,
        "cells",
    ),
)


def judge(predicted: Labelled, observed: Labelled, options: Options) -> Judged:
    """Return CellFlow's numbers for each label that both sides have cells of; control is no row."""
    same_genes(predicted, observed)
    labels, warnings = shared(predicted, observed)
    undone = {metric.name: "left out on request" for metric in METRICS if metric.name in options.skip}
    wanted = [name for name in IN_COMPONENTS if name not in undone]
    projection = None
    if options.train is None:
        undone |= dict.fromkeys(wanted, "needs --train")
    elif wanted:
        projection = _fitted(options.train, observed, options.memory)
        if projection.axes.shape[1] < COMPONENTS:
            warnings += (f"the train cells span {projection.axes.shape[1]} components only, not {COMPONENTS}",)
    values = np.asarray([_row(predicted, observed, label, projection) for label in labels])
    names = [metric.name for metric in METRICS]
    columns = {name: Column(values[:, i]) for i, name in enumerate(names) if name not in undone}
    return Judged(labels, columns, undone=undone, warnings=warnings)


def _fitted(train: Labelled, observed: Labelled, memory: int) -> Projection:
    same_genes(train, observed)
    every = np.arange(len(train.codes))
    return principal_components(blocks(train.expression, every), len(train.genes), COMPONENTS, memory)


def _row(
    predicted: Labelled, observed: Labelled, label: str, projection: Projection | None
) -> tuple[float, float, float]:
    sides = [_side(cells, label, projection) for cells in (predicted, observed)]
    explained = r_squared(sides[0][0], sides[1][0])
    if projection is None:
        return explained, np.nan, np.nan
    e_distance, mmd = (distance(sides[0][1], sides[1][1]) for distance in IN_COMPONENTS.values())
    return explained, e_distance, mmd


def _side(
    cells: Labelled, label: str, projection: Projection | None
) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, "cells components"]]:
    rows = cells.rows_of(label)
    total, placed = np.zeros(len(cells.genes)), []
    for block in _blocks(cells, label):
        total += block.sum(axis=0)
        placed.append(np.zeros((len(block), 0)) if projection is None else projection.apply(block))
    return total / len(rows), np.concatenate(placed)


def _blocks(cells: Labelled, label: str) -> Iterator[Float[np.ndarray, "cells genes"]]:
    return blocks(cells.expression, cells.rows_of(label))


PRESETS = (CompatiblePreset("cellflow", VERSION, METRICS, "e_distance", judge),)
