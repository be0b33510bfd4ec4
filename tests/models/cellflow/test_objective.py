"""What is minimised, how it is accumulated, and what a trained flow does with Gaussians."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from pertura.flow.coupling import CouplingOptions
from pertura.flow.integrate import solve
from pertura.models.cellflow.condition import Encoded
from pertura.models.cellflow.config import CellFlowConfig, Covariate, PoolingConfig
from pertura.models.cellflow.feed import Draws, FlowBatch
from pertura.models.cellflow.network import CellFlowNetwork
from pertura.models.cellflow.objective import FlowObjective, condition_penalty
from pertura.models.cellflow.options import CellFlowOptions
from pertura.models.cellflow.vectors import Told
from pertura.training.loop import Loop
from pertura.training.objective import StepLoss
from pertura.training.options import TrainingOptions

REFERENCE = Path(__file__).parents[2] / "reference/cellflow/multisteps.npz"
NETWORK = CellFlowConfig(
    dims=2,
    covariates=(Covariate(name="gene", width=3),),
    pooling=PoolingConfig(heads=2, size=8),
    condition_width=8,
    time_features=16,
    time_period=None,
    time_dims=(16,),
    cell_dims=(64,),
    decoder_dims=(64, 64),
)
PLAIN = CellFlowOptions(network=NETWORK, deviation=0.0, coupling=CouplingOptions(kind="independent"))
TOLD = Told({"gene": torch.ones(1, 2, 3)}, torch.ones(1, 2, dtype=torch.bool))
MEAN, COVARIANCE = torch.tensor([2.0, -1.0]), torch.tensor([[0.8, 0.5], [0.5, 0.6]])


@dataclass
class Slopes:
    """An objective whose gradient, for draw i, is row i of a table."""

    table: torch.Tensor
    start: torch.Tensor

    def __post_init__(self) -> None:
        self.network = nn.Linear(len(self.start), 1, bias=False)
        with torch.no_grad():
            self.network.weight[0] = self.start

    def loss(self, rows):
        return StepLoss((self.network.weight[0] * self.table[rows]).sum(-1).mean(), {})


@dataclass
class InTurn:
    steps: int
    each: int
    fingerprint: str = "in turn"
    cells_each: int = 7

    def places(self, epoch: int, step: int) -> range:
        return range(self.each)

    def batch(self, epoch: int, step: int, chosen: Sequence[int], key: str):
        return torch.as_tensor(list(chosen)) + step * self.each


@pytest.mark.parametrize("pieces", [1, 3, None])
def test_an_update_is_the_adam_step_of_the_mean_of_its_gradients(tmp_path, pieces):
    stored = np.load(REFERENCE)
    every = 4
    objective = Slopes(torch.from_numpy(stored["grads"]), torch.from_numpy(stored["w0"]))
    training = TrainingOptions(
        epochs=1, batch=every, micro_batch=pieces, learning_rate=1e-2, decay=1.0, clip=None, patience=None
    )
    weights = []

    def watch(moment):
        weights.append(objective.network.weight[0].detach().clone().numpy())

    record = Loop(objective, InTurn(len(stored["grads"]) // every, every), training, tmp_path, 0, None, watch).run()
    np.testing.assert_allclose(weights, stored["ws"][every - 1 :: every], atol=1e-6)
    assert record.cells_seen == 3 * every * 7


def drawn(cells: int, seed: int, *, start: bool = False) -> FlowBatch:
    numbers = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=numbers)

    root = torch.linalg.cholesky(COVARIANCE)
    draws = Draws(
        cells=torch.rand(1, cells, 2, generator=numbers),
        pairs=torch.rand(1, cells, 2, generator=numbers),
        time=torch.rand(1, cells, 1, generator=numbers),
        noise=normal(1, cells, 2),
        start=normal(1, cells, 2) if start else None,
        condition=None,
        dropped=None,
    )
    return FlowBatch(normal(1, cells, 2), MEAN + normal(1, cells, 2) @ root.T, TOLD, draws)


def lost(flow: CellFlowNetwork, batch: FlowBatch, **changes) -> float:
    return float(FlowObjective(flow, replace(PLAIN, **changes)).loss(batch).total.detach())


def resting(config: CellFlowConfig) -> CellFlowNetwork:
    """A network whose velocity is zero everywhere."""
    network = CellFlowNetwork(config)
    with torch.no_grad():
        network.field.output.weight.zero_()
        network.field.output.bias.zero_()
    return network


@pytest.mark.parametrize("from_noise", [False, True])
def test_a_network_at_rest_has_the_mean_square_of_the_velocities_as_its_loss(from_noise):
    config = replace(NETWORK, source_dims=(8,)) if from_noise else NETWORK
    batch = drawn(300, 0, start=from_noise)
    origin = batch.draws.start if from_noise else batch.source
    found = lost(resting(config), batch, network=config)
    assert found == pytest.approx(float((batch.target - origin).square().mean()), rel=1e-6)


def test_transport_shortens_the_way():
    batch = drawn(300, 1)
    kinds = ("independent", "sinkhorn", "exact")
    losses = [lost(resting(NETWORK), batch, coupling=CouplingOptions(kind=kind)) for kind in kinds]
    assert losses[0] > losses[1] > losses[2]


def test_the_penalty_is_half_the_squares_or_the_divergence_from_the_standard_normal():
    numbers = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(4, 5, generator=numbers), torch.randn(4, 5, generator=numbers)
    encoded = Encoded(mean, logvar)
    assert float(condition_penalty(encoded, stochastic=False)) == pytest.approx(0.5 * float(mean.square().mean()))
    wanted = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).mean()
    assert float(condition_penalty(encoded, stochastic=True)) == pytest.approx(float(wanted), rel=1e-5)


def test_the_weight_of_the_penalty_is_a_weight():
    torch.manual_seed(0)
    network, batch = CellFlowNetwork(NETWORK), drawn(20, 2)
    free, half, whole = (lost(network, batch, condition_penalty=weight) for weight in (0.0, 0.5, 1.0))
    assert half - free == pytest.approx(0.5 * (whole - free), rel=1e-3)
    penalty = float(FlowObjective(network, PLAIN).loss(batch).parts["penalty"].detach())
    assert whole - free == pytest.approx(penalty, rel=1e-3)


@dataclass
class Gaussians:
    """Endless cells of two Gaussians."""

    cells: int
    steps: int
    start: bool

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def places(self, epoch: int, step: int) -> range:
        return range(1)

    def batch(self, epoch: int, step: int, chosen: Sequence[int], key: str) -> FlowBatch:
        return drawn(self.cells, 1 + epoch * self.steps + step, start=self.start)


def learnt(tmp_path, options, *, updates, start=False):
    torch.manual_seed(0)
    network = CellFlowNetwork(options.network)
    training = TrainingOptions(epochs=4, batch=1, learning_rate=4e-3, decay=0.4, clip=None, patience=None)
    Loop(FlowObjective(network, options), Gaussians(256, updates // 4, start), training, tmp_path, 0).run()
    network.eval()
    with torch.no_grad():
        cells = torch.randn(8000, 2, generator=torch.Generator().manual_seed(99))
        begin = torch.randn(8000, 2, generator=torch.Generator().manual_seed(98)) if start else cells
        told = network.encode_source(cells) if start else None
        embedding = network.embedded(network.encode(TOLD.vectors, TOLD.present))
        return begin, solve(network.guided(embedding, told), begin)


def moments(cells):
    return cells.mean(dim=0), torch.cov(cells.T)


def test_a_flow_between_gaussians_soon_finds_the_mean(tmp_path):
    _, end = learnt(tmp_path, PLAIN, updates=160)
    assert float((moments(end)[0] - MEAN).abs().max()) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "independent",
        pytest.param("sinkhorn", marks=pytest.mark.proof),
        pytest.param("from noise", marks=pytest.mark.proof),
    ],
)
def test_a_flow_between_gaussians_recovers_mean_and_covariance(tmp_path, kind):
    options = PLAIN if kind == "from noise" else replace(PLAIN, coupling=CouplingOptions(kind=kind))
    if kind == "from noise":
        options = replace(options, network=replace(NETWORK, source_dims=(16,)))
    begin, end = learnt(tmp_path, options, updates=800, start=kind == "from noise")
    mean, covariance = moments(end)
    torch.testing.assert_close(mean, MEAN, atol=0.08, rtol=0)
    torch.testing.assert_close(covariance, COVARIANCE, atol=0.1, rtol=0)
    if kind == "sinkhorn":  # transport moves each cell less far than cells in no order would move
        assert float((end - begin).square().sum(1).mean()) < float(
            (end - begin[torch.randperm(8000)]).square().sum(1).mean()
        )
