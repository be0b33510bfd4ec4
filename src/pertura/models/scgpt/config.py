"""What a scGPT network consists of."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", strict=True)
Pooling = Literal["cls", "avg-pool", "avg-pool-official", "w-pool"]
ValueStyle = Literal["continuous", "category", "scaling"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PriorConfig:
    """One gene prior inside the network.

    `token`: a frozen table, projected and added to the gene tokens. `scgenept`: a projected and normalised table is
    added, with a norm on the whole sum. A gene without a row gets zero.
    """

    name: str
    width: int
    placement: Literal["token", "scgenept"] = "token"
    trainable: bool = False
    bias: bool = True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScGPTConfig:
    """The shape of a network; the defaults are those of the whole-human model as a perturbation generator."""

    vocab_size: int = 60697
    pad_id: int = 60694
    width: int = 512
    heads: int = 8
    hidden: int = 512
    layers: int = 12
    dropout: float = 0.2
    value_style: ValueStyle = "continuous"
    bins: int = 51
    """Values that a category style knows; binned values are 0 to bins - 1."""
    category_pad: int | None = None
    flags: bool = True
    """Whether perturbed genes are marked (a generator)."""
    flag_pad: int | None = 2
    """The flag whose vector is never trained: 2 is no flag that occurs; 0 (official since 2024-06) is "unperturbed"."""
    decoder: Literal["plain", "affine"] = "affine"
    decoder_activation: str | None = None
    """A class name of `torch.nn`, applied to coefficient and bias of the affine decoder."""
    adaptive_bias: bool = False
    explicit_zero: bool = False
    query_decoder: bool = False
    """Whether expression is also predicted from the cell embedding and the gene (MVC)."""
    context_labels: int = 0
    """Number of contexts or batches whose vector is shown to the decoders; 0 for none."""
    input_norm: Literal["none", "batch", "context"] = "none"
    """`context` is domain-specific batch norm: statistics of each context by itself."""
    norm_contexts: int = 0
    classes: int = 0
    class_layers: int = 3
    pooling: Pooling = "cls"
    priors: tuple[PriorConfig, ...] = ()
    tokens: bool = True
    """Whether the learnt gene vectors enter the sum; without them a gene is known by its priors alone."""
    counts: bool = True
    """Whether measured values enter the sum."""
    final_norm: bool = False
    """A norm on the sum of all embeddings, as scGenePT has it."""
