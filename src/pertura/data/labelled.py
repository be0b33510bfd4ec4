"""Cells with one label each, as another evaluator sees them: no condition is read out of a label."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int, Shaped

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Subset


@dataclass(frozen=True, eq=False)
class Labelled:
    """Cells x genes with a label for each cell; `codes[i]` is the place in `labels` (sorted) of cell i's label.

    `control` is the label of unperturbed cells. `ids` are the names of the cells. A cell may stand in it twice
    (a redraw with replacement), so names may repeat.
    """

    expression: Expression
    genes: tuple[str, ...]
    ids: Shaped[np.ndarray, " cells"]
    labels: tuple[str, ...]
    codes: Int[np.ndarray, " cells"]
    control: str
    name: str = "cells"

    def __post_init__(self) -> None:
        if self.expression.shape != (len(self.codes), len(self.genes)):
            raise BadDataError(f"{self.name}: {self.expression.shape} values, {len(self.codes)} labels")
        if self.control not in self.labels:
            raise BadDataError(
                f"{self.name}: no cell is labelled {self.control!r}", remedy="say how control is spelled: --control"
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """The labels but control, sorted."""
        return tuple(one for one in self.labels if one != self.control)

    @cached_property
    def _rows(self) -> dict[str, Int[np.ndarray, " cells"]]:
        order = np.argsort(self.codes, kind="stable")
        edges = np.searchsorted(self.codes[order], np.arange(len(self.labels) + 1))
        return {one: order[edges[i] : edges[i + 1]] for i, one in enumerate(self.labels)}

    def rows_of(self, label: str) -> Int[np.ndarray, " cells"]:
        """Return the rows of a label in the order of the file."""
        return self._rows[label]

    def take(self, rows: Int[np.ndarray, " cells"]) -> "Labelled":
        """Return these cells, in this order, without copying expression; labels without cells stay listed."""
        return replace(self, expression=Subset(self.expression, rows), ids=self.ids[rows], codes=self.codes[rows])
