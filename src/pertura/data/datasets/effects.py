"""The plan of a simulated screen: its genes, conditions, abundances and effects, each from a stream of its own.

Every draw is named after what it is for (`effect`, gene, line), so a screen with more targets or pairs keeps the
effects and the cells of those that were already there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.seeds import generator, shuffled
from pertura.data.datasets.simulation import GeneTable, SimulationConfig

HIDDEN_WIDTH = 32
UNMEASURED_GENES = 5000


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is fixed before a cell is drawn."""

    config: SimulationConfig
    seed: int
    table: GeneTable | None = None

    @cached_property
    def panel(self) -> tuple[str, ...]:
        """The measured genes: `G00000`..., or genes of the table as far as they go."""
        numbered = tuple(f"G{i:05d}" for i in range(self.config.genes))
        if self.table is None:
            return numbered
        spare = round(self.config.targets * self.config.targets_outside_panel)
        own = self._ordered(self.table.genes, "panel")[: max(len(self.table.genes) - spare, 0)][: self.config.genes]
        return own + numbered[len(own) :]

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The genes perturbed alone, those outside the panel last."""
        outside = round(self.config.targets * self.config.targets_outside_panel)
        inside = self.config.targets - outside
        if self.table is None:
            measured: Sequence[str] = self.panel
            others: Sequence[str] = [f"G{self.config.genes + i:05d}" for i in range(outside)]
        else:
            measured = [gene for gene in self.panel if gene in set(self.table.genes)]
            others = sorted(set(self.table.genes) - set(self.panel))
        if inside > len(measured) or outside > len(others):
            raise UsageError(
                f"{self.config.targets} targets, but only {len(measured)} + {len(others)} genes to perturb"
            )
        return self._ordered(measured, "targets")[:inside] + self._ordered(others, "targets outside")[:outside]

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of targets that are perturbed together."""
        every = [(a, b) for a in sorted(self.targets) for b in sorted(self.targets) if a < b]
        if self.config.pairs > len(every):
            raise UsageError(f"{self.config.pairs} pairs of {self.config.targets} targets; there are {len(every)}")
        order = shuffled(["+".join(pair) for pair in every], self.seed, "pairs")
        return tuple(every[i] for i in order[: self.config.pairs])

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """Control, singles and pairs of each line, line by line."""
        done = [Perturbation()]
        done += [Perturbation.of(gene, mode=self.config.mode) for gene in self.targets]
        done += [Perturbation.of(*pair, mode=self.config.mode) for pair in self.pairs]
        return tuple(Condition(one, line) for line in self.config.lines for one in done)

    def cells_of(self, condition: Condition) -> int:
        """Return how many cells a condition has."""
        return self.config.controls_per_line if condition.is_control else self.config.cells_per_condition

    def shares(self, line: str) -> Float[np.ndarray, " genes"]:
        """Return each panel gene's share of the molecules of an unperturbed cell of a line."""
        logs = self.config.abundance_sd * self._normal("abundance")
        logs = logs + self.config.line_sd * self._normal("line", line)
        shares = np.exp(logs)
        panel = self.config.genes / (self.config.genes + UNMEASURED_GENES)
        return shares / shares.sum() * (self.config.panel_share or panel)

    def batch_shift(self, line: str, batch: int) -> Float[np.ndarray, " genes"]:
        """Return what a batch adds to the log rates of a line."""
        return self.config.batch_sd * self._normal("batch", line, batch)

    def effect(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Return what a condition adds to the log rates of its line's control."""
        total = np.zeros(len(self.panel))
        for gene in condition.genes:
            total += self._single(gene, condition.context)
        if self.is_interacting(condition):
            total += self.config.interaction_sd * self._sparse(condition.perturbation.label, condition.context)
        return total

    def is_interacting(self, condition: Condition) -> bool:
        """A pair whose effect is more than the sum of its singles'; the same pairs in every line."""
        coin = generator(self.seed, "interacts", condition.perturbation.label).random()
        return condition.perturbation.is_pair and bool(coin < self.config.interacting_fraction)

    def is_null(self, condition: Condition) -> bool:
        """Nothing moves but the targets themselves."""
        return all(self._moves_nothing(gene) for gene in condition.genes) and not self.is_interacting(condition)

    def _moves_nothing(self, gene: str) -> bool:
        return bool(generator(self.seed, "null", gene).random() < self.config.null_fraction)

    def _single(self, gene: str, line: str) -> Float[np.ndarray, " genes"]:
        if self._moves_nothing(gene):
            total = np.zeros(len(self.panel))
        else:
            total = self.config.effect_sd * self._followed(gene, line)
        if gene in self._column:
            total[self._column[gene]] = self.config.target_effect
        return total

    def _followed(self, gene: str, line: str) -> Float[np.ndarray, " genes"]:
        """The part of an effect that the gene table explains, and the rest."""
        free = self._sparse(gene, line)
        if self.table is None:
            return free
        noise = self.config.table_noise
        return np.sqrt(1 - noise) * self._from_table(gene) + np.sqrt(noise) * free

    def _sparse(self, name: str, line: str) -> Float[np.ndarray, " genes"]:
        """Normal effects on a few genes, the same genes in all lines; a share of their variance is the line's own."""
        rng = generator(self.seed, "effect", name)
        moved = rng.random(len(self.panel)) < self.config.effect_share
        own = self.config.own_share if len(self.config.lines) > 1 else 0.0
        mixed = np.sqrt(1 - own) * rng.standard_normal(len(self.panel))
        if own:
            mixed += np.sqrt(own) * self._normal("own effect", name, line)
        return mixed * moved

    def _from_table(self, gene: str) -> Float[np.ndarray, " genes"]:
        """A random two-layer tanh network of the gene's row, cut so that only the strongest outputs move a gene."""
        hidden = np.tanh(self._inputs[self._row[gene]] @ self._layers[0])
        raw = hidden @ self._layers[1]
        gate = ndtri(1 - self.config.effect_share / 2) if self.config.effect_share else np.inf
        scaled = raw / np.sqrt(np.mean(raw**2))
        return np.sign(scaled) * np.maximum(np.abs(scaled) - gate, 0.0) * 2.0

    @cached_property
    def _inputs(self) -> Float[np.ndarray, "rows width"]:
        assert self.table is not None
        spread = self.table.table.std(axis=0)
        return (self.table.table - self.table.table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)

    @cached_property
    def _layers(self) -> tuple[Float[np.ndarray, "width hidden"], Float[np.ndarray, "hidden genes"]]:
        width = self._inputs.shape[1]
        first = generator(self.seed, "table", "first").standard_normal((width, HIDDEN_WIDTH)) * (1.5 / np.sqrt(width))
        return first, generator(self.seed, "table", "second").standard_normal((HIDDEN_WIDTH, len(self.panel)))

    @cached_property
    def _row(self) -> dict[str, int]:
        return {} if self.table is None else {gene: row for row, gene in enumerate(self.table.genes)}

    @cached_property
    def _column(self) -> dict[str, int]:
        return {gene: column for column, gene in enumerate(self.panel)}

    def _normal(self, *names: object) -> Float[np.ndarray, " genes"]:
        return generator(self.seed, *names).standard_normal(len(self.panel))

    def _ordered(self, genes: Sequence[str], purpose: str) -> tuple[str, ...]:
        return tuple(genes[i] for i in shuffled(genes, self.seed, purpose))
