"""Dropout whose masks are cheap on a CPU, in time and in memory."""

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 2**16


def dropout(states: Tensor, probability: float, *, training: bool) -> Tensor:
    """Return states of which a share is zero, the others scaled so that the mean stays.

    On a CPU one random number of 64 bits decides over four places, which takes a fifth of the time of a number each,
    and a byte a place is kept for the way back; the share is then a multiple of 1 / 65,536.
    """
    if not training or not probability:
        return states
    level = round(probability * LEVELS)
    if states.device.type != "cpu" or level == LEVELS:
        return functional.dropout(states, probability, training=True)
    words = torch.empty((states.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    dropped = words.view(torch.int16)[: states.numel()].view(states.shape) < level - LEVELS // 2
    return states.masked_fill(dropped, 0.0).mul_(LEVELS / (LEVELS - level))
