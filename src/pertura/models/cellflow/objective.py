"""What CellFlow is trained on: the velocity between coupled cells (Klein et al. 2025; Lipman et al. 2023)."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pertura.flow.coupling import paired
from pertura.flow.path import Bridge, ConstantNoise, Path
from pertura.models.cellflow.condition import Encoded
from pertura.models.cellflow.feed import FlowBatch
from pertura.models.cellflow.network import CellFlowNetwork
from pertura.models.cellflow.options import CellFlowOptions
from pertura.training.objective import StepLoss

PATHS: Mapping[str, Callable[[float], Path]] = {"constant-noise": ConstantNoise, "bridge": Bridge}


class FlowObjective:
    """Mean squared error of the velocity on the paths between coupled cells, and a penalty on condition vectors.

    A network that is told the control cell starts from noise (GENOT): its path leads from noise to the perturbed cell
    that was coupled with that control cell.
    """

    network: nn.Module

    def __init__(self, network: CellFlowNetwork, options: CellFlowOptions) -> None:
        self.network, self.options = network, options
        self.path = PATHS[options.path](options.deviation)

    def loss(self, batch: FlowBatch) -> StepLoss:
        """Return the loss of a batch, a mean over its conditions, cells and components."""
        network, draws = self.network, batch.draws
        assert isinstance(network, CellFlowNetwork)
        rows, columns = paired(batch.source, batch.target, draws.pairs, self.options.coupling)
        source, target = _taken(batch.source, rows), _taken(batch.target, columns)
        point = self.path.at(draws.time, source if draws.start is None else draws.start, target, draws.noise)
        encoded = network.encode(batch.told.vectors, batch.told.present)
        embedding = network.embedded(encoded, draws.condition, draws.dropped)
        beside = network.encode_source(source) if network.from_noise else None
        answer = network.velocity(draws.time, point.x, embedding, beside)
        flow = (answer - point.velocity).square().mean()
        penalty = condition_penalty(encoded, stochastic=network.config.stochastic)
        return StepLoss(flow + self.options.condition_penalty * penalty, {"flow": flow, "penalty": penalty})


def condition_penalty(encoded: Encoded, *, stochastic: bool) -> Float[Tensor, ""]:
    """Return half the mean square of condition vectors; where stochastic, their mean divergence from N(0, 1)."""
    half = 0.5 * encoded.mean.square().mean()
    if not stochastic:
        return half
    return half - 0.5 * (1 + encoded.logvar - encoded.logvar.exp()).mean()


def _taken(cells: Float[Tensor, "sets cells dims"], places: Tensor) -> Float[Tensor, "sets pairs dims"]:
    return torch.take_along_dim(cells, places[..., None], dim=1)
