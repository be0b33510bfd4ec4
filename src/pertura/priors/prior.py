"""A fixed vector for each gene, from what is known about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from pertura.core.errors import BadDataError


@dataclass(frozen=True, eq=False)
class GenePrior:
    """One vector for each of `genes`. `name` says where the vectors came from."""

    name: str
    genes: tuple[str, ...]
    table: Float[np.ndarray, "genes width"]

    def __post_init__(self) -> None:
        if len(set(self.genes)) != len(self.genes) or len(self.genes) != len(self.table):
            raise BadDataError(f"prior {self.name}: {len(self.table)} rows for {len(set(self.genes))} distinct genes")
        if not np.isfinite(self.table).all():
            raise BadDataError(f"prior {self.name}: some values are not finite")

    def aligned_to(
        self, genes: Sequence[str]
    ) -> tuple[Float[np.ndarray, "aligned width"], Bool[np.ndarray, " aligned"]]:
        """Return a row for each of `genes` and a mask of those that have one; the others are rows of zeros."""
        position = {gene: row for row, gene in enumerate(self.genes)}
        rows = np.asarray([position.get(gene, -1) for gene in genes], dtype=np.int64)
        present = rows >= 0
        table = np.zeros((len(rows), self.table.shape[1]), dtype=self.table.dtype)
        table[present] = self.table[rows[present]]
        return table, present
