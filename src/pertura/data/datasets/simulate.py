"""Screens with known truth: Norman-like and Replogle-like, in memory or in blocks on disk."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped

from pertura.core.cells import Cells, Scale
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition
from pertura.core.seeds import generator
from pertura.data.datasets.compact import lognormalised
from pertura.data.datasets.counts import TARGET_SUM, CountLaw, law_of_density
from pertura.data.datasets.effects import Plan
from pertura.data.datasets.simulation import (
    GeneTable,
    Simulation,
    SimulationConfig,
    Truth,
    norman_like,
    replogle_like,
)

BLOCK_CELLS = 256


def simulate(config: SimulationConfig, seed: int = 0, table: GeneTable | None = None) -> Simulation:
    """Return simulated cells in memory and their truth; equal for equal arguments.

    With `table` the effects follow its rows through a random two-layer network, all but `config.table_noise`.
    """
    screen = _Screen(Plan(config, seed, table))
    found = list(screen.blocks())
    matrix = sp.vstack([matrix for matrix, _ in found], format="csr")
    return Simulation(screen.cells(matrix, np.concatenate([libraries for _, libraries in found])), screen.truth)


def simulate_norman(config: SimulationConfig | None = None, *, seed: int = 0) -> Simulation:
    """Return a screen of activated singles and pairs in one line; `config` changes `norman_like()`."""
    return simulate(config or norman_like(), seed)


def simulate_replogle(config: SimulationConfig | None = None, *, seed: int = 0) -> Simulation:
    """Return a screen of knocked-down singles in several lines; `config` changes `replogle_like()`."""
    return simulate(config or replogle_like(), seed)


def write_simulation(
    config: SimulationConfig, path: str | os.PathLike[str], seed: int = 0, table: GeneTable | None = None
) -> Truth:
    """Write the screen of `simulate` to an .h5ad block by block and return its truth; the matrix is never in memory.

    obs: `condition` (`A+ctrl`, `A+B`, `ctrl`), `cell_line`, `batch`, `perturbation_type` (the mode), `ncounts` (the
    library size).
    """
    from pertura.data.datasets.block_file import write_blocks  # anndata and pandas, only needed here

    screen = _Screen(Plan(config, seed, table))
    write_blocks(path, screen.labels(), screen.plan.panel, screen.blocks())
    return screen.truth


@dataclass(frozen=True, eq=False)
class _Screen:
    plan: Plan

    @cached_property
    def law(self) -> CountLaw:
        config = self.plan.config
        shares = np.concatenate([self.plan.shares(line) for line in config.lines])
        return law_of_density(shares, config.density, config.library_sd, config.dispersion)

    @cached_property
    def truth(self) -> Truth:
        perturbed = [one for one in self.plan.conditions if not one.is_control]
        return Truth(
            genes=self.plan.panel,
            effects={one: self.plan.effect(one) for one in perturbed},
            mean_of=self.expected_mean,
            interacting=frozenset(one for one in perturbed if self.plan.is_interacting(one)),
            null=frozenset(one for one in perturbed if self.plan.is_null(one)),
        )

    def rates(self, condition: Condition) -> Float[np.ndarray, "batches genes"]:
        """Shares of the molecules of a cell of this condition, for each batch."""
        rates = self.plan.shares(condition.context) * np.exp(self.plan.effect(condition))
        shifts = [self.plan.batch_shift(condition.context, batch) for batch in range(self.plan.config.batches)]
        return rates * np.exp(np.asarray(shifts))

    def expected_mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Expectation over the batches as the condition's cells are spread over them."""
        is_counts = self.plan.config.output == "counts"
        expected = self.law.expected_counts if is_counts else self.law.expected_logs
        sizes = np.bincount(self._batches(condition), minlength=self.plan.config.batches)
        per_batch = np.asarray([expected(rates) for rates in self.rates(condition)])
        return sizes @ per_batch / max(sizes.sum(), 1)

    def blocks(self) -> Iterator[tuple[sp.csr_matrix, Float[np.ndarray, " cells"]]]:
        """Yield cells and library sizes, condition by condition. The size of a block is part of the draw."""
        for condition in self.plan.conditions:
            rng = generator(self.plan.seed, "cells", condition.label)
            rates, batches = self.rates(condition), self._batches(condition)
            for start in range(0, len(batches), BLOCK_CELLS):
                chosen = batches[start : start + BLOCK_CELLS]
                libraries = self.law.libraries(rng, len(chosen))
                counts = sp.csr_matrix(self.law.draw(rng, libraries, rates[chosen]))
                is_counts = self.plan.config.output == "counts"
                yield counts.astype(np.float32) if is_counts else lognormalised(counts, libraries), libraries

    def labels(self) -> dict[str, Shaped[np.ndarray, " cells"]]:
        """The columns that describe the cells, in the order of `blocks`: codes of the condition, batch, name."""
        plan = self.plan
        sizes = [plan.cells_of(one) for one in plan.conditions]
        names = [f"{one.label}-{i:05d}" for one, size in zip(plan.conditions, sizes) for i in range(size)]
        spelt = np.asarray([_spelt(one) for one in plan.conditions])
        lines = np.asarray([one.context for one in plan.conditions])
        codes = np.repeat(np.arange(len(sizes)), sizes)
        batches = np.concatenate([self._batches(one) for one in plan.conditions])
        return {
            "ids": np.asarray(names),
            "codes": codes,
            "condition": spelt[codes],
            "cell_line": lines[codes],
            "batch": np.asarray([f"batch{i}" for i in range(plan.config.batches)])[batches],
            "batch_codes": batches,
            "perturbation_type": np.full(len(codes), str(plan.config.mode)),
        }

    def cells(self, matrix: sp.csr_matrix, libraries: Float[np.ndarray, " cells"]) -> Cells:
        """Wrap the whole matrix."""
        plan, labels = self.plan, self.labels()
        evidence = "simulated: library sizes count the molecules of all genes"
        is_counts = plan.config.output == "counts"
        logged = Scale("lognormalised", TARGET_SUM, math.e, whole_transcriptome=True, evidence=evidence)
        return Cells(
            expression=InMemory(matrix),
            genes=plan.panel,
            ids=labels["ids"],
            conditions=plan.conditions,
            codes=labels["codes"],
            scale=Scale("counts", evidence=evidence) if is_counts else logged,
            batches=tuple(f"batch{i}" for i in range(plan.config.batches)) if plan.config.batches > 1 else (),
            batch_codes=labels["batch_codes"] if plan.config.batches > 1 else None,
            library_sizes=libraries,
            spellings={one: _spelt(one) for one in plan.conditions},
            name=f"simulated-{len(plan.config.lines)}-lines" if len(plan.config.lines) > 1 else "simulated",
        )

    def _batches(self, condition: Condition) -> Int[np.ndarray, " cells"]:
        """Cells take turns over the batches, so every condition is spread evenly."""
        return np.arange(self.plan.cells_of(condition)) % self.plan.config.batches


def _spelt(condition: Condition) -> str:
    genes = condition.genes
    return f"{genes[0]}+ctrl" if len(genes) == 1 else "+".join(genes) or "ctrl"
