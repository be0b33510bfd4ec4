"""How far predicted populations are from observed ones, condition by condition: over all genes and in 10 components."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.cells import Cells
from pertura.core.expression import blocks
from pertura.core.perturbation import Condition, spelled
from pertura.core.prediction import Prediction
from pertura.core.seeds import shuffled
from pertura.core.split import Split
from pertura.metrics.population import energy_distance, mean_discrepancy, mean_e_distance, r_squared
from pertura.metrics.projection import Projection, principal_components
from pertura.recipes.run import Screen
from pertura.report.html import Block, Details, Section, TableBlock
from pertura.report.tables import Column, Row, Table

COMPONENTS = 10
FITTED_CELLS, MOST_CELLS = 20_000, 300
MEMORY = 8 << 30
BESIDE = ("no-change", "train-mean", "additive")
"""Models that stand beside the networks."""
DISTANCES = {
    "E of means": "twice the squared distance of the two means, which CellFlow calls E-distance",
    "energy": "energy distance: 0 only for the same distribution",
    "MMD": "squared maximum mean discrepancy, averaged over six kernels, as CellFlow has it",
}
Values = Float[np.ndarray, "conditions columns"]


def population_section(screen: Screen) -> Section | None:
    """Return the distances of networks and a few baselines, and of each network by condition; None without networks."""
    networks = [name for name, one in screen.taught.items() if one.network is not None]
    if not networks:
        return None
    asked = [*(name for name in BESIDE if name in screen.predictions), *networks]
    spaces = Spaces.of(screen.cells, screen.split, screen.observed.conditions, screen.recipe.seed)
    found = {name: spaces.values(screen.predictions[name]) for name in asked}
    whole = [Row((name, *values.mean(axis=0).tolist())) for name, values in found.items()]
    note = (
        f"Means over {len(spaces.conditions)} test perturbations. Distances but that of means take at most "
        f"{MOST_CELLS} cells of each side. Components are of {FITTED_CELLS:,} train cells and controls at most."
    )
    blocks_: list[Block] = [TableBlock(Table("Distances between populations", _columns("model"), tuple(whole), note))]
    names = spelled(spaces.conditions, screen.split.contexts)
    for name in networks:
        rows = [Row((names[one], *row.tolist())) for one, row in zip(spaces.conditions, found[name])]
        table = Table(f"{name} by perturbation", _columns("perturbation"), tuple(rows))
        blocks_.append(Details(f"{name}, perturbation by perturbation", (TableBlock(table),)))
    return Section("populations", "Predicted and observed populations", tuple(blocks_))


@dataclass(frozen=True, eq=False)
class Spaces:
    """The observed cells of some conditions, over genes and in components of train."""

    cells: Cells
    conditions: tuple[Condition, ...]
    projection: Projection
    seed: int

    @classmethod
    def of(cls, cells: Cells, split: Split, conditions: Sequence[Condition], seed: int) -> "Spaces":
        """Return them with components fitted on train cells and the controls that models see."""
        parts = [cells.rows_of(one) for one in sorted(split.train)]
        parts += [split.model_controls(cells, name) for name in cells.contexts if name in split.controls]
        rows = np.concatenate(parts)
        some = rows[shuffled(cells.ids[rows], seed, "components")[:FITTED_CELLS]]
        fitted = principal_components(blocks(cells.expression, some), len(cells.genes), COMPONENTS, MEMORY)
        return cls(cells, tuple(sorted(conditions)), fitted, seed)

    def values(self, prediction: Prediction) -> Values:
        """Return a row for each condition: r squared, then the distances over genes and in components."""
        place = {gene: column for column, gene in enumerate(prediction.genes)}
        columns = np.asarray([place[gene] for gene in self.cells.genes])
        return np.asarray([self._row(one, prediction, columns) for one in self.conditions])

    def _row(self, condition: Condition, prediction: Prediction, columns: Int[np.ndarray, " genes"]) -> list[float]:
        rows = self.cells.rows_of(condition)
        observed = self.cells.dense(rows[shuffled(self.cells.ids[rows], self.seed, "populations")])
        predicted = np.asarray(prediction.cells[condition], dtype=np.float64)[:, columns]
        found = [r_squared(predicted.mean(axis=0), observed.mean(axis=0))]
        for first, second in ((predicted, observed), tuple(map(self.projection.apply, (predicted, observed)))):
            few = (_few(first), second[:MOST_CELLS])
            found += [mean_e_distance(first, second), energy_distance(*few), mean_discrepancy(*few)]
        return found


def _few(cells: Float[np.ndarray, "cells axes"]) -> Float[np.ndarray, "_ axes"]:
    """Return evenly spaced cells: predicted ones have no names to choose by."""
    return cells[np.arange(min(len(cells), MOST_CELLS)) * len(cells) // max(min(len(cells), MOST_CELLS), 1)]


def _columns(first: str) -> tuple[Column, ...]:
    told = [Column(first), Column("r2 of means", "number", "variance over genes that is explained", better="higher")]
    for where in ("genes", f"{COMPONENTS} components"):
        told += [Column(f"{name}, {where}", "number", text, better="lower") for name, text in DISTANCES.items()]
    return tuple(told)
