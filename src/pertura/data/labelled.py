"""Cells with one label each, as another evaluator sees them: no condition is read out of a label."""

from collections.abc import Iterable
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
        if len(set(self.genes)) != len(self.genes):
            twice = sorted({one for one in self.genes if self.genes.count(one) > 1}) if len(self.genes) < 20_000 else []
            raise BadDataError(
                f"{self.name}: gene names repeat{f' (first: {twice[0]})' if twice else ''}",
                remedy="make them unique: adata.var_names_make_unique()",
            )
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

    @cached_property
    def counts(self) -> dict[str, int]:
        """Label -> number of cells."""
        sizes = np.bincount(self.codes, minlength=len(self.labels))
        return {one: int(size) for one, size in zip(self.labels, sizes)}

    def only(self, labels: Iterable[str]) -> "Labelled":
        """Return the cells of these labels, in the order of the file; other labels are not listed any more."""
        kept = tuple(sorted(set(labels)))
        if kept == self.labels:
            return self
        place = {one: i for i, one in enumerate(kept)}
        code = np.asarray([place.get(one, -1) for one in self.labels], dtype=np.int64)
        rows = np.flatnonzero(code[self.codes] >= 0)
        return replace(
            self,
            expression=Subset(self.expression, rows),
            ids=self.ids[rows],
            labels=kept,
            codes=code[self.codes[rows]],
        )

    def take(self, rows: Int[np.ndarray, " cells"]) -> "Labelled":
        """Return these cells, in this order, without copying expression; labels without cells stay listed."""
        return replace(self, expression=Subset(self.expression, rows), ids=self.ids[rows], codes=self.codes[rows])
