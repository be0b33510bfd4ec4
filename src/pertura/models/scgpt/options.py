"""What a scGPT perturbation model is, beyond its network."""

from dataclasses import field, replace
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
    """A perturbation model: where it begins, how its priors enter, how it is trained and asked.

    `pretrained` is a published folder whose gene, value and transformer weights are taken over; without one the network
    is random and of `size`. `placement`: `token` adds the projected frozen prior to the gene tokens, `scgenept`
    projects, normalises and adds it. `reference_windows` samples perturbed genes away like all others, as published.
    """

    pretrained: str | None = None
    from_random: bool = False
    """Said to train a network of full size without a pretrained folder."""
    pretrained_attention: bool = True
    """Whether the transformer is taken over too, not only gene and value encoders."""
    size: NetworkSize = field(default_factory=NetworkSize)
    inputs: Literal["all", "counts", "language"] = "all"
    """`counts`: values and flags without gene vectors and priors; `language`: priors and flags alone."""
    placement: Literal["token", "scgenept"] = "token"
    final_norm: bool = False
    """A norm on the sum of all embeddings, as every scGenePT network has, with a prior or without."""
    trainable_prior: bool = False
    prior_rows: Literal["rms", "stored"] = "rms"
    """How long the rows of a prior are: `rms` brings each to entries of root mean square one."""
    flag_pad: int | None = 2
    decoder: Literal["plain", "affine"] = "affine"
    begins_at_no_change: bool = False
    """Whether an affine decoder begins by answering with the control cell, in place of random numbers."""
    max_genes: int = Field(default=WHOLE_HUMAN_GENES, ge=1)
    """Genes of a training window; more are sampled down, perturbed genes always kept."""
    reference_windows: bool = False
    most_cells: int | None = Field(default=None, ge=1)
    """Cells of a condition in one epoch; None takes all."""
    hidden_share: float = Field(default=0.0, ge=0, le=1)
    """Share of pairs whose perturbed genes beside the panel are shown as one of which nothing is known, so that such a
    gene is answered with what perturbed genes have in common."""
    valid_cells: int = Field(default=64, ge=1)
    """Controls that a look at valid starts from, in each condition."""
    predict_batch: int = Field(default=64, ge=1)
    training: TrainingOptions = field(default_factory=TrainingOptions)


def whole_human(pretrained: str | None = None) -> ScGPTOptions:
    """Return the published fine-tuning of the whole-human model: 15 epochs of Adam at 1e-4, selected on valid."""
    training = TrainingOptions(precision="bf16", stop_metric="pearson_perturbation_mean", device="auto")
    return ScGPTOptions(pretrained=pretrained, training=training)


def debug() -> ScGPTOptions:
    """Return a network that trains from random weights on a small screen in about a minute on a CPU.

    It begins at no change, which a decoder of random weights needs more steps to learn than it has.
    """
    training = TrainingOptions(
        epochs=16, batch=32, learning_rate=2e-3, decay=0.9, patience=None, stop_metric="pearson_perturbation_mean"
    )
    size = NetworkSize(width=64, heads=4, hidden=128, layers=2, dropout=0.0)
    return ScGPTOptions(
        size=size,
        from_random=True,
        begins_at_no_change=True,
        max_genes=128,
        most_cells=32,
        hidden_share=0.15,
        valid_cells=16,
        training=training,
    )


def as_scgenept(options: ScGPTOptions) -> ScGPTOptions:
    """Return the options in scGenePT's architecture: a trainable table beside the tokens, a norm, a plain decoder.

    A network that begins at no change keeps the decoder that can.
    """
    decoder: Literal["plain", "affine"] = options.decoder if options.begins_at_no_change else "plain"
    return replace(options, placement="scgenept", final_norm=True, trainable_prior=True, decoder=decoder)
