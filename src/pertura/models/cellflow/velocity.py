"""The velocity of a cell in a flow, from encodings of the time, the cell and its condition."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pertura.models.cellflow.config import CellFlowConfig
from pertura.nn.mlp import MLP, JoinedLinear, linear
from pertura.nn.time_embedding import TimeEmbedding

Rows = Float[Tensor, "..."]


class TimeEncoder(nn.Module):
    """Time -> code of cosines and sines -> perceptron without a last activation."""

    def __init__(self, config: CellFlowConfig) -> None:
        super().__init__()
        self.code = TimeEmbedding(config.time_features, config.time_period)
        self.mlp = MLP(self.code.width, config.time_dims, config.time_dropout, activate_last=False)
        self.width = self.mlp.width

    def forward(self, time: Float[Tensor, "*lead 1"]) -> Float[Tensor, "*lead width"]:
        """Return the encoded times."""
        return self.mlp(self.code(time))


class Concatenation(nn.Module):
    """Signals and cell side by side into the decoder's first map."""

    def __init__(self, cell: int, signals: tuple[int, ...], config: CellFlowConfig) -> None:
        super().__init__()
        active = not config.linear_projection
        self.decoder = MLP((cell, *signals), config.decoder_dims, config.decoder_dropout, activate_last=active)

    def forward(self, cell: Rows, signals: tuple[Rows, ...]) -> Rows:
        """Return the decoder's states."""
        return self.decoder(cell, *signals)


class Film(nn.Module):
    """The signals scale and shift the encoded cell, which the decoder then maps."""

    def __init__(self, cell: int, signals: tuple[int, ...], config: CellFlowConfig) -> None:
        super().__init__()
        active = not config.linear_projection
        self.generator = JoinedLinear(signals, 2 * cell)
        self.decoder = MLP(cell, config.decoder_dims, config.decoder_dropout, activate_last=active)

    def forward(self, cell: Rows, signals: tuple[Rows, ...]) -> Rows:
        """Return the decoder's states."""
        scale, shift = self.generator(*signals).chunk(2, dim=-1)
        return self.decoder(scale * cell + shift)


class Residual(nn.Module):
    """A perceptron of cell and signals is added to the encoded cell, which the decoder then maps."""

    def __init__(self, cell: int, signals: tuple[int, ...], config: CellFlowConfig) -> None:
        super().__init__()
        dims, projected, dropout = config.residual_dims, config.residual_projection_dims, config.residual_dropout
        active = not config.linear_projection
        self.before = MLP(cell, dims, dropout)
        self.projection = MLP(signals, projected, dropout)
        self.after = MLP(self.before.width, (*dims, cell), dropout)
        self.decoder = MLP(cell, config.decoder_dims, config.decoder_dropout, activate_last=active)

    def forward(self, cell: Rows, signals: tuple[Rows, ...]) -> Rows:
        """Return the decoder's states."""
        return self.decoder(cell + self.after(self.before(cell) + self.projection(*signals)))


CONDITIONINGS: Mapping[str, Callable[[int, tuple[int, ...], CellFlowConfig], nn.Module]] = {
    "concatenation": Concatenation,
    "film": Film,
    "residual": Residual,
}


class VelocityField(nn.Module):
    """Encoders of time, cell and, for a network that starts from noise, control cell; and what joins and decodes them.

    Time and condition may have one row for all cells: whatever depends on them alone is then computed once.
    """

    def __init__(self, config: CellFlowConfig) -> None:
        super().__init__()
        active = not config.linear_projection
        self.time = TimeEncoder(config)
        self.cell = MLP(config.dims, config.cell_dims, config.cell_dropout, activate_last=active)
        self.source = _source_encoder(config)
        beside = (self.source.width,) if self.source is not None else ()
        signals = (self.time.width, config.condition_width, *beside)
        widths = (self.cell.width, *signals)
        self.norms = nn.ModuleList(nn.LayerNorm(one, eps=1e-6) for one in widths if config.norms)
        self.joint = CONDITIONINGS[config.conditioning](self.cell.width, signals, config)
        self.output = linear(config.decoder_dims[-1], config.dims)

    def forward(self, time: Rows, cells: Rows, condition: Rows, source: Rows | None) -> Rows:
        """Return velocities; `source` is what `encode_source` gave."""
        encoded = [self.cell(cells), self.time(time), condition]
        if self.norms:
            encoded = [norm(one) for norm, one in zip(self.norms, encoded)]
        signals = tuple(encoded[1:]) if source is None else (*encoded[1:], source)
        return self.output(self.joint(encoded[0], signals))

    def encode_source(self, source: Rows) -> Rows:
        """Return the encoded control cells, which stay the same all along a flow."""
        assert self.source is not None
        encoded = self.source(source)
        return self.norms[3](encoded) if self.norms else encoded


def _source_encoder(config: CellFlowConfig) -> MLP | None:
    if config.source_dims is None:
        return None
    return MLP(config.source_width or config.dims, config.source_dims, config.source_dropout)


def as_column(time: Tensor, cells: Tensor) -> Float[Tensor, "*lead 1"]:
    """Return times (one for all, one for each cell, or already a column) so that they stand beside `cells`."""
    time = torch.as_tensor(time, dtype=torch.float32, device=cells.device)
    if time.dim() == 0:
        return time.reshape((1,) * cells.dim())
    return time if time.dim() == cells.dim() and time.shape[-1] == 1 else time[..., None]
