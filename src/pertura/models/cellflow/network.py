"""The CellFlow network (Klein et al. 2025): the velocity at which a cell moves from control to perturbed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pertura.core.errors import UsageError
from pertura.models.cellflow.condition import Condition, ConditionEncoder, Encoded
from pertura.models.cellflow.config import CellFlowConfig
from pertura.models.cellflow.velocity import VelocityField, as_column

Cells = Float[Tensor, "*lead dims"]
Present = Bool[Tensor, "sets elements"]
Velocity = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class CellFlowOutput:
    """The velocity of each cell, and the distribution of the vector of each condition."""

    velocity: Cells
    condition_mean: Float[Tensor, "sets width"]
    condition_logvar: Float[Tensor, "sets width"]


class CellFlowNetwork(nn.Module):
    """Encodes conditions, and gives cells at a time of the flow their velocity under them.

    Cells are `cells x dims`, with one condition for all or one for each; or `sets x cells x dims`, with one condition
    for each set. `encode` works once for any number of cells and times; `embedded` and `velocity` go on from it.
    """

    def __init__(self, config: CellFlowConfig) -> None:
        super().__init__()
        if not config.decoder_dims:
            raise UsageError("decoder_dims is empty: the decoder needs at least one layer")
        self.config = config
        self.condition = ConditionEncoder(config)
        self.field = VelocityField(config)
        self.remarks: tuple[str, ...] = ()

    @property
    def from_noise(self) -> bool:
        """Whether the flow starts from noise and is told the control cell (GENOT)."""
        return self.config.source_dims is not None

    def forward(
        self,
        t: Float[Tensor, "..."],
        x: Cells,
        condition: Condition,
        noise: Float[Tensor, "*rows width"] | None = None,
        source: Float[Tensor, "*lead components"] | None = None,
        present: Present | None = None,
    ) -> CellFlowOutput:
        """Return velocities of cells `x` at times `t` (one, or one for each cell) and the distribution of conditions.

        `noise` moves the vector of a stochastic condition, in standard deviations; without it the mean is taken.
        `source` is the control cell of each cell, for a network that starts from noise. `present` marks the elements
        that are there; else those with a vector that is not zero are.
        """
        encoded = self.encode(condition, present)
        told = None if source is None else self.encode_source(source)
        embedding = self.embedded(encoded, noise)
        return CellFlowOutput(self.velocity(t, x, embedding, told), encoded.mean, encoded.logvar)

    def encode(self, condition: Condition, present: Present | None = None) -> Encoded:
        """Return the distribution of the vector of each set of `condition`."""
        return self.condition(condition, present)

    def embedded(
        self,
        encoded: Encoded,
        noise: Float[Tensor, "*rows width"] | None = None,
        dropped: Bool[Tensor, " sets"] | None = None,
    ) -> Float[Tensor, "*rows width"]:
        """Return the vectors that stand for conditions, with dropout while training.

        Sets that `dropped` marks get the vector of no condition, as training for guidance needs it.
        """
        vectors = encoded.drawn(noise if self.config.stochastic else None)
        if dropped is not None:
            vectors = vectors.masked_fill(dropped.reshape(-1, *(1,) * (vectors.dim() - 1)), 0.0)
        return nn.functional.dropout(vectors, self.config.condition_dropout, self.training)

    def encode_source(self, source: Float[Tensor, "*lead components"]) -> Float[Tensor, "*lead encoded"]:
        """Return the encoded control cells, which serve for every time of a flow."""
        if not self.from_noise:
            raise UsageError("`source` is for a network that starts from noise; this one starts at the control cells")
        return self.field.encode_source(source)

    def velocity(
        self,
        t: Float[Tensor, "..."],
        x: Cells,
        embedding: Float[Tensor, "*rows width"],
        source: Float[Tensor, "*lead encoded"] | None = None,
    ) -> Cells:
        """Return the velocities of cells, from vectors of `embedded` and, if needed, of `encode_source`."""
        if source is None and self.from_noise:
            raise UsageError("this network starts from noise: give the control cells as `source`")
        return self.field(as_column(t, x), x, self._beside(embedding, x), source)

    def guided(
        self,
        embedding: Float[Tensor, "*rows width"],
        source: Float[Tensor, "*lead encoded"] | None = None,
        scale: float = 1.0,
    ) -> Velocity:
        """Return the velocity as a function of time and cells, for a solver.

        With a `scale` other than 1 it leads away from where cells go without a condition (classifier-free guidance):
        v0 + scale (v - v0), for a network that was trained with dropped conditions.
        """
        if scale == 1.0:
            return lambda t, x: self.velocity(t, x, embedding, source)
        without = torch.zeros_like(embedding)

        def velocity(t: Tensor, x: Tensor) -> Tensor:
            free = self.velocity(t, x, without, source)
            return free + scale * (self.velocity(t, x, embedding, source) - free)

        return velocity

    def _beside(self, embedding: Tensor, cells: Tensor) -> Tensor:
        """Return the vectors so that they broadcast against cells."""
        rows = embedding[:, None] if embedding.dim() < cells.dim() else embedding
        if rows.dim() != cells.dim() or any(
            have not in (1, want) for have, want in zip(rows.shape[:-1], cells.shape[:-1], strict=True)
        ):
            raise UsageError(
                f"{len(embedding)} conditions for cells of the shape {tuple(cells.shape)}: one for all cells, or one "
                "for each row"
            )
        return rows
