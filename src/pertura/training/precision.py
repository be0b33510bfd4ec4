"""Devices, and number formats of the forward pass."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch

from pertura.core.errors import MissingError, UsageError
from pertura.training.options import TrainingOptions

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def placed(options: TrainingOptions) -> TrainingOptions:
    """Return the options with the device to train on; one that is not here, or does not know the format, raises."""
    there = torch.cuda.is_available()
    device = ("cuda" if there else "cpu") if options.device == "auto" else options.device
    if device.startswith("cuda") and not there:
        raise MissingError(f"no GPU is here for device={device!r}; train on one, or set training.device=cpu")
    if options.precision == "fp16" and device == "cpu":
        raise UsageError("fp16 is for a GPU; on the CPU set training.precision to bf16 or fp32")
    return replace(options, device=device)


def placed_for_asking(options: TrainingOptions) -> TrainingOptions:
    """Return the options to ask a trained network with: on the CPU in fp32 where its own device is not here."""
    if torch.cuda.is_available() or options.device == "cpu":
        return placed(options)
    return replace(options, device="cpu", precision="fp32")


def autocast(options: TrainingOptions) -> AbstractContextManager[object]:
    """Return the context in which losses are computed."""
    if options.precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(options.device).type, TYPES[options.precision])


def gradient_scaler(options: TrainingOptions) -> torch.amp.GradScaler:
    """Return the scaler that keeps small gradients of fp16 from vanishing; elsewhere it does nothing."""
    kind = torch.device(options.device).type
    return torch.amp.GradScaler(kind, enabled=options.precision == "fp16")
