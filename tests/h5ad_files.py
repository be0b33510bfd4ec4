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
SCPERTURB_LABELS = ("control", "GENE1", "GENE2", "GENE1_GENE2")
CELLFLOW_GENES = (("ctrl", "ctrl"), ("GENE1", "ctrl"), ("ctrl", "GENE2"), ("GENE1", "GENE2"))
PERTPY_LABELS = ("control", "GENE1", "GENE2", "GENE1+GENE2")
X_ATLAS_LABELS = ("Non-Targeting", "GENE1", "GENE2", "OUTSIDE")


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


def scperturb(**options: object) -> anndata.AnnData:
    """As scPerturb publishes Norman's screen: counts, `A_B`, the number of perturbations beside it."""
    adata = screen("perturbation", SCPERTURB_LABELS, cell_line=["K562"], **{"scale": "counts", **options})
    adata.obs["nperts"] = [0 if one == "control" else one.count("_") + 1 for one in adata.obs["perturbation"]]
    adata.obs["perturbation_type"], adata.obs["organism"], adata.obs["tissue_type"] = "CRISPR", "human", "cell_line"
    adata.obs["guide_id"] = adata.obs["perturbation"].astype(str) + "_g"
    return adata


def cellflow(**options: object) -> anndata.AnnData:
    """A boolean column for controls, and one gene in each of two columns."""
    adata = screen("pair", [" ".join(one) for one in CELLFLOW_GENES], cell_line=["K562"], **options)
    genes = [one.split(" ") for one in adata.obs.pop("pair")]
    adata.obs["gene_1"], adata.obs["gene_2"] = zip(*genes, strict=True)
    adata.obs["control"] = [one == ["ctrl", "ctrl"] for one in genes]
    return adata


def pertpy(**options: object) -> anndata.AnnData:
    return screen("perturbation_name", PERTPY_LABELS, gemgroup=[1, 2], **options)


def mixscape(**options: object) -> anndata.AnnData:
    """A screen as pertpy's Mixscape takes it: targets, and beside them only whether a cell was perturbed."""
    adata = screen("gene_target", ("NT", "GENE1", "GENE2"), replicate=["rep1", "rep2"], **options)
    adata.obs["perturbation"] = np.where(adata.obs["gene_target"] == "NT", "NT", "Perturbed")
    return adata


def x_atlas(**options: object) -> anndata.AnnData:
    """As in X-Atlas: counts, two guides a cell, batches named after the line."""
    adata = screen("gene_target", X_ATLAS_LABELS, sample=["HCT116_Batch1", "HCT116_Batch2"], scale="counts", **options)
    adata.obs = adata.obs.rename(columns={"ncounts": "total_counts"})
    adata.obs["guide_target"] = [f"{one}_P1P2-1|{one}_P1P2-2" for one in adata.obs["gene_target"]]
    adata.obs["pass_guide_filter"] = 1
    return adata


WRITERS = {
    "GEARS / scGPT": gears,
    "State / cell-load": state,
    "scPerturb": scperturb,
    "PerturBench": perturbench,
    "CellFlow": cellflow,
    "pertpy": pertpy,
    "X-Atlas": x_atlas,
}
"""The convention that each should be recognised as -> a small screen written in it."""


def written(adata: anndata.AnnData, folder: Path, name: str = "screen.h5ad") -> Path:
    path = folder / name
    adata.write_h5ad(path)
    return path
