"""The predicted side of a judgement: means, called genes and a few cells, each worked out where a metric needs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, InMemory, dense
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction
from pertura.evaluation.observed import Observed
from pertura.metrics.significant import Called

RESOLUTION = 2e-6
IN_MEMORY = 1 << 26
"""Predicted values that are held at once; of a larger prediction cells are read again, condition by condition."""
Cells = Float[np.ndarray, "_ genes"]
Means = Float[np.ndarray, "conditions genes"]


@dataclass(frozen=True, eq=False)
class Predicted:
    """A prediction in the order of the observed side. `held` has its cells where all are few enough, else none."""

    prediction: Prediction
    observed: Observed
    means: Means
    sizes: tuple[int, ...]
    held: dict[Condition, Cells]

    @classmethod
    def of(cls, prediction: Prediction, observed: Observed) -> "Predicted":
        """Return the predicted side.

        A gene whose mean lies within `RESOLUTION` of the control mean has not changed: cells are stored in float32,
        and the rounding of a "no change" must not be scored as a direction. Raises `BadDataError` where the genes
        differ in set or order, a judged condition was not predicted, or a predicted value is not finite.
        """
        _check(prediction, observed)
        means, sizes, held = [], [], {}
        for one in observed.conditions:
            cells = np.asarray(prediction.cells[one])
            means.append(_mean(cells))
            sizes.append(len(cells))
            if sum(sizes) * len(observed.genes) <= IN_MEMORY:
                held[one] = cells
            else:
                held.clear()
        broken = np.flatnonzero(~np.isfinite(means).all(axis=1))
        if len(broken):
            name, one = prediction.provenance.model, observed.conditions[broken[0]]
            raise BadDataError(f"{name}: predicted values of {one.label} are not finite")
        start = observed.model_controls
        settled = np.where(np.abs(np.asarray(means) - start) <= RESOLUTION, start, means)
        return cls(prediction, observed, settled, tuple(sizes), held)

    @property
    def has_cells(self) -> bool:
        """Some condition is predicted by more than a single profile."""
        return max(self.sizes) > 1

    def cells(self, condition: Condition) -> Cells:
        """Return the predicted cells of a condition."""
        return self.held[condition] if condition in self.held else np.asarray(self.prediction.cells[condition])

    @cached_property
    def calls(self) -> Called:
        """Genes called in the predicted cells, against the model-side controls."""
        return self.observed.tester.predicted(self._expression(), self.sizes)

    @cached_property
    def bare_calls(self) -> Called:
        """The same among the genes that no judged perturbation targets."""
        return self.calls.at(self.observed.kept)

    def few(self) -> Iterator[Cells]:
        """Yield for each condition the predicted cells that enter distances; those of all would take much memory."""
        return (self.observed.populations.few(self.cells(one)) for one in self.observed.conditions)

    def _expression(self) -> Expression:
        controls = np.concatenate(self.observed.groups[1].rows)
        stacked = Stacked(self, controls)
        whole = np.arange(stacked.shape[0], dtype=np.int64)
        return InMemory(stacked.rows(whole)) if len(self.held) == len(self.sizes) else stacked


def predicted_means(prediction: Prediction, observed: Observed) -> Means:
    """Return the mean of each judged condition's predicted cells; see `Predicted.of`."""
    return Predicted.of(prediction, observed).means


@dataclass(frozen=True, eq=False)
class Stacked:
    """Predicted cells, condition after condition, and after them controls, as an `Expression` in float32.

    float32 is what cells are stored in: a predicted value that is a control's must be equal to it.
    """

    predicted: Predicted
    controls: Int[np.ndarray, " controls"]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return sum(self.predicted.sizes) + len(self.controls), len(self.predicted.observed.genes)

    def rows(self, index: Int[np.ndarray, " cells"]) -> Cells:
        """Return the rows named by `index`, in its order."""
        starts = np.concatenate([[0], np.cumsum(self.predicted.sizes)])
        owners = np.searchsorted(starts, index, side="right") - 1
        block = np.empty((len(index), self.shape[1]), dtype=np.float32)
        for owner in np.unique(owners):
            mine = owners == owner
            block[mine] = self._part(int(owner), index[mine] - starts[owner])
        return block

    def _part(self, owner: int, rows: Int[np.ndarray, " cells"]) -> Cells:
        observed = self.predicted.observed
        if owner == len(self.predicted.sizes):
            return dense(observed.cells.expression.rows(self.controls[rows]))
        return self.predicted.cells(observed.conditions[owner])[rows]


def _check(prediction: Prediction, observed: Observed) -> None:
    name = prediction.provenance.model
    if prediction.genes != observed.genes:
        same = set(prediction.genes) == set(observed.genes)
        raise BadDataError(
            f"{name}: predicted and observed genes differ{' in order' if same else ''}",
            remedy="predict on the observed panel, in its order",
        )
    missing = [one.label for one in observed.conditions if one not in prediction.cells]
    if missing:
        raise BadDataError(f"{name}: no prediction for {len(missing)} judged conditions: {', '.join(missing[:6])}")


def _mean(cells: Cells) -> Float[np.ndarray, " genes"]:
    rows = np.asarray(cells, dtype=np.float64)
    return rows.mean(axis=0) if len(rows) else np.full(rows.shape[1], np.nan)
