"""Cells as token batches, made when they are needed: no cell's tokens depend on its row, its batch or its file."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int

from pertura.annotation.pretrained import Base
from pertura.annotation.view import View
from pertura.core.expression import Rows
from pertura.core.seeds import generator
from pertura.models.scgpt.tokens import CellTokens, TokenBatch, collated, sequence

LONGEST = 1200
POOL_BATCHES = 16
"""Batches whose cells are sorted by length together."""


@dataclass(frozen=True)
class Reading:
    """How cells become tokens: at most `longest` of them (the class token counts), `batch` cells at once."""

    longest: int = LONGEST
    batch: int = 64

    def pools(self, rows: Rows) -> Iterator[Rows]:
        """Yield the rows in stretches of several batches."""
        size = self.batch * POOL_BATCHES
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


@dataclass(frozen=True, eq=False)
class Tokenised:
    """A cell's tokens before binning, and a key made of nothing but its content."""

    cell: CellTokens
    key: str

    @property
    def silent(self) -> bool:
        """Whether no gene with a token is expressed."""
        return len(self.cell.ids) < 2

    def __len__(self) -> int:
        return len(self.cell.ids)


def tokenised(view: View, rows: Rows, base: Base) -> list[Tokenised]:
    """Return the tokens of some cells.

    Values enter as their ranks within the cell: bins are cut by quantiles, so counts, logarithms of any base and any
    target sum give the same tokens. The key is a digest of tokens and ranks.
    """
    cls_id, values = base.vocab.ids["<cls>"], view.token_values(rows)
    made = []
    for one in values:
        ranks = ranked(one)
        cell = sequence(ranks, view.token_ids, cls_id=cls_id, cls_value=base.pad_value)
        key = hashlib.blake2b(cell.ids.tobytes() + cell.values.tobytes(), digest_size=16).hexdigest()
        made.append(Tokenised(cell, key))
    return made


def ranked(values: Float32[np.ndarray, " genes"]) -> Float32[np.ndarray, " genes"]:
    """Return 1, 2, ... for the different values above 0 in rising order, 0 elsewhere."""
    ranks = np.zeros(len(values), dtype=np.float32)
    there = values > 0
    ranks[there] = np.unique(values[there], return_inverse=True)[1] + 1
    return ranks


def batch_of(cells: Sequence[Tokenised], base: Base, reading: Reading) -> TokenBatch:
    """Return cells as one batch, padded to the longest of them; ties and long cells are drawn by each cell's key."""
    rngs = [generator(0, "scgpt tokens", one.key) for one in cells]
    return collated(
        [one.cell for one in cells],
        rngs,
        bins=base.bins,
        longest=reading.longest,
        pad_id=base.vocab.ids["<pad>"],
        pad_value=base.pad_value,
    )


def bucketed(cells: Sequence[Tokenised], batch: int) -> Iterator[Int[np.ndarray, " _"]]:
    """Yield the places of cells that express anything, in batches of similar length."""
    spoken = np.asarray([place for place, one in enumerate(cells) if not one.silent], dtype=np.int64)
    lengths = np.asarray([len(cells[place]) for place in spoken], dtype=np.int64)
    ordered = spoken[np.argsort(lengths, kind="stable")]
    for start in range(0, len(ordered), batch):
        yield ordered[start : start + batch]


def lengths_of(view: View, rows: Rows) -> Int[np.ndarray, " cells"]:
    """Return how many tokens each cell has, the class token among them."""
    found = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), 1024):
        found[start : start + 1024] = (view.token_values(rows[start : start + 1024]) > 0).sum(axis=1) + 1
    return found
