"""Small screens with what makes rank tests hard: ties, zeros, empty and constant genes, groups of one cell."""

import numpy as np
import scipy.sparse as sp

SIZES = (1, 2, 5, 9, 30)
"""Cells of the targets and, last, of the reference."""


def codes_of(sizes=SIZES, seed=0):
    """Groups of cells, in no order."""
    return np.random.default_rng([seed, 7]).permutation(np.repeat(np.arange(len(sizes)), sizes))


def values(cells, genes=24, seed=0, dtype=np.float32, negative=False, scale="log"):
    """Cells x genes: two fifths zeros, many ties, one gene without counts, one constant, one of a single cell."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.8, 2.0, genes), size=(cells, genes)).astype(np.float64)
    depth = rng.choice([0.5, 1.0, 1.7, 3.1], size=(cells, 1))
    full = np.log1p(counts * depth) if scale == "log" else counts
    full[:, 0] = 0.0
    full[:, 1] = 1.25 if scale == "log" else 2.0
    full[:, 2] = 0.0
    full[cells // 2, 2] = 3.0
    if negative:
        full[:, 3:] -= np.where(rng.random((cells, genes - 3)) < 0.3, 1.5, 0.0)
    return full.astype(dtype)


def laid_out(full, layout):
    """The same values as a CSR, CSC or dense matrix."""
    return {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.ascontiguousarray, "columns": np.asfortranarray}[
        layout
    ](full)
