"""The columns of cell-eval 0.8 that are functions of the mean of each label."""

import numpy as np
from jaxtyping import Float, Int

from pertura.evaluation.compatible.cell_eval_sides import Side
from pertura.evaluation.compatible.profile import Column
from pertura.metrics.agreement import clustering_agreement
from pertura.metrics.delta import mean_absolute_error, mean_squared_error
from pertura.metrics.discrimination import Kind, discrimination_cell_eval

Values = Float[np.ndarray, " labels"]
KINDS: dict[str, Kind] = {
    "discrimination_score_l1": "l1",
    "discrimination_score_l2": "l2",
    "discrimination_score_cosine": "cosine",
}


def means_column(name: str, predicted: Side, observed: Side) -> Column:
    """Return the column called `name`."""
    if name in KINDS:
        columns = target_columns(observed)
        return Column(discrimination_cell_eval(predicted.deltas, observed.deltas, columns, KINDS[name]))
    if name == "clustering_agreement":
        value = clustering_agreement(_double(predicted.means[:-1]), _double(observed.means[:-1]))
        return Column(np.full(len(observed.labels), value), whole_screen=True)
    return Column(_of_profiles(name, predicted, observed))


def _of_profiles(name: str, predicted: Side, observed: Side) -> Values:
    if name in ("mse", "mae"):
        sides = _double(predicted.means[:-1]), _double(observed.means[:-1])
    else:  # the difference is rounded as the means are
        sides = _double(predicted.deltas), _double(observed.deltas)
    if name == "pearson_delta":
        return np.asarray([pearson(*pair) for pair in zip(*sides, strict=True)])
    return mean_squared_error(*sides) if name.startswith("mse") else mean_absolute_error(*sides)


def pearson(first: Float[np.ndarray, " values"], second: Float[np.ndarray, " values"]) -> float:
    """Return Pearson's correlation; NaN only where one side is constant to the last bit, as scipy has it."""
    if len(first) < 2:
        raise ValueError("a correlation needs at least two values")
    if (first == first[0]).all() or (second == second[0]).all():
        return float("nan")
    a, b = first - first.mean(), second - second.mean()
    return float(np.clip((a / np.linalg.norm(a)) @ (b / np.linalg.norm(b)), -1.0, 1.0))


def target_columns(side: Side) -> Int[np.ndarray, " labels"]:
    """Return the column of the gene that bears the name of each label, -1 where none does."""
    places = {gene: place for place, gene in enumerate(side.cells.genes)}
    return np.asarray([places.get(one, -1) for one in side.labels], dtype=np.int64)


def _double(means: Float[np.ndarray, "labels genes"]) -> Float[np.ndarray, "labels genes"]:
    return means.astype(np.float64)
