"""Cells as sequences of gene tokens and binned values, as scGPT's pre-training and embedding take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PAD_VALUE = -2.0
Values = Float[np.ndarray, " genes"]
Ids = Int[np.ndarray, " genes"]


@runtime_checkable
class Uniform(Protocol):
    """A source of uniform numbers: numpy's generators, old and new."""

    def random(self, size: int) -> Float[np.ndarray, " size"]:
        """Return `size` numbers in [0, 1)."""
        ...

    def permutation(self, x: int) -> Int[np.ndarray, " x"]:
        """Return the numbers below x in random order."""
        ...


@dataclass(frozen=True, eq=False)
class CellTokens:
    """One cell: token ids and values; what must never be sampled away stands at the front (`kept` of them)."""

    ids: Ids
    values: Values
    kept: int = 1


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Cells of one batch, padded to the longest."""

    ids: Int[Tensor, "cells length"]
    values: Float[Tensor, "cells length"]
    padding: Bool[Tensor, "cells length"]


def binned(values: Values, bins: int, rng: Uniform) -> Values:
    """Return 1 to bins - 1 for non-zero values, by the cell's own quantiles, and 0 for zeros.

    Edges are the quantiles at bins - 1 equal steps of the non-zero values. A value that equals several edges (tied
    counts) falls into one of their bins by chance; without ties the result is the same for every generator
    (scGPT, Methods, value binning).
    """
    digits = np.zeros(len(values), dtype=np.float32)
    there = np.flatnonzero(values)
    if not len(there):
        return digits
    found = values[there]
    edges = np.quantile(found, np.linspace(0, 1, bins - 1))
    left, right = np.digitize(found, edges), np.digitize(found, edges, right=True)
    digits[there] = np.ceil(rng.random(len(found)) * (right - left) + left)
    return digits


def sequence(values: Values, gene_ids: Ids, *, cls_id: int, cls_value: float, zeros: bool = False) -> CellTokens:
    """Return a cell as the class token followed by its genes: the non-zero ones, or all with `zeros`."""
    taken = np.arange(len(values)) if zeros else np.flatnonzero(values)
    ids = np.concatenate([[cls_id], gene_ids[taken]]).astype(np.int64)
    return CellTokens(ids, np.concatenate([[cls_value], values[taken]]).astype(np.float32))


def shortened(one: CellTokens, longest: int, rng: Uniform) -> CellTokens:
    """Return at most `longest` tokens: the kept ones and a random choice of the rest, in their order."""
    if len(one.ids) <= longest:
        return one
    rest = rng.permutation(len(one.ids) - one.kept)[: longest - one.kept]
    chosen = np.concatenate([np.arange(one.kept), np.sort(rest) + one.kept])
    return CellTokens(one.ids[chosen], one.values[chosen], one.kept)


def collated(
    cells: Sequence[CellTokens],
    rngs: Sequence[Uniform],
    *,
    bins: int | None,
    longest: int,
    pad_id: int,
    pad_value: float = PAD_VALUE,
) -> TokenBatch:
    """Return a batch: values binned (kept tokens apart), long cells sampled, short ones padded.

    Cell i uses generator i alone, so that its tokens depend on neither its row nor its batch.
    """
    made = [shortened(_binned(one, bins, rng), longest, rng) for one, rng in zip(cells, rngs, strict=True)]
    length = max((len(one.ids) for one in made), default=0)
    ids = np.full((len(made), length), pad_id, dtype=np.int64)
    values = np.full((len(made), length), pad_value, dtype=np.float32)
    padding = np.ones((len(made), length), dtype=bool)
    for row, one in enumerate(made):
        size = len(one.ids)
        ids[row, :size], values[row, :size], padding[row, :size] = one.ids, one.values, False
    return TokenBatch(torch.from_numpy(ids), torch.from_numpy(values), torch.from_numpy(padding))


def _binned(one: CellTokens, bins: int | None, rng: Uniform) -> CellTokens:
    if bins is None:
        return one
    values = one.values.copy()
    values[one.kept :] = binned(values[one.kept :], bins, rng)
    return CellTokens(one.ids, values, one.kept)
