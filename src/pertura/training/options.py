"""How a network is trained."""

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingOptions:
    """Hyper-parameters of a training; the defaults are those of scGPT's perturbation fine-tuning.

    `batch` is what one update sees, over all processes; it is worked through in pieces of `micro_batch` cells (None:
    whole), which never changes the update beyond rounding. `patience` counts epochs without improvement of
    `stop_metric` (higher is better) on valid; None trains to the end and keeps the last epoch as the best.
    """

    epochs: int = Field(default=15, ge=1)
    batch: int = Field(default=64, ge=1)
    micro_batch: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    decay: float = Field(default=0.9, gt=0, le=1)
    """What the learning rate is multiplied by after each epoch."""
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float | None = Field(default=1.0, gt=0)
    """Longest gradient; None leaves gradients as they are."""
    average: float | None = Field(default=None, gt=0, le=1)
    """How far averaged weights move towards the weights at each update: they are looked at and kept. None: no average.
    """
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    patience: int | None = Field(default=10, ge=1)
    stop_metric: str = "pearson_delta"
    rollbacks: int = Field(default=3, ge=0)
    """How often a loss that is not finite is answered by going back to the last checkpoint at half the rate."""
    checkpoint_steps: int = Field(default=200, ge=1)
    device: str = "cpu"
    """A device of torch, or `auto`: a GPU where there is one."""
    tracking: Literal["none", "tensorboard"] = "none"
    """Where losses and valid metrics go beside `training.jsonl`; TensorBoard needs the extra `track`."""
