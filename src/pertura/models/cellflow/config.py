"""What a CellFlow network consists of."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, field_validator
from pydantic.dataclasses import dataclass

from pertura.core.errors import UsageError

STRICT = ConfigDict(extra="forbid", strict=True)
Compat = Literal["0.0.9", "paper"]
COMPATS: tuple[Compat, ...] = ("0.0.9", "paper")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MlpLayer:
    """A perceptron of as many linear maps as `dims` has widths, each with SiLU and dropout."""

    dims: tuple[int, ...]
    dropout: float = 0.0
    kind: Literal["mlp"] = "mlp"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AttentionLayer:
    """Attention among the elements of a set, as often as `sizes` has inner widths."""

    heads: tuple[int, ...] = (8,)
    sizes: tuple[int, ...] = (64,)
    dropout: float = 0.0
    feed_forward: bool = False
    """Whether a residual feed-forward map follows, as in a transformer."""
    norm: bool = False
    kind: Literal["self-attention"] = "self-attention"


Layer = MlpLayer | AttentionLayer
Layers = tuple[Layer, ...]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Covariate:
    """One group of vectors that describes a condition: the genes perturbed, or a context."""

    name: str
    """An empty name stands for every group that no other covariate names, side by side in alphabetical order."""
    width: int
    layers: Layers = ()
    """What its vectors go through by themselves before pooling."""
    pooled: bool = True
    """Whether it has one vector for each element of the set; else its first vector describes the set as a whole."""
    marks_presence: bool = True
    """Whether a vector of zeros in it means that the element is not there."""

    @field_validator("layers", mode="before")
    @classmethod
    def _as_layers(cls, value: Any) -> Any:
        return as_layers(value, "layers")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PoolingConfig:
    """How the elements of a set become one vector: `mean`, or attention of a learnt `token` or `seed`."""

    kind: Literal["mean", "token", "seed"] = "token"
    heads: int = 8
    size: int = 64
    """Inner width over all heads; what a seed gathers is as wide."""
    seed: int = 64
    dropout: float = 0.0
    feed_forward: bool = False
    norm: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CellFlowConfig:
    """The shape of a network; the defaults are those of the published package.

    A condition is a set of `elements` places at most. Its covariates go through their own layers, side by side through
    `layers_before_pool`, are pooled, and go through `layers_after_pool` and a linear map to `condition_width`.
    """

    dims: int
    """Components of a cell."""
    covariates: tuple[Covariate, ...]
    elements: int = 2
    condition_width: int = 32
    stochastic: bool = False
    """Whether a condition is a normal distribution of vectors instead of one vector."""
    pooling: PoolingConfig = PoolingConfig()
    layers_before_pool: Layers = ()
    layers_after_pool: Layers = ()
    condition_dropout: float = 0.0
    """Of the vector of a condition; one mask for all cells that share it."""
    time_features: int = 1024
    time_period: float | None = 10000.0
    """None for the cyclical code of the paper."""
    time_dims: tuple[int, ...] = (1024, 1024, 1024)
    time_dropout: float = 0.0
    cell_dims: tuple[int, ...] = (1024, 1024, 1024)
    cell_dropout: float = 0.0
    source_dims: tuple[int, ...] | None = None
    """Widths of the encoder of the control cell, for a network that starts from noise (GENOT); else None."""
    source_width: int | None = None
    """Components of that control cell, where they are others than `dims`."""
    source_dropout: float = 0.0
    conditioning: Literal["concatenation", "film", "residual"] = "concatenation"
    residual_dims: tuple[int, ...] = (256, 256)
    residual_projection_dims: tuple[int, ...] = (256, 256)
    residual_dropout: float = 0.0
    decoder_dims: tuple[int, ...] = (1024, 1024, 1024)
    decoder_dropout: float = 0.0
    norms: bool = False
    """A norm on each of the encodings of time, cell, control cell and condition."""
    linear_projection: bool = False
    """Whether the last maps of the cell's encoder and of the decoder have no activation."""
    absent: float = 0.0
    """The number that fills the vectors of an empty place."""
    compat: Compat | None = None
    """Repeats the masks of a published version: see `docs/models/cellflow.md`."""

    @field_validator("layers_before_pool", "layers_after_pool", mode="before")
    @classmethod
    def _as_layers(cls, value: Any) -> Any:
        return as_layers(value, "layers_before_pool and layers_after_pool")

    @property
    def pooled(self) -> tuple[Covariate, ...]:
        """The covariates that have a vector for each element, in alphabetical order."""
        return tuple(sorted((one for one in self.covariates if one.pooled), key=lambda one: one.name))

    @property
    def unpooled(self) -> tuple[Covariate, ...]:
        """The covariates that describe the set as a whole, in alphabetical order."""
        return tuple(sorted((one for one in self.covariates if not one.pooled), key=lambda one: one.name))


def as_layers(value: Any, place: str) -> Any:
    """Return a list of layers as a tuple; a single layer raises `UsageError`, which says what to write instead."""
    if isinstance(value, Mapping | MlpLayer | AttentionLayer):
        raise UsageError(
            f"{place}: a single layer stands where a list of layers belongs; write [layer]. CellFlow 0.0.9 drops such "
            "a layer without a word, and its published Norman models were trained without it: "
            'compat="0.0.9" repeats that'
        )
    return tuple(value) if isinstance(value, list) else value
