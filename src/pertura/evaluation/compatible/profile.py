"""What a compatibility preset takes and gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from pertura.data.labelled import Labelled
from pertura.metrics.differential import DifferentialExpression


@dataclass(frozen=True, slots=True)
class Options:
    """How a compatibility preset works: none of these changes a number that it gives.

    `memory` bounds in bytes what it holds beyond its input. `threads` None means all that the process may use.
    `device` is where distances between cells are taken. `skip` names metrics to leave out. `train` are the cells that
    a projection may be fitted on; `strata` maps a name to labels.
    """

    memory: int = 4 << 30
    threads: int | None = None
    device: str = "cpu"
    skip: frozenset[str] = frozenset()
    train: Labelled | None = None
    strata: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Column:
    """One column of results. `absent` marks rows that have no entry at all, which is not the same as NaN."""

    values: Float[np.ndarray, " labels"]
    absent: Bool[np.ndarray, " labels"] | None = None
    whole_screen: bool = False
    """One value for the screen, repeated in every row: an interval over rows would mean nothing."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What a compatibility preset computed: columns in its own order, rows named by `labels` in its own order.

    `tests` holds the differential expression of both sides where it was needed: `observed`, `predicted`. `undone`
    says of each column that is missing why.
    """

    labels: tuple[str, ...]
    columns: Mapping[str, Column]
    tests: Mapping[str, DifferentialExpression] = field(default_factory=dict)
    undone: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompatibleMetric:
    """What a column means: its best value (None: a count that is not scored) and what it needs.

    `needs`: means of conditions, rank tests, or single cells and their distances.
    """

    name: str
    summary: str
    best: float | None
    needs: str


@dataclass(frozen=True)
class CompatiblePreset:
    """A preset of another evaluator: `judge(predicted, observed, options)` gives its numbers."""

    name: str
    version: str
    metrics: tuple[CompatibleMetric, ...]
    headline: str
    judge: Callable[[Labelled, Labelled, Options], Judged]
