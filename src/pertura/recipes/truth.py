"""Scores against the known truth of a simulated screen."""

import numpy as np

from pertura.data.datasets import DATASETS
from pertura.evaluation.predicted import predicted_means
from pertura.metrics.delta import pearson
from pertura.recipes.run import Screen
from pertura.report.tables import Column, Row, Table


def truth_table(screen: Screen) -> Table | None:
    """Return each model's correlation with the true change beside that with the observed one; None for measured data.

    The observed cells themselves are scored too: how well this many cells show the truth.
    """
    entry = DATASETS.get(screen.recipe.data)
    if entry is None or entry.truth is None:
        return None
    truth, observed = entry.truth(screen.recipe.seed), screen.observed
    mine = observed.detectable if observed.detectable.any() else np.ones(len(observed.conditions), dtype=bool)
    expected = np.asarray([truth.expected_delta(one) for one in observed.conditions])[mine]
    measured = (observed.means - observed.controls)[mine]
    rows = [Row(("the observed cells", float(np.nanmean(pearson(measured, expected))), None), reference=True)]
    for name, prediction in screen.predictions.items():
        change = (predicted_means(prediction, observed) - observed.model_controls)[mine]
        scores = [np.nan_to_num(pearson(change, other)).mean() for other in (expected, measured)]
        rows.append(Row((name, float(scores[0]), float(scores[1]))))
    columns = (
        Column("model"),
        Column("against the truth", "number", "mean correlation with the simulator's expected change", better="higher"),
        Column("against the observed", "number", "mean correlation with the observed change", better="higher"),
    )
    return Table("Correlation of predicted change with the truth", columns, tuple(rows))
