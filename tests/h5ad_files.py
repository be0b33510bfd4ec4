"""Small AnnData screens written in the known conventions, for tests of reading."""

from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from pertura.core.seeds import generator

GENES = tuple(f"GENE{i}" for i in range(30))
GEARS_LABELS = ("ctrl", "GENE1+ctrl", "ctrl+GENE2", "GENE1+GENE2", "OUTSIDE+ctrl")
STATE_LABELS = ("non-targeting", "GENE1", "GENE2", "OUTSIDE")
PERTURBENCH_LABELS = ("control", "GENE1", "GENE2", "GENE2+GENE1")


def transcriptome(cells: int, genes: int = 200, seed: int = 0) -> np.ndarray:
    """Counts of all genes; the first of them will be the panel. Each cell shows single counts."""
    rng = generator(seed, "transcriptome")
    rates = rng.gamma(0.6, 2.0, size=genes)
    depth = rng.uniform(0.5, 2.0, size=(cells, 1))
    counts = rng.poisson(rates * depth)
    counts[:, :5] = [1, 2, 3, 1, 4]
    return counts.astype(np.float64)


def screen(
    column: str,
    labels: Sequence[str],
    *,
    cells_per_label: int = 20,
    scale: str = "lognormalised",
    layout: str = "csr",
    base: float = np.e,
    **obs: object,
) -> anndata.AnnData:
    """A screen of 30 of 200 genes, with its library sizes in `ncounts`; `obs` adds columns, cycled over the cells."""
    cells = cells_per_label * len(labels)
    counts = transcriptome(cells)
    library = counts.sum(axis=1)
    panel = counts[:, : len(GENES)]
    values = panel if scale == "counts" else np.log1p(panel / library[:, None] * 1e4) / np.log(base)
    table = {column: np.tile(list(labels), cells_per_label), "ncounts": library}
    for name, given in obs.items():
        table[name] = np.resize(np.repeat(np.asarray(given), len(labels)), cells)
    frame = pd.DataFrame(table, index=[f"cell{i}" for i in range(cells)])
    matrix = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}[layout](values.astype(np.float32))
    return anndata.AnnData(matrix, obs=frame, var=pd.DataFrame(index=list(GENES)))


def gears(**options: object) -> anndata.AnnData:
    return screen("condition", GEARS_LABELS, cell_type=["K562"], **options)


def state(**options: object) -> anndata.AnnData:
    return screen("gene", STATE_LABELS, cell_line=["k562", "rpe1"], gem_group=[1, 2, 3], **options)


def perturbench(**options: object) -> anndata.AnnData:
    return screen("condition", PERTURBENCH_LABELS, cell_type=["K562"], perturbation_type=["CRISPRa"], **options)


def written(adata: anndata.AnnData, folder: Path, name: str = "screen.h5ad") -> Path:
    path = folder / name
    adata.write_h5ad(path)
    return path
