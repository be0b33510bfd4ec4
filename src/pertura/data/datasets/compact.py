"""A small file for a bundled screen: integer counts of a panel, size factors, labels. Zip of plain arrays, no pickle.

Arrays: `counts_data`, `counts_indices`, `counts_indptr` (CSR), `library_sizes` (what a cell was scaled by),
`condition_codes` into `perturbations` and `contexts` (parallel lists, perturbation spelled `A+B`, control empty),
`ids`, `genes`, and `format` = `pertura-compact 1`.
"""

import math
import os
import zipfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped

from pertura.core.atomic import replacing
from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition, Mode, Perturbation

FORMAT = "pertura-compact 1"
TARGET_SUM = 1e4


def lognormalised(counts: sp.csr_matrix, library_sizes: Float[np.ndarray, " cells"]) -> sp.csr_matrix:
    """Return log1p(counts / library size * 1e4) as float32 CSR; zeros stay absent."""
    per_entry = np.repeat(TARGET_SUM / library_sizes, np.diff(counts.indptr))
    data = np.log1p(counts.data * per_entry).astype(np.float32)
    return sp.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)


def read_compact(path: Path, mode: Mode, name: str, notes: tuple[str, ...] = ()) -> Cells:
    """Return the log-normalised cells of a compact file; anything else raises `BadDataError`."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            content = {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BadDataError("not a compact screen", file=path, remedy="install pertura again") from error
    if str(content.get("format")) != FORMAT:
        raise BadDataError(f"format {content.get('format')} instead of {FORMAT!r}", file=path)
    return _cells(content, mode, name, notes)


def _cells(content: dict[str, np.ndarray], mode: Mode, name: str, notes: tuple[str, ...]) -> Cells:
    genes = tuple(str(gene) for gene in content["genes"])
    library_sizes = content["library_sizes"].astype(np.float64)
    indptr = content["counts_indptr"].astype(np.int32)
    indices = content["counts_indices"].astype(np.int32)
    counts = sp.csr_matrix((content["counts_data"].astype(np.float64), indices, indptr), (len(indptr) - 1, len(genes)))
    spelt = [str(text) for text in content["perturbations"]]
    conditions = tuple(
        Condition(Perturbation.parse(text, mode), str(context)) for text, context in zip(spelt, content["contexts"])
    )
    return Cells(
        expression=InMemory(lognormalised(counts, library_sizes)),
        genes=genes,
        ids=content["ids"].astype(str),
        conditions=conditions,
        codes=content["condition_codes"].astype(np.int64),
        scale=Scale(
            "lognormalised",
            TARGET_SUM,
            math.e,
            whole_transcriptome=True,
            evidence="log1p of bundled counts scaled to 1e4 by the totals of all genes kept by the source",
        ),
        library_sizes=library_sizes,
        spellings={one: text or "control" for one, text in zip(conditions, spelt)},
        name=name,
        notes=notes,
    )


def write_compact(
    path: str | os.PathLike[str],
    counts: sp.csr_matrix,
    library_sizes: Int[np.ndarray, " cells"],
    labels: tuple[Shaped[np.ndarray, " cells"], Shaped[np.ndarray, " cells"]],
    names: tuple[Shaped[np.ndarray, " cells"], Shaped[np.ndarray, " genes"]],
) -> None:
    """Write a compact file from counts, size factors, (perturbation, context) and (ids, genes); counts fit 16 bits."""
    if counts.data.max() >= 2**16 or counts.shape[1] >= 2**16:
        raise BadDataError("counts or columns exceed 16 bits: not for a compact file")
    pairs = sorted(set(zip(map(str, labels[0]), map(str, labels[1]))))
    code = {pair: i for i, pair in enumerate(pairs)}
    content = {
        "format": np.asarray(FORMAT),
        "counts_data": counts.data.astype(np.uint16),
        "counts_indices": counts.indices.astype(np.uint16),
        "counts_indptr": counts.indptr.astype(np.int32),
        "library_sizes": library_sizes.astype(np.uint32),
        "condition_codes": np.asarray([code[pair] for pair in zip(map(str, labels[0]), map(str, labels[1]))], np.uint8),
        "perturbations": np.asarray([one for one, _ in pairs]),
        "contexts": np.asarray([context for _, context in pairs]),
        "ids": names[0].astype("S"),
        "genes": names[1].astype("S").astype(str),
    }
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **content)
