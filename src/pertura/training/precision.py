"""Number formats of the forward pass."""

from contextlib import AbstractContextManager, nullcontext

import torch

from pertura.core.errors import UsageError
from pertura.training.options import TrainingOptions

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(options: TrainingOptions) -> AbstractContextManager[object]:
    """Return the context in which losses are computed."""
    if options.precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(options.device).type, TYPES[options.precision])


def gradient_scaler(options: TrainingOptions) -> torch.amp.GradScaler:
    """Return the scaler that keeps small gradients of fp16 from vanishing; elsewhere it does nothing."""
    kind = torch.device(options.device).type
    if options.precision == "fp16" and kind == "cpu":
        raise UsageError("fp16 is for a GPU; on the CPU use bf16 or fp32")
    return torch.amp.GradScaler(kind, enabled=options.precision == "fp16")
