"""How strategies that train a network are trained; every number is the user's to set."""

from dataclasses import dataclass, field
from typing import Literal

from pertura.annotation.linear import Weighting
from pertura.annotation.tokens import Reading
from pertura.core.errors import UsageError
from pertura.training.options import TrainingOptions

Precision = Literal["fp32", "bf16", "fp16"]
TARGETS: dict[str, str] = {
    "linear": r"encoder\.layers\.\d+\.(linear1|linear2)",
    "attention": r"encoder\.layers\.\d+\.attention\.(query|value|output)",
}
"""Which linear maps of the network get adapters; `linear` alone is what was published."""


@dataclass(frozen=True)
class Schedule:
    """Epochs and learning rate of one strategy."""

    epochs: int
    learning_rate: float

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.learning_rate <= 0:
            raise UsageError("epochs are 1 or more, a learning rate is above 0")


@dataclass(frozen=True)
class Adapters:
    """Low-rank adapters (Hu et al., ICLR 2022) with the published rank, scale and dropout."""

    rank: int = 4
    alpha: float = 8.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ("linear",)

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0 <= self.dropout < 1 or not self.targets:
            raise UsageError("adapters have a rank of 1 or more, a dropout below 1, and at least one target")
        unknown = [one for one in self.targets if one not in TARGETS]
        if unknown:
            raise UsageError(f"--lora-target {unknown[0]!r}: there are {', '.join(TARGETS)}")

    @property
    def pattern(self) -> str:
        """A regular expression for the names of the maps that get one."""
        return "|".join(f"(?:{TARGETS[one]})" for one in self.targets)


@dataclass(frozen=True)
class TuningOptions:
    """Learning rates, epochs, batches and weights; selection is on valid cells, by their likelihood."""

    head: Schedule = Schedule(15, 1e-3)
    lora: Schedule = Schedule(15, 1e-3)
    full: Schedule = Schedule(10, 1e-4)
    adapters: Adapters = field(default_factory=Adapters)
    batch: int = 32
    head_dropout: float = 0.1
    patience: int = 3
    weighting: Weighting = "none"
    sampling: Literal["all", "balanced"] = "all"
    """`balanced` draws as many cells of each class as the classes have on average, some twice, others not."""
    precision: Precision = "fp32"
    device: str = "cpu"
    reading: Reading = field(default_factory=Reading)

    def training(self, schedule: Schedule, *, selects: bool) -> TrainingOptions:
        """Return the options of the training loop; without valid cells the last epoch is kept."""
        return TrainingOptions(
            epochs=schedule.epochs,
            batch=self.batch,
            learning_rate=schedule.learning_rate,
            patience=self.patience if selects else None,
            stop_metric="log_likelihood",
            precision=self.precision,
            device=self.device,
            checkpoint_steps=1_000_000,
        )
