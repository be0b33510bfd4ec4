"""Predicted cells as AnnData and as a file: for each perturbation a cell for each control, in the controls' order."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata
import anndata.io
import h5py
import numpy as np
import pandas as pd

from pertura.core.atomic import replacing
from pertura.core.errors import UsageError
from pertura.recipes.predicting.answering import Answer
from pertura.recipes.predicting.predicting import ModelAnswer, Predictions

FORMAT, FORMAT_VERSION = "pertura-answers", 1
RECORD = "pertura_predict"
CHUNK = (64, 1024)


def to_anndata(made: Predictions) -> anndata.AnnData:
    """Return all answers in memory: `X` of the first model, `layers[NAME]` of every further one.

    For k perturbations and n controls there are k x n cells: block j holds perturbation j, row i of it belongs to row
    i of the controls, whose name is in `obs["control"]`. `uns["pertura_predict"]` holds the record of what was asked.
    """
    blocks: dict[str, list[Answer]] = {one.model.name: [] for one in made.answers}
    for label in made.labels:
        for one in made.answers:
            blocks[one.model.name].append(_aligned(one, made, label))
    first, *others = blocks
    adata = anndata.AnnData(np.concatenate(blocks[first]), obs=_obs(made), var=_var(made))
    for name in others:
        adata.layers[_layer(name)] = np.concatenate(blocks[name])
    adata.uns[RECORD] = json.dumps(_record(made))
    return adata


def write_answers(path: Path, made: Predictions) -> None:
    """Write all answers as .h5ad, one perturbation at a time, whole or not at all; equal answers give equal bytes."""
    shape = (len(made.labels) * len(made.first.controls), len(made.first.controls.genes))
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
        for group in ("layers", "obsm", "varm", "obsp", "varp"):
            anndata.io.write_elem(file, group, {})
        places = ["X", *(f"layers/{_layer(one.model.name)}" for one in made.answers[1:])]
        tables = [_dataset(file, place, shape) for place in places]
        for start, rows in _rows(made):
            for table, values in zip(tables, rows, strict=True):
                table[start : start + len(values)] = values
        anndata.io.write_elem(file, "obs", _obs(made))
        anndata.io.write_elem(file, "var", _var(made))
        anndata.io.write_elem(file, "uns", {RECORD: json.dumps(_record(made))})


def check_output(path: Path, *, force: bool) -> None:
    """Raise `UsageError` where predicted cells may not be written to a path."""
    if path.suffix != ".h5ad":
        raise UsageError(f"-o {path}: the name of an AnnData file ends in .h5ad")
    if path.is_dir():
        raise UsageError(f"-o {path} is a folder; name a file in it")
    if path.exists() and not force:
        raise UsageError(f"-o {path} is there already; --force replaces it, another name keeps it")


def _rows(made: Predictions) -> Iterator[tuple[int, list[Answer]]]:
    cells = len(made.first.controls)
    for i, label in enumerate(made.labels):
        yield i * cells, [_aligned(one, made, label) for one in made.answers]


def _dataset(file: h5py.File, place: str, shape: tuple[int, int]) -> h5py.Dataset:
    chunks = tuple(max(min(have, most), 1) for have, most in zip(shape, CHUNK, strict=True))
    data = file.create_dataset(
        place, shape=shape, dtype=np.float32, chunks=chunks, compression="gzip", compression_opts=1, track_times=False
    )
    data.attrs["encoding-type"], data.attrs["encoding-version"] = "array", "0.2.0"
    return data


def _aligned(answer: ModelAnswer, made: Predictions, label: str) -> Answer:
    """Return a model's cells on the genes of the first; NaN where it does not answer on a gene."""
    cells, genes = answer.cells(label), made.first.controls.genes
    if answer.controls.genes == genes:
        return cells
    place = {gene: i for i, gene in enumerate(answer.controls.genes)}
    columns = np.asarray([place.get(gene, -1) for gene in genes], dtype=np.int64)
    out = np.full((len(cells), len(genes)), np.nan, dtype=np.float32)
    out[:, columns >= 0] = cells[:, columns[columns >= 0]]
    return out


def _obs(made: Predictions) -> pd.DataFrame:
    controls, labels = made.first.controls, made.labels
    names = [str(one) for one in controls.ids]
    index = names if len(labels) == 1 else [f"{name}:{label}" for label in labels for name in names]
    conditions = [made.first.conditions[label] for label in labels]
    repeated: dict[str, Any] = {
        "perturbation": pd.Categorical(np.repeat(np.asarray(labels, dtype=object), len(names))),
        "context": pd.Categorical(np.repeat([one.context for one in conditions], len(names))),
        "control": names * len(labels),
    }
    frame = pd.DataFrame(repeated, index=pd.Index(index, dtype=object))
    if controls.batch_codes is not None:
        batches = [controls.batches[code] for code in controls.batch_codes]
        frame["batch"] = pd.Categorical(batches * len(labels))
    return frame


def _var(made: Predictions) -> pd.DataFrame:
    return pd.DataFrame(index=pd.Index(made.first.controls.genes, dtype=object))


def _layer(name: str) -> str:
    return name.replace("/", "_")


def _record(made: Predictions) -> dict[str, Any]:
    """Return what was asked, of which models, what was left out, and what to expect."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "pertura": version("pertura"),
        "perturbations": list(made.labels),
        "notes": list(made.notes),
        "models": [_described(one, made) for one in made.answers],
    }


def _described(answer: ModelAnswer, made: Predictions) -> dict[str, Any]:
    provenance = answer.members[0].provenance
    return {
        "name": answer.model.name,
        "members": len(answer.members),
        "checkpoint": provenance.checkpoint,
        "split": provenance.split,
        "versions": provenance.versions,
        "modes": sorted({str(mode) for one in answer.conditions.values() for mode in one.perturbation.modes}),
        "missing_genes": list(answer.given.missing),
        "notes": list(answer.notes),
        "stand_ins": {one.label: why for one, why in answer.members[0].fallbacks.items()},
        "expectations": {
            label: {
                "level": check.level,
                "expectation": check.expectation,
                "findings": [[one.topic, one.level, one.text] for one in check.findings],
            }
            for label, check in answer.checks.items()
        },
        "negative": sum(answer.summary(label).negative for label in made.labels),
    }
