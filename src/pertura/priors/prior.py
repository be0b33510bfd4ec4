"""A fixed vector for each gene, from what is known about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.core.errors import BadDataError
from pertura.genes.identifiers import Identifiers

PriorKind = Literal["knowledge", "random", "permuted", "ablated", "combined", "file"]
CHECKED_ROWS = 4096
"""Rows looked at together: a table may be memory-mapped and larger than the memory."""


@dataclass(frozen=True, slots=True)
class PriorFacts:
    """What is recorded of where the vectors came from; empty where it is not known.

    `text_sha256` is the digest of every text that was encoded; `made_from` names the priors a control or a
    combination was made from.
    """

    source: str = ""
    encoder: str = ""
    licence: str = ""
    text_sha256: str = ""
    kind: PriorKind = "knowledge"
    made_from: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class GenePrior:
    """One vector for each of `genes`. `name` says where the vectors came from."""

    name: str
    genes: tuple[str, ...]
    table: Float[np.ndarray, "genes width"]
    facts: PriorFacts = PriorFacts()

    def __post_init__(self) -> None:
        if len(set(self.genes)) != len(self.genes) or len(self.genes) != len(self.table):
            raise BadDataError(f"prior {self.name}: {len(self.table)} rows for {len(set(self.genes))} distinct genes")
        blocks = range(0, len(self.table), CHECKED_ROWS)
        if not all(np.isfinite(self.table[start : start + CHECKED_ROWS]).all() for start in blocks):
            raise BadDataError(f"prior {self.name}: some values are not finite")

    def aligned_to(
        self, genes: Sequence[str], *, identifiers: Identifiers | None = None
    ) -> tuple[Float[np.ndarray, "aligned width"], Bool[np.ndarray, " aligned"]]:
        """Return a row for each of `genes` and a mask of those that have one; the others are rows of zeros.

        Genes are matched by name alone, as published models do. With `identifiers`, a name that is not there is
        also looked for under its approved symbol, whatever the prior calls it.
        """
        rows = self.rows_of(genes, identifiers=identifiers)
        present = rows >= 0
        table = np.zeros((len(rows), self.table.shape[1]), dtype=self.table.dtype)
        table[present] = self.table[rows[present]]
        return table, present

    def rows_of(self, genes: Sequence[str], *, identifiers: Identifiers | None = None) -> Int[np.ndarray, " genes"]:
        """Return the row of each of `genes`, -1 where there is none; matched as in `aligned_to`."""
        position = {gene: row for row, gene in enumerate(self.genes)}
        rows = np.asarray([position.get(gene, -1) for gene in genes], dtype=np.int64)
        missing = np.flatnonzero(rows < 0)
        if identifiers is None or not len(missing):
            return rows
        by_symbol = _by_symbol(position, identifiers)
        for place in missing.tolist():
            rows[place] = by_symbol.get(identifiers.approved(genes[place]).symbol, -1)
        return rows


def _by_symbol(position: dict[str, int], identifiers: Identifiers) -> dict[str | None, int]:
    """Return approved symbol -> row. Of a symbol's own name and other names of it the own name counts.

    Where only other names of it are there, and several, none is taken: they may be different genes.
    """
    found: dict[str | None, int] = {}
    several: set[str] = set()
    for gene, row in position.items():
        symbol = identifiers.approved(gene).symbol
        if symbol is None or symbol in position:
            continue
        if symbol in found:
            several.add(symbol)
        found[symbol] = row
    for symbol in several:
        del found[symbol]
    found.update(position)
    return found
