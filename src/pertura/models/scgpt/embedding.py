"""How genes, values and what is known of genes become vectors."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pertura.models.scgpt.config import PriorConfig, ScGPTConfig

LARGEST_VALUE = 512.0
BATCH_NORM_EPS = 6.1e-5


class GeneTokens(nn.Module):
    """A learnt vector for each token, normalised."""

    def __init__(self, tokens: int, width: int, pad_id: int | None) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, width, padding_idx=pad_id)
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead width"]:
        """Return the vectors."""
        return self.norm(self.table(ids))


class ContinuousValues(nn.Module):
    """A vector for a number: two linear maps with ReLU between, then a norm; numbers above 512 count as 512."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(1, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Float[Tensor, "*lead"]) -> Float[Tensor, "*lead width"]:
        """Return the vectors."""
        widened = nn.functional.relu(self.linear1(values[..., None].clamp(max=LARGEST_VALUE)))
        return self.dropout(self.norm(self.linear2(widened)))


class CategoryValues(nn.Module):
    """A learnt vector for each bin."""

    def __init__(self, bins: int, width: int, pad: int | None) -> None:
        super().__init__()
        self.tokens = GeneTokens(bins, width, pad)

    def forward(self, values: Float[Tensor, "*lead"]) -> Float[Tensor, "*lead width"]:
        """Return the vectors of bins that are given as whole numbers."""
        return self.tokens(values.long())


def value_encoder(config: ScGPTConfig) -> nn.Module | None:
    """Return the encoder of a value style; None where values only scale the gene vectors."""
    if config.value_style == "continuous":
        return ContinuousValues(config.width, config.dropout)
    if config.value_style == "category":
        return CategoryValues(config.bins, config.width, config.category_pad)
    return None


class GenePriorTable(nn.Module):
    """What is known of each gene, projected to the width of the network; zero for a gene without a row.

    The table of a frozen prior is no parameter and is not stored with the weights: it is supplied when a checkpoint is
    loaded. `has_row` marks the genes that the prior knows.
    """

    table: Tensor
    has_row: Tensor

    def __init__(self, config: PriorConfig, vocab_size: int, width: int) -> None:
        super().__init__()
        self.config = config
        empty = torch.zeros(vocab_size, config.width)
        if config.trainable:
            self.table = nn.Parameter(empty)
        else:
            self.register_buffer("table", empty, persistent=False)
        self.register_buffer("has_row", torch.zeros(vocab_size, dtype=torch.bool), persistent=False)
        self.projection = nn.Linear(config.width, width, bias=config.bias)
        self.norm = nn.LayerNorm(width) if config.placement == "scgenept" else None

    def supply(
        self, table: Float[Tensor, "vocab dim"], has_row: Bool[Tensor, " vocab"], dtype: torch.dtype | None = None
    ) -> None:
        """Put in the table and which of its rows are known; a frozen one may be kept as float16."""
        with torch.no_grad():
            if isinstance(self.table, nn.Parameter):
                self.table.copy_(table)
            else:
                self.table = table.to(device=self.table.device, dtype=dtype or torch.float32)
            self.has_row.copy_(has_row)

    def keep(self, table: Float[Tensor, "vocab dim"]) -> None:
        """Take over a stored trainable table in its own number type; all its rows take part, as they were published."""
        self.table = nn.Parameter(table.clone())
        self.has_row.fill_(True)

    def forward(self, gene_ids: Int[Tensor, "rows genes"]) -> Float[Tensor, "rows genes width"]:
        """Return the projected rows."""
        rows = nn.functional.embedding(gene_ids, self.table).to(self.projection.weight.dtype)
        projected = self.projection(rows)
        if self.norm is not None:
            projected = self.norm(projected)
        return projected * self.has_row[gene_ids][..., None]


class ContextNorm(nn.Module):
    """Batch norm over cells and genes, of all cells together or of each context by itself (DSBN, without affine)."""

    def __init__(self, width: int, contexts: int | None) -> None:
        super().__init__()
        count = 1 if contexts is None else contexts
        affine = contexts is None
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, eps=BATCH_NORM_EPS, affine=affine) for _ in range(count))

    def forward(
        self, states: Float[Tensor, "cells genes width"], contexts: Int[Tensor, " cells"] | None
    ) -> Float[Tensor, "cells genes width"]:
        """Return the normalised states; each context's cells meet its own statistics, whatever the batch mixes."""
        across = states.transpose(1, 2)
        if contexts is None:
            return self.norms[0](across).transpose(1, 2)
        normed = torch.empty_like(across)
        for code in contexts.unique().tolist():
            mine = contexts == code
            normed[mine] = self.norms[code](across[mine])
        return normed.transpose(1, 2)
