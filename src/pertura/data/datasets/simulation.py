"""What is simulated (`SimulationConfig`), and what comes back (`Simulation`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as config

from pertura.core.cells import Cells
from pertura.core.errors import MissingError
from pertura.core.perturbation import Condition, Mode, Perturbation


@config(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class SimulationConfig:
    """A screen to simulate. Effects are differences of log rates (natural logarithm)."""

    genes: int = Field(default=500, ge=2)
    lines: tuple[str, ...] = ("line-a",)
    mode: Mode = Mode.ACTIVATION
    targets: int = Field(default=24, ge=1)
    """Genes perturbed alone, the same in every line."""
    pairs: int = Field(default=0, ge=0)
    """Pairs of those genes, the same in every line."""
    cells_per_condition: int = Field(default=60, ge=1)
    controls_per_line: int = Field(default=400, ge=0)

    density: float = Field(default=0.4, gt=0, lt=1)
    """Share of non-zero entries that the sequencing depth is solved for."""
    panel_share: float | None = Field(default=None, gt=0, le=1)
    """Share of a cell's molecules that come from the panel; the rest only counts in the library size. By default
    genes / (genes + 5000)."""
    abundance_sd: float = Field(default=1.5, ge=0)
    """Standard deviation of log abundance over genes: above 1, few genes hold most molecules."""
    library_sd: float = Field(default=0.35, ge=0)
    dispersion: float = Field(default=0.3, gt=0)
    """Variance of a count of mean m is m + dispersion * m**2."""

    effect_share: float = Field(default=0.1, ge=0, le=1)
    """Share of genes that a perturbation moves."""
    effect_sd: float = Field(default=0.6, ge=0)
    null_fraction: float = Field(default=0.15, ge=0, le=1)
    """Chance that a target moves nothing but itself."""
    target_effect: float = 1.5
    """What a perturbation does to its own gene where that is measured; negative for a knock-down."""
    targets_outside_panel: float = Field(default=0.25, ge=0, le=1)
    """Share of targets that are not measured."""
    interacting_fraction: float = Field(default=0.3, ge=0, le=1)
    """Chance that a pair's effect is not the sum of its singles'."""
    interaction_sd: float = Field(default=0.6, ge=0)

    line_sd: float = Field(default=0.5, ge=0)
    """How much the lines' log abundances differ from the shared ones."""
    own_share: float = Field(default=0.3, ge=0, le=1)
    """Share of the variance of an effect that belongs to one line alone."""
    batches: int = Field(default=1, ge=1)
    batch_sd: float = Field(default=0.0, ge=0)
    table_noise: float = Field(default=0.3, ge=0, le=1)
    """Where effects follow a gene table: share of their variance that does not."""
    output: Literal["lognormalised", "counts"] = "lognormalised"


def norman_like(**changes: Any) -> SimulationConfig:
    """Return singles and pairs of activated genes in one line, some pairs interacting."""
    preset: dict[str, Any] = {"genes": 450, "pairs": 30, "density": 0.35, "lines": ("line-a",)}
    return SimulationConfig(**{**preset, **changes})


def replogle_like(**changes: Any) -> SimulationConfig:
    """Return singles knocked down in several lines, with shared and own effects."""
    preset: dict[str, Any] = {
        "genes": 450,
        "lines": ("line-a", "line-b", "line-c"),
        "mode": Mode.INTERFERENCE,
        "targets": 18,
        "cells_per_condition": 60,
        "controls_per_line": 250,
        "target_effect": -1.8,
        "targets_outside_panel": 0.1,
    }
    return SimulationConfig(**{**preset, **changes})


@dataclass(frozen=True, eq=False)
class GeneTable:
    """One vector for each gene, which simulated effects can be made to follow. The genes name panel and targets."""

    genes: tuple[str, ...]
    table: Float[np.ndarray, "genes width"]


@dataclass(frozen=True, eq=False)
class Truth:
    """What a simulated screen was made from.

    `effects` are the planted differences of each condition from control: of log rates where counts were drawn, of
    expression itself where `space` says so. `interacting` lists the pairs whose effect is not the sum of its singles',
    `null` the conditions that move nothing but their own targets.
    """

    genes: tuple[str, ...]
    effects: Mapping[Condition, Float[np.ndarray, " genes"]]
    mean_of: Callable[[Condition], Float[np.ndarray, " genes"]]
    space: Literal["log rate", "expression"] = "log rate"
    interacting: frozenset[Condition] = frozenset()
    null: frozenset[Condition] = frozenset()

    def expected_mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Return the expectation of a cell of this condition, or of a context's control, on the scale of the cells."""
        if condition not in self.effects and not condition.is_control:
            raise MissingError(f"{condition.label} was not simulated")
        return self.mean_of(condition)

    def expected_delta(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Return what the observed delta of a condition tends to as cells grow in number."""
        return self.expected_mean(condition) - self.expected_mean(Condition(Perturbation(), condition.context))


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated cells and what they were made from."""

    cells: Cells
    truth: Truth
