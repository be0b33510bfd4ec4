"""The look at valid between epochs: populations in the components, means over genes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition
from pertura.core.seeds import shuffled
from pertura.data.pseudobulk import Pseudobulk, pseudobulk
from pertura.metrics.delta import pearson
from pertura.metrics.population import energy_distance, mean_discrepancy, mean_e_distance, r_squared
from pertura.models.cellflow.flowing import Flowing

Points = Float[np.ndarray, "_ dims"]
COMPONENTS = 10
"""Leading components in which the mean discrepancy is taken, as published."""


@dataclass(frozen=True, eq=False)
class Look:
    """Valid conditions with some of their cells, and as many controls to start from; higher is better in all scores."""

    flowing: Flowing
    conditions: tuple[Condition, ...]
    starts: Mapping[str, Points]
    observed: tuple[Points, ...]
    bulk: Pseudobulk
    shared: Float[np.ndarray, " genes"]

    @classmethod
    def at(cls, flowing: Flowing, seen: Cells, points: Points, conditions: tuple[Condition, ...]) -> "Look":
        """Return the look at some conditions of the visible cells, whose coordinates are `points`."""
        most = flowing.options.valid_cells
        ordered = seen.with_genes(flowing.space.genes)
        contexts = sorted({one.context for one in (*conditions, *flowing.train)})
        rows = {name: seen.control_rows(name) for name in contexts}
        train = pseudobulk(ordered, flowing.train, rows)
        return cls(
            flowing,
            conditions,
            {name: points[_few(seen, mine, most)] for name, mine in rows.items()},
            tuple(points[_few(seen, seen.rows_of(one), most)] for one in conditions),
            pseudobulk(ordered, conditions, rows),
            train.deltas.mean(axis=0),
        )

    def __call__(self) -> dict[str, float]:
        """Return the mean of each score over the conditions; an undefined correlation counts as zero."""
        moved = [self.flowing.moved(one, self.starts[one.context], 0) for one in self.conditions]
        begun = [self.starts[one.context] for one in self.conditions]
        axes = self.flowing.space.projection.axes
        shift = np.stack([after.mean(axis=0) - before.mean(axis=0) for after, before in zip(moved, begun)])
        deltas = shift.astype(np.float64) @ axes.T
        profiles = [self.flowing.space.expression(one.mean(axis=0, keepdims=True))[0] for one in moved]
        scores = {
            "negative_energy_distance": [-energy_distance(*pair) for pair in self._pairs(moved)],
            "negative_mean_e_distance": [-mean_e_distance(*pair) for pair in self._pairs(moved)],
            "negative_mmd": [
                -mean_discrepancy(one[:, :COMPONENTS], other[:, :COMPONENTS]) for one, other in self._pairs(moved)
            ],
            "r_squared": [r_squared(one, other) for one, other in zip(profiles, self.bulk.means)],
            "pearson_delta": np.nan_to_num(pearson(deltas, self.bulk.deltas)),
            "pearson_perturbation_mean": np.nan_to_num(pearson(deltas - self.shared, self.bulk.deltas - self.shared)),
        }
        return {name: float(np.mean(values)) for name, values in scores.items()}

    def _pairs(self, moved: list[Points]) -> list[tuple[Points, Points]]:
        return [(one.astype(np.float64), other.astype(np.float64)) for one, other in zip(moved, self.observed)]


def _few(cells: Cells, rows: Int[np.ndarray, " _"], most: int) -> Int[np.ndarray, " _"]:
    return rows[shuffled(cells.ids[rows], 0, "valid cells")[:most]]
