"""What a CellFlow perturbation model is, beyond its network; and the named ones."""

from dataclasses import field, replace
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pertura.core.errors import UsageError
from pertura.flow.coupling import CouplingOptions
from pertura.flow.integrate import Method
from pertura.models.cellflow.config import CellFlowConfig, Covariate, PoolingConfig
from pertura.training.options import TrainingOptions

STRICT = ConfigDict(extra="forbid", strict=True)
GENES, CONTEXT = "gene", "context"
"""The covariates of a condition."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SolverOptions:
    """How a flow is followed: fixed steps, or `dopri5` for comparison with published numbers; all cells share steps."""

    method: Method = "rk4"
    steps: int = Field(default=10, ge=1)
    tolerance: float = Field(default=1e-5, gt=0)
    """Of `dopri5` only, relative and absolute."""
    guidance: float = 1.0
    """Away from where cells go without a condition; other than 1 only after training with `drop_conditions`."""


def _published_network(**changes: object) -> CellFlowConfig:
    gene = Covariate(name=GENES, width=1)
    sizes = {"time_dims": (2048,) * 3, "cell_dims": (4096,) * 3, "decoder_dims": (4096,) * 3}
    told = {"dims": 50, "condition_width": 1024, "condition_dropout": 0.9, "decoder_dropout": 0.2, **sizes}
    return CellFlowConfig(covariates=(gene,), **{**told, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CellFlowOptions:
    """A perturbation model: its components, network, flow, training and solver. Defaults: the published Norman model.

    `network.dims` is the number of principal components. Of `network.covariates` the first describes a perturbed gene;
    its width, and the covariate of the context, come from the data. A network with `source_dims` starts from noise
    and is told the control cell (GENOT). In `training`, `batch` counts the conditions that an update averages over and
    `micro_batch` those that are worked on at once.
    """

    network: CellFlowConfig = field(default_factory=_published_network)
    path: Literal["constant-noise", "bridge"] = "constant-noise"
    deviation: float = Field(default=1.0, ge=0)
    """Of the noise of the path, in the units of the components."""
    coupling: CouplingOptions = field(default_factory=CouplingOptions)
    cells: int = Field(default=1024, ge=1)
    """Control cells, and perturbed cells, drawn for each condition of an update."""
    updates: int = Field(default=500, ge=1)
    """Updates in an epoch, which ends with a look at valid."""
    condition_penalty: float = Field(default=0.0, ge=0)
    """Weight of the penalty on condition vectors: their squares or, where stochastic, their divergence from N(0, 1)."""
    drop_conditions: float = Field(default=0.0, ge=0, lt=1)
    """How often a condition is not told, which guidance needs."""
    match_batches: bool = True
    """Whether control cells come from the batch of the perturbed cell, where batches are known."""
    context: Literal["controls", "label", "none"] = "controls"
    """What the network is told of the context where train has several: the mean of its control cells, which cells of
    any line have; its name; or nothing."""
    equal_length: bool = True
    """Whether each row of a prior is brought to a mean square of one."""
    residual: Literal["cell", "mean", "none"] = "cell"
    """What is added to a predicted cell of that which the components leave out: of its control cell, the mean over
    control cells, or nothing, as published."""
    keep_means: bool = True
    """Whether the means of genes stay as predicted where values below zero are set to zero."""
    solver: SolverOptions = field(default_factory=SolverOptions)
    valid_cells: int = Field(default=256, ge=2)
    """Cells of each side in a look at valid, for each condition."""
    predict_batch: int = Field(default=4096, ge=1)
    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(
            epochs=20,
            batch=20,
            micro_batch=1,
            learning_rate=5e-5,
            decay=1.0,
            clip=None,
            patience=None,
            stop_metric="negative_energy_distance",
        )
    )


def check_options(options: CellFlowOptions) -> None:
    """Raise `UsageError` where options contradict one another."""
    if len(options.network.covariates) != 1:
        raise UsageError("network.covariates: give one, for the perturbed genes; that of the context follows the data")
    if options.solver.guidance != 1 and not options.drop_conditions:
        raise UsageError("solver.guidance needs a network that was trained with drop_conditions above 0")


def shaped(network: CellFlowConfig, dims: int, genes: int, context: int = 0, elements: int = 1) -> CellFlowConfig:
    """Return the configuration with the widths that the data have, and places for `elements` targets.

    `genes` and `context` are the widths of the vectors of a gene and of a context; 0 where no context is told.
    """
    covariates: tuple[Covariate, ...] = (replace(network.covariates[0], width=genes),)
    if context:
        covariates += (Covariate(name=CONTEXT, width=context, pooled=False, marks_presence=False),)
    return replace(network, dims=dims, covariates=covariates, elements=max(elements, network.elements))


def published(*, paper: bool = False) -> CellFlowOptions:
    """Return the published Norman model as it was trained: 10,000 updates of 20 conditions of 1,024 cells each.

    Its perceptrons before and after pooling were dropped by the package and are not there. `paper` has the cyclical
    code of time, and masks, of the version that the paper used.
    """
    network = _published_network(time_period=None, compat="paper") if paper else _published_network(compat="0.0.9")
    return CellFlowOptions(network=network, match_batches=False, context="none", equal_length=False)


def debug() -> CellFlowOptions:
    """Return a network that trains on a small screen in about half a minute on a CPU."""
    network = CellFlowConfig(
        dims=20,
        covariates=(Covariate(name=GENES, width=1),),
        pooling=PoolingConfig(heads=4, size=32),
        condition_width=32,
        condition_dropout=0.5,
        time_features=32,
        time_period=None,
        time_dims=(32,),
        cell_dims=(64,),
        decoder_dims=(64, 64),
    )
    training = TrainingOptions(
        epochs=4,
        batch=4,
        learning_rate=2e-3,
        decay=0.7,
        clip=None,
        patience=4,
        stop_metric="negative_energy_distance",
    )
    return CellFlowOptions(network=network, deviation=0.3, cells=128, updates=150, valid_cells=64, training=training)
