"""What a scGPT perturbation model is, beyond its network."""

from dataclasses import field
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pertura.training.options import TrainingOptions

STRICT = ConfigDict(extra="forbid", strict=True)
WHOLE_HUMAN_GENES = 1536


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkSize:
    """The size of a network that begins from random weights; the defaults are the whole-human model's."""

    width: int = 512
    heads: int = 8
    hidden: int = 512
    layers: int = 12
    dropout: float = 0.2


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScGPTOptions:
    """A perturbation model: where it begins, how its prior enters, how it is trained and asked.

    `pretrained` is a published folder whose gene, value and transformer weights are taken over; without one the network
    is random and of `size`. `placement`: `token` adds the projected frozen prior to the gene tokens, `scgenept`
    projects, normalises and adds it, with a norm on the sum. `reference_windows` samples perturbed genes away like all
    others, as published.
    """

    pretrained: str | None = None
    size: NetworkSize = field(default_factory=NetworkSize)
    placement: Literal["token", "scgenept"] = "token"
    trainable_prior: bool = False
    flag_pad: int | None = 2
    decoder: Literal["plain", "affine"] = "affine"
    max_genes: int = Field(default=WHOLE_HUMAN_GENES, ge=1)
    """Genes of a training window; more are sampled down, perturbed genes always kept."""
    reference_windows: bool = False
    most_cells: int | None = Field(default=None, ge=1)
    """Cells of a condition in one epoch; None takes all."""
    valid_cells: int = Field(default=64, ge=1)
    """Controls that a look at valid starts from, in each condition."""
    predict_batch: int = Field(default=64, ge=1)
    training: TrainingOptions = field(default_factory=TrainingOptions)


def whole_human(pretrained: str) -> ScGPTOptions:
    """Return the published fine-tuning of the whole-human model: 15 epochs of Adam at 1e-4, selected on valid."""
    training = TrainingOptions(precision="bf16", stop_metric="pearson_perturbation_mean")
    return ScGPTOptions(pretrained=pretrained, training=training)


def debug() -> ScGPTOptions:
    """Return a network that trains from random weights on a small screen in about a minute on a CPU."""
    training = TrainingOptions(
        epochs=12, batch=32, learning_rate=1e-3, decay=0.9, patience=None, stop_metric="pearson_perturbation_mean"
    )
    size = NetworkSize(width=64, heads=4, hidden=128, layers=2, dropout=0.0)
    return ScGPTOptions(size=size, max_genes=128, most_cells=32, valid_cells=32, training=training)
