"""The scGPT network (Cui et al., Nature Methods 2024), every option of the published checkpoints in one class."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.decoders import AffineDecoder, PlainDecoder, QueryDecoder
from pertura.models.scgpt.embedding import ContextNorm, GenePriorTable, GeneTokens, value_encoder
from pertura.nn.heads import ClassHead
from pertura.nn.transformer import Encoder, positions_that_count

GeneIds = Int[Tensor, "rows genes"]
PerGene = Float[Tensor, "cells genes"]
Padding = Bool[Tensor, "cells genes"]
Contexts = Int[Tensor, " cells"]


@dataclass(frozen=True, eq=False)
class ScGPTOutput:
    """What a network answers; a part that its configuration lacks is None.

    `expression` is predicted from each gene's state, `query_expression` from the cell embedding and the gene. `states`
    are those after the last layer, zero at padding.
    """

    states: Float[Tensor, "cells genes width"]
    cell_embedding: Float[Tensor, "cells width"]
    expression: PerGene | None = None
    zero_probability: PerGene | None = None
    class_logits: Float[Tensor, "cells classes"] | None = None
    query_expression: PerGene | None = None
    query_zero_probability: PerGene | None = None


class ScGPTNetwork(nn.Module):
    """Gene tokens, values and perturbation flags are added and encoded; heads read expression, cell and class."""

    def __init__(self, config: ScGPTConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.genes = GeneTokens(config.vocab_size, width, config.pad_id)
        self.values = value_encoder(config)
        self.flags = nn.Embedding(3, width, padding_idx=config.flag_pad) if config.flags else None
        self.priors = nn.ModuleList(GenePriorTable(one, config.vocab_size, width) for one in config.priors)
        self.final_norm = nn.LayerNorm(width) if config.final_norm else None
        self.input_norm = _input_norm(config)
        self.encoder = Encoder(config.layers, width, config.heads, config.hidden, config.dropout)
        labels = config.context_labels
        self.context_labels = GeneTokens(labels, width, None) if labels else None
        inputs = 2 * width if labels else width
        self.decoder = (AffineDecoder if config.decoder == "affine" else PlainDecoder)(config, inputs)
        self.query_decoder = QueryDecoder(config, inputs) if config.query_decoder else None
        self.class_head = ClassHead(width, config.classes, config.class_layers) if config.classes else None

    @property
    def prior_tables(self) -> tuple[GenePriorTable, ...]:
        """The gene priors, in the order of the configuration."""
        return tuple(one for one in self.priors if isinstance(one, GenePriorTable))

    def forward(
        self,
        gene_ids: Int[Tensor, "rows shared"],
        values: PerGene,
        flags: Int[Tensor, "cells genes"] | None = None,
        padding: Padding | None = None,
        contexts: Contexts | None = None,
        extra_ids: Int[Tensor, "cells extra"] | None = None,
    ) -> ScGPTOutput:
        """Return states, expression and whatever else the configuration has.

        `gene_ids` has one row for each cell, or a single row that all cells share (then gene vectors are computed
        once). `flags` is 1 where a gene is perturbed, 0 elsewhere. `padding` marks positions that hold no gene.
        `contexts` are codes, needed where the network has context labels or context norm. `extra_ids` are further genes
        of each cell, appended to shared ones; the other arguments cover both.
        """
        tokens, known = self._gene_vectors(gene_ids)
        if extra_ids is not None:
            further, further_known = self._gene_vectors(extra_ids)
            tokens, known = _appended(tokens, further), _appended(known, further_known)
        states = self.encoder(self._embedded(known, values, flags, contexts), padding)
        cell = self._pooled(states, values, padding)
        label = None if self.context_labels is None else self.context_labels(self._needed(contexts))
        decoded = self.decoder(_beside(states, label), values, padding)
        query = None if self.query_decoder is None else self.query_decoder(_beside(cell, label), tokens)
        return ScGPTOutput(
            states,
            cell,
            decoded.expression,
            decoded.zero_probability,
            None if self.class_head is None else self.class_head(cell),
            None if query is None else query.expression,
            None if query is None else query.zero_probability,
        )

    def _gene_vectors(
        self, gene_ids: GeneIds
    ) -> tuple[Float[Tensor, "rows genes width"], Float[Tensor, "rows genes width"]]:
        """Return the learnt vectors of genes, and these with what priors know of the genes added."""
        tokens = self.genes(gene_ids)
        known = tokens if self.config.tokens else torch.zeros_like(tokens)
        for prior in self.prior_tables:
            known = known + prior(gene_ids)
        return tokens, known

    def _embedded(
        self,
        known: Float[Tensor, "rows genes width"],
        values: PerGene,
        flags: Int[Tensor, "cells genes"] | None,
        contexts: Contexts | None,
    ) -> Float[Tensor, "cells genes width"]:
        total = self._with_values(known, values)
        if self.flags is not None:
            total = total + self.flags(torch.zeros_like(values, dtype=torch.long) if flags is None else flags)
        if self.final_norm is not None:
            total = self.final_norm(total)
        if self.input_norm is not None:
            total = self.input_norm(total, self._needed(contexts) if self.config.input_norm == "context" else None)
        return total

    def _with_values(
        self, known: Float[Tensor, "rows genes width"], values: PerGene
    ) -> Float[Tensor, "cells genes width"]:
        if not self.config.counts:
            return known.expand(len(values), -1, -1)
        return known * values[..., None] if self.values is None else known + self.values(values)

    def _pooled(
        self, states: Float[Tensor, "cells genes width"], values: PerGene, padding: Padding | None
    ) -> Float[Tensor, "cells width"]:
        style = self.config.pooling
        if style == "cls":
            return states[:, 0]
        there = positions_that_count(padding, states)
        if style == "w-pool":
            return nn.functional.normalize(torch.einsum("cgw,cg->cw", states, values * there), dim=1)
        total = torch.einsum("cgw,cg->cw", states, there)
        return total / (there.sum(dim=1, keepdim=True) if style == "avg-pool" else states.shape[1])

    def _needed(self, contexts: Contexts | None) -> Contexts:
        if contexts is None:
            raise ValueError("this network has context labels or context norm: give `contexts`")
        return contexts


def _appended(
    shared: Float[Tensor, "rows genes width"], further: Float[Tensor, "cells extra width"]
) -> Float[Tensor, "cells total width"]:
    return torch.cat([shared.expand(len(further), -1, -1), further], dim=1)


def _beside(states: Float[Tensor, "cells *genes width"], label: Tensor | None) -> Tensor:
    """Return states with the vector of their context appended."""
    if label is None:
        return states
    spread = label if states.dim() == 2 else label[:, None, :].expand(-1, states.shape[1], -1)
    return torch.cat([states, spread], dim=-1)


def _input_norm(config: ScGPTConfig) -> nn.Module | None:
    if config.input_norm == "none":
        return None
    return ContextNorm(config.width, config.norm_contexts if config.input_norm == "context" else None)
