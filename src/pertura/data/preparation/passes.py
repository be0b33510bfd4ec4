"""Passes over cells: blocks small enough for any memory, with word of how far a pass has come."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int, Num

from pertura.core.expression import BLOCK_CELLS

Rows = Int[np.ndarray, " cells"]
Block: TypeAlias = Num[np.ndarray, "cells genes"] | sp.csr_matrix
Told = Callable[[str, int, int], None]
"""Hears that `done` of `total` steps of a pass are finished."""

BLOCK_BYTES = 64 << 20
TOLD_AT_MOST = 8


def nobody(text: str, done: int, total: int) -> None:
    """Tell nobody."""


def blocks_of(rows: Rows, genes: int, text: str, told: Told) -> Iterator[Rows]:
    """Yield `rows` in stretches whose dense block takes at most 64 MiB; tell a few times how far it is."""
    size = int(np.clip(BLOCK_BYTES // (8 * max(genes, 1)), 16, BLOCK_CELLS))
    starts = range(0, len(rows), size)
    every = -(-len(starts) // TOLD_AT_MOST) if len(starts) else 1
    for i, start in enumerate(starts):
        if i % every == 0:
            told(text, i, len(starts))
        yield rows[start : start + size]


def sparse(block: Block) -> sp.csr_matrix:
    """Return a block as CSR with sorted indices and without stored zeros; never the block itself."""
    made = sp.csr_matrix(block, copy=True)
    made.sum_duplicates()
    made.eliminate_zeros()
    return made
