"""Folders as cellranger leaves them, made small: for tests of the import."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp

from pertura.core.seeds import generator

GUIDE_TABLE = {
    "KLF1-1": "KLF1",
    "KLF1-2": "KLF1",
    "BAK1-1": "BAK1",
    "BAK1-2": "BAK1",
    "NT-1": "non-targeting",
    "NT-2": "non-targeting",
}
EXPRESSION, CAPTURE = "Gene Expression", "CRISPR Guide Capture"


@dataclass(frozen=True)
class Library:
    """What a folder is to hold: barcodes with their guides, genes (id, symbol), counts (cells x genes)."""

    calls: Mapping[str, tuple[str, ...]]
    genes: Sequence[tuple[str, str]]
    counts: np.ndarray
    guide_features: int = 2
    stated: Mapping[str, str] = field(default_factory=dict)


def library(
    plan: Sequence[tuple[str, ...]] | None = None, *, genes: int = 30, suffix: str = "-1", seed: int = 0
) -> Library:
    """Cells whose guides are those of `plan`, in turn; two genes share a symbol; KLF1 and BAK1 are measured."""
    plan = [("KLF1-1",), ("KLF1-2",), ("BAK1-1",), ("NT-1",), ("NT-2",)] * 8 if plan is None else plan
    rng = generator(seed, "library")
    letters = np.asarray(list("ACGT"))
    barcodes = ["".join(rng.choice(letters, 16)) + suffix for _ in plan]
    symbols = ["KLF1", "BAK1", "TWICE", "TWICE", *(f"GENE{i}" for i in range(4, genes))]
    counts = rng.poisson(rng.gamma(0.6, 2.0, size=genes), size=(len(plan), genes)).astype(np.int64)
    counts[:, 0] += 1
    return Library(
        calls=dict(zip(barcodes, plan)),
        genes=[(f"ENSG{i:011d}", symbol) for i, symbol in enumerate(symbols)],
        counts=counts,
    )


def without_genes(made: Library, left_out: Sequence[int]) -> Library:
    """The same library of a reference that lacks some genes."""
    kept = [i for i in range(len(made.genes)) if i not in left_out]
    return replace(made, genes=[made.genes[i] for i in kept], counts=made.counts[:, kept])


def features(made: Library) -> list[tuple[str, str, str]]:
    """Id, name and type of each row of the matrix: the genes, then some guides."""
    captured = [(f"guide{i}", f"guide{i}", CAPTURE) for i in range(made.guide_features)]
    return [*((gene, symbol, EXPRESSION) for gene, symbol in made.genes), *captured]


def matrix(made: Library) -> sp.csr_matrix:
    """Cells x features; each guide is counted once in each cell."""
    captured = np.ones((len(made.calls), made.guide_features), dtype=np.int64)
    return sp.csr_matrix(np.hstack([made.counts, captured]))


def write_h5(made: Library, path: Path, *, dtype: str = "int32") -> Path:
    """The single file of current cellranger."""
    path.parent.mkdir(parents=True, exist_ok=True)
    counts, rows = matrix(made), features(made)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.asarray(list(made.calls), dtype="S")
        group["data"], group["indices"] = counts.data.astype(dtype), counts.indices.astype("int64")
        group["indptr"] = counts.indptr.astype("int64")
        group["shape"] = np.asarray(counts.shape[::-1], dtype="int32")
        for name, at in (("id", 0), ("name", 1), ("feature_type", 2)):
            group[f"features/{name}"] = np.asarray([one[at] for one in rows], dtype="S")
    return path


def write_old_h5(made: Library, path: Path, genome: str = "GRCh38") -> Path:
    """The single file of cellranger 2: one group named by the genome, genes only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = sp.csr_matrix(made.counts)
    with h5py.File(path, "w") as file:
        group = file.create_group(genome)
        group["barcodes"] = np.asarray(list(made.calls), dtype="S")
        group["genes"] = np.asarray([one for one, _ in made.genes], dtype="S")
        group["gene_names"] = np.asarray([one for _, one in made.genes], dtype="S")
        group["data"], group["indices"], group["indptr"] = counts.data, counts.indices, counts.indptr
        group["shape"] = np.asarray(counts.shape[::-1], dtype="int32")
    return path


def write_triple(made: Library, folder: Path, *, zipped: bool = True, kind: str = "integer", prefix: str = "") -> Path:
    """The three text files."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = matrix(made).tocoo()
    head = f"%%MatrixMarket matrix coordinate {kind} general\n%made for a test\n"
    head += f"{counts.shape[1]} {counts.shape[0]} {counts.nnz}\n"
    entries = "".join(f"{g + 1} {c + 1} {n}\n" for c, g, n in zip(counts.row, counts.col, counts.data))
    contents = {
        "matrix.mtx": head + entries,
        "barcodes.tsv": "".join(f"{one}\n" for one in made.calls),
        "features.tsv": "".join("\t".join(one) + "\n" for one in features(made)),
    }
    for name, content in contents.items():
        path = folder / f"{prefix}{name}{'.gz' * zipped}"
        path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    return folder


def write_calls(made: Library, path: Path) -> Path:
    """The calls of cellranger: cells without a guide are not in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{barcode},{len(names)},{'|'.join(names)},{'|'.join('7' for _ in names)}"
        for barcode, names in made.calls.items()
        if names
    ]
    path.write_text("\n".join(["cell_barcode,num_features,feature_call,num_umis", *rows]) + "\n")
    return path


def write_guides(path: Path, table: Mapping[str, str] = GUIDE_TABLE, header: str = "guide_id,gene") -> Path:
    """A guide table."""
    path.write_text("\n".join([header, *(f"{guide},{gene}" for guide, gene in table.items())]) + "\n")
    return path


def outs(made: Library, folder: Path, layout: str = "h5") -> Path:
    """A whole folder `outs` in one of the layouts h5, old h5, triple, plain triple."""
    if layout == "h5":
        write_h5(made, folder / "filtered_feature_bc_matrix.h5")
    elif layout == "old h5":
        write_old_h5(made, folder / "filtered_feature_bc_matrix.h5")
    else:
        write_triple(made, folder / "filtered_feature_bc_matrix", zipped=layout == "triple")
    write_calls(made, folder / "crispr_analysis" / "protospacer_calls_per_cell.csv")
    return folder
