"""A small regression to train: a network with dropout, and data that can be asked for by number."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pertura.core.seeds import generator
from pertura.training.objective import StepLoss

CELLS, GENES = 40, 6


class LineFit:
    def __init__(self, dropout: float = 0.3, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(GENES, 8), nn.Dropout(dropout), nn.Linear(8, 1))

    def loss(self, batch):
        values, targets = batch
        squared = (self.network(values)[:, 0] - targets).square().mean()
        return StepLoss(squared, {})


@dataclass
class LineFeed:
    batch_size: int = 8
    data_seed: int = 1
    broken: frozenset[tuple[int, int, str]] = frozenset()

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.data_seed)
        self.values = torch.from_numpy(rng.normal(size=(CELLS, GENES)).astype(np.float32))
        self.targets = self.values @ torch.arange(1.0, GENES + 1)

    @property
    def steps(self) -> int:
        return CELLS // self.batch_size

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.values.numpy().tobytes()).hexdigest()

    def places(self, epoch: int, step: int) -> Sequence[int]:
        order = generator(0, "order", epoch).permutation(CELLS)
        return order[step * self.batch_size : (step + 1) * self.batch_size].tolist()

    def batch(self, epoch: int, step: int, chosen: Sequence[int], key: str):
        rows = torch.as_tensor(list(chosen))
        values = self.values[rows]
        if (epoch, step, key) in self.broken:
            values = values * float("nan")
        return values, self.targets[rows]
