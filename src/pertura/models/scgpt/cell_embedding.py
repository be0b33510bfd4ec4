"""Cell embeddings of a network that was pretrained with class tokens."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, dense
from pertura.core.seeds import generator
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.tokens import PAD_VALUE, CellTokens, TokenBatch, collated, sequence

LONGEST = 1200


@dataclass(frozen=True, eq=False)
class Embedding:
    """Unit vectors, one for each cell, with the genes that had no token and the cells without any expressed gene.

    A cell without an expressed gene of the vocabulary is a row of NaN.
    """

    vectors: Float[np.ndarray, "cells width"]
    unknown: tuple[str, ...]
    silent: Int[np.ndarray, " silent"]
    shortened: int = 0
    """How many cells express more genes than fit, so that some were chosen."""


@dataclass(frozen=True)
class EmbedOptions:
    """How cells are embedded; `longest` counts the class token (official: 1,200)."""

    batch: int = 64
    longest: int = LONGEST
    bins: int = 51
    pad_value: float = PAD_VALUE
    """The value of the class token and of padding."""
    seed: int = 0
    device: str = "cpu"


def embed(
    network: ScGPTNetwork,
    vocab: Vocab,
    expression: Expression,
    names: tuple[tuple[str, ...], Shaped[np.ndarray, " cells"]],
    options: EmbedOptions | None = None,
    progress: Callable[[int], None] | None = None,
) -> Embedding:
    """Return the state of the class token for each cell, scaled to length one (scGPT `embed_data`).

    `names` are the genes and the names of the cells: a cell's tokens are drawn from a generator of its own name, so
    that its vector depends on neither its row nor its batch. Values are taken as they are: only their order within a
    cell matters to the bins. Raises `BadDataError` where no gene has a token.
    """
    how = options or EmbedOptions()
    genes, ids = names
    known = np.asarray([gene in vocab.genes for gene in genes], dtype=bool)
    if not known.any():
        raise BadDataError(
            f"none of {len(genes)} genes is in the vocabulary (first: {', '.join(genes[:3])})",
            remedy="name genes by symbol, or give the column of var that does",
        )
    tokens = np.asarray(vocab.ids_of(np.asarray(genes)[known].tolist()), dtype=np.int64)
    by_token = np.argsort(tokens, kind="stable")  # the order of the genes must not decide what is drawn
    columns, tokens = np.flatnonzero(known)[by_token], tokens[by_token]
    vectors = np.full((len(ids), network.config.width), np.nan, dtype=np.float32)
    silent: list[int] = []
    shortened = 0
    network = network.to(how.device).eval()
    for start in range(0, len(ids), how.batch):
        rows = np.arange(start, min(start + how.batch, len(ids)))
        values = _expressed(dense(expression.rows(rows))[:, columns])
        cells = [sequence(one, tokens, cls_id=vocab.ids["<cls>"], cls_value=how.pad_value) for one in values]
        told = np.asarray([len(one.ids) > 1 for one in cells])
        silent += rows[~told].tolist()
        shortened += sum(len(one.ids) > how.longest for one in cells)
        if told.any():
            batch = _batch(
                [one for one in cells if len(one.ids) > 1], [str(ids[row]) for row in rows[told]], vocab, how
            )
            vectors[rows[told]] = _vectors(network, batch, how.device)
        if progress is not None:
            progress(len(rows))
    unknown = tuple(gene for gene, there in zip(genes, known, strict=True) if not there)
    return Embedding(vectors, unknown, np.asarray(silent, dtype=np.int64), shortened)


def _expressed(values: Float[np.ndarray, "cells genes"]) -> Float[np.ndarray, "cells genes"]:
    """Return values that may be expression; scaled data have values below zero, and no gene that is silent."""
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise BadDataError(
            "values below zero, or none at all (NaN)", place="X", remedy="give counts or log-normalised values"
        )
    return values


def _batch(cells: list[CellTokens], ids: list[str], vocab: Vocab, how: EmbedOptions) -> TokenBatch:
    rngs = [generator(how.seed, "scgpt tokens", one) for one in ids]
    return collated(cells, rngs, bins=how.bins, longest=how.longest, pad_id=vocab.ids["<pad>"], pad_value=how.pad_value)


def _vectors(network: ScGPTNetwork, batch: TokenBatch, device: str) -> Float[np.ndarray, "cells width"]:
    with torch.inference_mode():
        states = network(batch.ids.to(device), batch.values.to(device), None, batch.padding.to(device)).states
        return torch.nn.functional.normalize(states[:, 0], dim=1).cpu().numpy()
