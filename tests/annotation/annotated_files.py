"""Small labelled AnnData in the forms people have them, with the answer built in."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

TYPES = ("B cell", "Monocyte", "T cell")
MARKERS = (
    "CD19 MS4A1 CD79A CD79B BANK1 PAX5 CD22 FCRL1",
    "LYZ CD14 S100A8 S100A9 FCN1 VCAN CSF3R CD68",
    "CD3D CD3E CD3G CD2 IL7R TRAC CD247 LCK",
)
OTHERS = "ACTB GAPDH B2M MALAT1 RPL3 RPS4X EEF1A1 TMSB4X FTL FTH1 RPLP0 RPS27 TPT1 RPL10 PTMA UBC"
SYMBOLS = [name for words in (*MARKERS, OTHERS) for name in words.split()]


def counts_of(cells: int = 90, seed: int = 0, strength: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of 40 genes; eight markers of each of three types are up in its cells."""
    rng = np.random.default_rng([seed, 8])
    types = np.arange(cells) % len(TYPES)
    level = np.random.default_rng(5).normal(0.5, 0.6, size=len(SYMBOLS))
    up = np.zeros((len(TYPES), len(SYMBOLS)))
    for place in range(len(TYPES)):
        up[place, 8 * place : 8 * place + 8] = strength
    rates = np.exp(level + up[types] - 0.5) * rng.gamma(8, 1 / 8, size=(cells, 1))
    return rng.poisson(rates).astype(np.float32), types


def labelled(cells: int = 90, seed: int = 0, strength: float = 2.0, name: str = "cell") -> anndata.AnnData:
    """Logarithms of counts per 10,000 of all genes, of which a third are here, with types, donors, total counts."""
    counts, types = counts_of(cells, seed, strength)
    totals = counts.sum(axis=1, keepdims=True) * np.random.default_rng(seed).uniform(2, 4, size=(cells, 1))
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical([TYPES[one] for one in types]),
            "donor": [f"d{(i // len(TYPES)) % 5}" for i in range(cells)],
            "n_counts": totals[:, 0],
        },
        index=[f"{name}{i}" for i in range(cells)],
    )
    values = sp.csr_matrix(np.log1p(counts / totals * 1e4))
    return anndata.AnnData(values.astype(np.float32), obs=obs, var=pd.DataFrame(index=SYMBOLS))


def with_scaled_x(adata: anndata.AnnData) -> anndata.AnnData:
    """X centred and scaled, the logarithms in raw: what scanpy's tutorials leave."""
    scaled = adata.copy()
    scaled.raw = adata
    dense = adata.X.toarray()
    scaled.X = ((dense - dense.mean(axis=0)) / (dense.std(axis=0) + 1e-9)).astype(np.float32)
    return scaled


def as_counts(cells: int = 60, seed: int = 1) -> anndata.AnnData:
    counts, types = counts_of(cells, seed)
    obs = pd.DataFrame({"cell_type": [TYPES[one] for one in types]}, index=[f"count{i}" for i in range(cells)])
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=SYMBOLS))
