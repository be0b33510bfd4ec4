"""Cells as coordinates on principal components, and back."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.expression import blocks
from pertura.metrics.projection import Projection, principal_components

MEMORY = 8 << 30
"""Most bytes that the products of genes may take: 32,000 genes."""


@dataclass(frozen=True, eq=False)
class Space:
    """Principal components of the cells that a model learnt on. `genes` are sorted, whatever the order of the panel."""

    genes: tuple[str, ...]
    projection: Projection

    @classmethod
    def of(cls, cells: Cells, rows: Int[np.ndarray, " _"], components: int) -> "Space":
        """Return the components of some cells; neither the order of cells nor that of genes has any influence."""
        if len(rows) < 2:
            raise BadDataError(f"{cells.name}: {len(rows)} train cells have no principal components")
        ordered = cells.with_genes(sorted(cells.genes))
        named = by_name(cells, rows)
        found = principal_components(blocks(ordered.expression, named), len(cells.genes), components, MEMORY)
        return cls(ordered.genes, found)

    @property
    def dims(self) -> int:
        """Number of components."""
        return self.projection.axes.shape[1]

    def points(self, cells: Cells, rows: Int[np.ndarray, " _"]) -> Float[np.ndarray, "cells dims"]:
        """Return the coordinates of some cells in float32."""
        ordered = cells.with_genes(self.genes)
        found = [self.projection.apply(block) for block in blocks(ordered.expression, rows)]
        return np.concatenate([*found, np.empty((0, self.dims))]).astype(np.float32)

    def expression(self, points: Float[np.ndarray, "cells dims"]) -> Float[np.ndarray, "cells genes"]:
        """Return the expression, in float64, of cells at some coordinates; it may be negative."""
        return points.astype(np.float64) @ self.projection.axes.T + self.projection.centre


def by_name(cells: Cells, rows: Int[np.ndarray, " _"]) -> Int[np.ndarray, " _"]:
    """Return rows in the order of the names of their cells."""
    return rows[np.argsort(cells.ids[rows].astype(str), kind="stable")]
