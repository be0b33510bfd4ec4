"""Principal components of cells that need not fit in memory."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float
from scipy.sparse.linalg import eigsh

from pertura.core.errors import OutOfMemoryError

DENSE_GENES = 500
"""Up to so many genes all eigenvectors are computed; above, only those asked for."""


@dataclass(frozen=True, eq=False)
class Projection:
    """A centre and orthonormal axes; `apply` gives the coordinates of cells."""

    centre: Float[np.ndarray, " genes"]
    axes: Float[np.ndarray, "genes components"]

    def apply(self, cells: Float[np.ndarray, "cells genes"]) -> Float[np.ndarray, "cells components"]:
        """Return the coordinates of cells."""
        return (cells - self.centre) @ self.axes


def principal_components(
    cells: Iterable[Float[np.ndarray, "_ genes"]], genes: int, components: int, memory: int
) -> Projection:
    """Return the mean of the cells and their leading directions of variance, from one pass over blocks of cells.

    Fewer than `components` where cells or genes allow no more. The sign of an axis has no meaning: its largest weight
    is made positive. Needs the genes x genes matrix of products in memory and raises where that exceeds `memory` bytes.
    """
    if 8 * genes * genes > memory:
        raise OutOfMemoryError(
            f"principal components of {genes:,} genes need {8 * genes * genes / 2**30:.1f} GiB: give more with --memory"
        )
    count, total, products = 0, np.zeros(genes), np.zeros((genes, genes))
    for block in cells:
        count += len(block)
        total += block.sum(axis=0)
        products += block.T @ block
    centre = total / max(count, 1)
    products -= count * np.outer(centre, centre)
    return Projection(centre, _leading(products, min(components, genes, max(count - 1, 0))))


def _leading(products: Float[np.ndarray, "genes genes"], components: int) -> Float[np.ndarray, "genes components"]:
    genes = len(products)
    if not components:
        return np.zeros((genes, 0))
    if genes <= max(DENSE_GENES, components + 1):
        vectors = scipy.linalg.eigh(products, subset_by_index=(genes - components, genes - 1))[1]
    else:
        start = np.sin(np.arange(1, genes + 1))  # any fixed vector without structure
        vectors = eigsh(products, k=components, which="LA", v0=start)[1]
    vectors = vectors[:, ::-1]
    strongest = vectors[np.abs(vectors).argmax(axis=0), np.arange(components)]
    return np.asarray(vectors * np.where(strongest < 0, -1.0, 1.0), dtype=np.float64)
