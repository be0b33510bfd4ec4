"""What scGPT is trained on: the perturbed cell's expression from a control cell and flags."""

from jaxtyping import Float
from torch import Tensor, nn

from pertura.models.scgpt.feed import PairBatch
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.training.objective import StepLoss


class ResponseObjective:
    """Mean squared error over the genes of the window (scGPT, perturbation tutorial)."""

    network: nn.Module

    def __init__(self, network: ScGPTNetwork) -> None:
        self.network = network

    def loss(self, batch: PairBatch) -> StepLoss:
        """Return the loss of a batch; genes beside the panel take no part in it."""
        error = answered(self.network, batch) - batch.targets
        return StepLoss(error.square().mean(), {})


def answered(network: nn.Module, batch: PairBatch) -> Float[Tensor, "cells window"]:
    """Return the predicted expression of the window."""
    output = network(batch.gene_ids, batch.values, batch.flags, batch.padding, None, batch.extra_ids)
    return output.expression[:, : batch.targets.shape[1]]
