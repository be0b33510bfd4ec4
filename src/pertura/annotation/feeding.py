"""Labelled cells batch by batch: vectors of a frozen network, or tokens made when their batch is due."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from pertura.annotation.pretrained import Base
from pertura.annotation.tokens import POOL_BATCHES, Reading, batch_of, lengths_of, tokenised
from pertura.annotation.view import View
from pertura.core.expression import Rows
from pertura.core.seeds import generator
from pertura.models.scgpt.tokens import TokenBatch

Order = Int[np.ndarray, " places"]


@dataclass(frozen=True, eq=False)
class VectorBatch:
    """Vectors of some cells and the class of each."""

    vectors: Float[Tensor, "cells width"]
    codes: Int[Tensor, " cells"]


@dataclass(frozen=True, eq=False)
class LabelledTokens:
    """Tokens of some cells and the class of each."""

    tokens: TokenBatch
    codes: Int[Tensor, " cells"]


@dataclass(frozen=True, eq=False)
class Deck:
    """Cells in the order of an epoch: all of them, or as many of each class; near in length where lengths are given."""

    codes: Int[np.ndarray, " cells"]
    batch: int
    seed: int
    balanced: bool = False
    lengths: Int[np.ndarray, " cells"] | None = None

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.codes) // self.batch)

    def places(self, epoch: int, step: int) -> list[int]:
        """Return the cells of a batch."""
        return self._epoch(epoch)[step]

    def _epoch(self, epoch: int) -> list[list[int]]:
        kept = self._kept
        if epoch not in kept:
            kept.clear()
            kept[epoch] = self._dealt(epoch)
        return kept[epoch]

    @cached_property
    def _kept(self) -> dict[int, list[list[int]]]:
        return {}

    def _dealt(self, epoch: int) -> list[list[int]]:
        rng = generator(self.seed, "labelled cells", epoch)
        order = self._balanced(rng) if self.balanced else rng.permutation(len(self.codes))
        if self.lengths is not None:
            size = self.batch * POOL_BATCHES
            pools = [order[start : start + size] for start in range(0, len(order), size)]
            order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = [order[start : start + self.batch].tolist() for start in range(0, len(order), self.batch)]
        return [batches[place] for place in rng.permutation(len(batches))]

    def _balanced(self, rng: np.random.Generator) -> Order:
        """As many cells as there are, the classes in equal shares, every cell of a class equally often."""
        classes = np.unique(self.codes)
        shares = np.diff(np.linspace(0, len(self.codes), len(classes) + 1).astype(np.int64))
        drawn = []
        for code, share in zip(classes, shares, strict=True):
            mine = np.flatnonzero(self.codes == code)
            rounds = [rng.permutation(mine) for _ in range(-(-int(share) // len(mine)))]
            drawn.append(np.concatenate(rounds)[:share] if rounds else mine[:0])
        return rng.permutation(np.concatenate(drawn))


@dataclass(eq=False)
class VectorFeed:
    """A `Feed` of vectors that are at hand."""

    vectors: Float32[np.ndarray, "cells width"]
    deck: Deck
    device: str

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return self.deck.steps

    @property
    def fingerprint(self) -> str:
        """A digest of vectors and classes."""
        return hashlib.sha256(self.vectors.tobytes() + self.deck.codes.tobytes()).hexdigest()

    def places(self, epoch: int, step: int) -> Sequence[int]:
        """Return the cells of a batch."""
        return self.deck.places(epoch, step)

    def batch(self, epoch: int, step: int, chosen: Sequence[int], key: str) -> VectorBatch:
        """Return those cells."""
        rows = list(chosen)
        vectors = torch.from_numpy(self.vectors[rows]).to(self.device)
        return VectorBatch(vectors, torch.from_numpy(self.deck.codes[rows]).to(self.device))


@dataclass(eq=False)
class TokenFeed:
    """A `Feed` of cells that are read and cut into tokens when their batch is due."""

    view: View
    rows: Rows
    base: Base
    reading: Reading
    deck: Deck
    device: str

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return self.deck.steps

    @property
    def fingerprint(self) -> str:
        """A digest of cells, classes and network."""
        told = hashlib.sha256(self.base.digest.encode() + self.deck.codes.tobytes())
        told.update("\x1f".join(str(one) for one in self.view.ids[self.rows]).encode())
        return told.hexdigest()

    def places(self, epoch: int, step: int) -> Sequence[int]:
        """Return the cells of a batch."""
        return self.deck.places(epoch, step)

    def batch(self, epoch: int, step: int, chosen: Sequence[int], key: str) -> LabelledTokens:
        """Return the tokens of those cells, padded to the longest of them."""
        places = np.asarray(list(chosen), dtype=np.int64)
        cells = tokenised(self.view, self.rows[places], self.base)
        codes = torch.from_numpy(self.deck.codes[places]).to(self.device)
        return LabelledTokens(batch_of(cells, self.base, self.reading), codes)


def token_feed(
    view: View,
    rows: Rows,
    codes: Int[np.ndarray, " cells"],
    how: tuple[Base, Reading, str],
    deck: tuple[int, int, bool],
) -> TokenFeed:
    """Return a feed over some cells with their classes; cells that express no gene with a token take no part.

    `how`: network, reading, device. `deck`: batch, seed, whether classes are balanced.
    """
    lengths = lengths_of(view, rows)
    spoken = lengths > 1
    batch, seed, balanced = deck
    base, reading, device = how
    mine = Deck(codes[spoken], batch, seed, balanced, lengths[spoken])
    return TokenFeed(view, rows[spoken], base, reading, mine, device)
