"""Networks that a table of models can hold: sizes by name, options that can be changed, what they take of memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pertura.core.errors import UsageError
from pertura.core.model import PerturbationModel
from pertura.models.changed import changed
from pertura.priors.prior import GenePrior
from pertura.training.record import TrainingRecord

SIZES = ("full", "debug")
"""`full` is the published size, `debug` trains in about a minute on a CPU."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a network takes: numbers it learns, bytes while it is trained, updates in an epoch, what a batch counts."""

    parameters: int
    training_bytes: float
    updates: int
    unit: str = "cells"


@dataclass(frozen=True, slots=True)
class Extent:
    """What a screen asks of a network: panel genes, train cells and conditions, width and genes of its priors."""

    genes: int
    cells: int
    conditions: int = 1
    prior_width: int = 0
    prior_genes: int = 0


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """What the row of a trained network says beside its name.

    `options(size)` returns the options of a size, a frozen dataclass whose field `training` is a `TrainingOptions`;
    `build` makes the unfitted model of options and priors; `check` raises where it could not begin (a checkpoint that
    is not there); `footprint` says what it would take. Functions import torch only when they are called.
    """

    options: Callable[[str], Any]
    build: Callable[[Any, tuple[GenePrior, ...]], PerturbationModel]
    check: Callable[[Any], None]
    footprint: Callable[[Any, Extent], Footprint]
    needs_prior: bool = False

    def chosen(self, size: str, changes: Mapping[str, Any], place: str) -> Any:
        """Return the options of a size with changes; a size that is none raises `UsageError`."""
        if size not in SIZES:
            raise UsageError(f"no size {size!r}; there are {' and '.join(SIZES)}")
        return changed(self.options(size), changes, place)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a fitted network was taught: the record of its training, the cells there were, what it was chosen by.

    Where cells are `redrawn`, with replacement, an epoch may see a cell several times and another never.
    """

    record: TrainingRecord
    parameters: int
    train_cells: int
    stop_metric: str
    redrawn: bool = False


@runtime_checkable
class TrainedModel(Protocol):
    """A model whose training can be watched, and goes on in `workspace` where it was cut."""

    workspace: Path | None
    watch: Callable[[Any], None] | None

    def learnt(self) -> Learnt:
        """Return what the fitted model was taught."""
        ...
