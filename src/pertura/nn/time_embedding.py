"""Codes of a time between 0 and 1: cosines and sines of many frequencies."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Cosines, then sines, of a time at many angular frequencies.

    With a `period` P there are `features` values in all, at P ** (1 - 2 i / features) radians for i below half of
    `features`: the code of diffusion transformers, with the time stretched to 0..P. Without one there are
    2 * `features` values at 2 pi i radians: a code that returns at 1 to where it was at 0.
    """

    rates: Tensor

    def __init__(self, features: int, period: float | None) -> None:
        super().__init__()
        self.period = period
        self.width = 2 * features if period is None else 2 * (features // 2)
        self.register_buffer("rates", torch.from_numpy(_rates(features, period)), persistent=False)

    def forward(self, time: Float[Tensor, "*lead 1"]) -> Float[Tensor, "*lead width"]:
        """Return the code of each time."""
        # angles go to 10,000 radians, where half precision would know no more than noise
        with torch.autocast(time.device.type, enabled=False):
            stretched = time.float() if self.period is None else time.float() * self.period
            angles = stretched * self.rates
            return torch.cat([angles.cos(), angles.sin()], dim=-1)


def _rates(features: int, period: float | None) -> Float[np.ndarray, " half"]:
    """Return the frequencies as published networks have them, rounded where those round."""
    if period is None:
        return (2 * np.arange(features, dtype=np.float32) * np.float32(math.pi)).astype(np.float32)
    half = features // 2
    powers = np.float32(-math.log(period)) * np.arange(half, dtype=np.float32) / np.float32(half)
    return np.exp(powers.astype(np.float64)).astype(np.float32)
