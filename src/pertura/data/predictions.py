"""Predicted cells beside the observed ones, in one .h5ad file that is written and read in blocks."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import anndata.io
import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from pertura.core.atomic import replacing
from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, MissingError
from pertura.core.expression import blocks
from pertura.core.perturbation import Condition, Mode, Perturbation, Target
from pertura.core.prediction import Prediction, Provenance
from pertura.core.split import Split
from pertura.data.backed import BackedRows
from pertura.data.elements import read_element
from pertura.data.stores import Group, files_of, is_store, names_in, opened, size_of
from pertura.data.validate import walk_file

FORMAT = "pertura-predictions"
FORMAT_VERSION = 1
CONTROL = "ctrl"
CHUNK = (64, 1024)
"""Cells and genes of a compressed piece. Measured at 2,000 x 6,546 cells: control-shifted cells take 20 MB (CSR: 26),
observed ones 6 MB (CSR: 5); byte shuffling makes both larger, because values of log-normalised counts repeat."""
CACHE_BYTES = 64 << 20
REMEDY = "write it with `pertura predict` or `pertura run`"
Rows = Int[np.ndarray, " cells"]


@dataclass(frozen=True, eq=False)
class PredictionFile:
    """A prediction read from its file, with what it is judged against. Expression stays on disk until asked for.

    `observed` holds the observed cells of the predicted conditions and the controls of both sides; `split` is the one
    the prediction was made under. `negative` counts the predicted values below zero that were written as zero.
    """

    path: Path
    prediction: Prediction
    observed: Cells
    split: Split
    negative: int = 0


@dataclass(frozen=True, eq=False)
class StoredCells(Mapping[Condition, Float[np.ndarray, "cells genes"]]):
    """The predicted cells of each condition, read when they are asked for."""

    stored: BackedRows
    rows: Mapping[Condition, Rows]

    def __getitem__(self, condition: Condition) -> Float[np.ndarray, "cells genes"]:
        return np.asarray(self.stored.rows(self.rows[condition]))

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, condition: object) -> bool:
        return condition in self.rows


# ---- writing


def write_predictions(
    path: Path, prediction: Prediction, observed: Cells, split: Split, *, model_name: str | None = None
) -> None:
    """Write predicted and observed cells, row for row, and after them all controls of the same contexts.

    `X` holds the predicted cells, `layers["truth"]` the observed ones, controls are the same in both; float32. Values
    below zero are written as zero and counted. Equal input makes equal bytes. Raises `BadDataError` where a condition
    has no observed cells, another number of them than predicted, or a predicted value is not finite.
    """
    layout = _Layout.of(prediction, observed.with_genes(prediction.genes), split)
    name = model_name or prediction.provenance.model
    with replacing(path) as temporary, h5py.File(temporary, "w", rdcc_nbytes=CACHE_BYTES) as file:
        file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
        negative = _write_matrix(file, "X", layout, layout.predicted(name))
        for group in ("layers", "obsm", "varm", "obsp", "varp"):
            anndata.io.write_elem(file, group, {})
        _write_matrix(file, "layers/truth", layout, blocks(layout.cells.expression, layout.rows))
        anndata.io.write_elem(file, "obs", layout.obs())
        anndata.io.write_elem(file, "var", pd.DataFrame(index=pd.Index(prediction.genes, dtype=object)))
        anndata.io.write_elem(file, "uns", _uns(prediction, observed, split, name, negative))


@dataclass(frozen=True, eq=False)
class _Layout:
    """Which observed row stands where in the file: conditions sorted, then the controls."""

    prediction: Prediction
    cells: Cells
    split: Split

    @classmethod
    def of(cls, prediction: Prediction, cells: Cells, split: Split) -> "_Layout":
        if not prediction.conditions:
            raise BadDataError(f"model {prediction.provenance.model} predicted no condition")
        unobserved = [one.label for one in prediction.conditions if not len(cells.rows_of(one))]
        if unobserved:
            raise BadDataError(
                f"no observed cells of {len(unobserved)} predicted conditions: {', '.join(unobserved[:6])}",
                remedy="a prediction file sets predicted beside observed cells; write these conditions elsewhere",
            )
        return cls(prediction, cells, split)

    @cached_property
    def control_rows(self) -> Rows:
        contexts = sorted({one.context for one in self.prediction.conditions})
        sides = (self.split.model_controls, self.split.judge_controls)
        return np.unique(np.concatenate([side(self.cells, name) for name in contexts for side in sides]))

    @cached_property
    def rows(self) -> Rows:
        perturbed = [self.cells.rows_of(one) for one in self.prediction.conditions]
        return np.concatenate([*perturbed, self.control_rows])

    def predicted(self, name: str) -> Iterator[Float[np.ndarray, "cells genes"]]:
        """Yield what X holds, a condition or a block of controls at a time."""
        for one in self.prediction.conditions:
            values = np.asarray(self.prediction.cells[one])
            wanted = len(self.cells.rows_of(one))
            if values.shape != (wanted, len(self.cells.genes)):
                raise BadDataError(
                    f"model {name} has {values.shape} values for {one}, observed are {wanted} cells",
                    remedy="predict as many cells as were observed; mean profiles become cells in `predict`",
                )
            if not np.isfinite(values).all():
                raise BadDataError(f"model {name}: a predicted value of {one} is not finite")
            yield values
        yield from blocks(self.cells.expression, self.control_rows)

    def obs(self) -> pd.DataFrame:
        """Return a row for each cell of the file."""
        cells, rows = self.cells, self.rows
        conditions = [cells.conditions[code] for code in cells.codes[rows]]
        columns = {
            "condition": pd.Categorical([_spelled(one) for one in conditions]),
            "context": pd.Categorical([one.context for one in conditions]),
            "mode": pd.Categorical([_modes(one) for one in conditions]),
            "control_part": pd.Categorical(self._parts(cells.ids[rows], conditions)),
            "fallback": pd.Categorical([self.prediction.fallbacks.get(one, "") for one in conditions]),
        }
        if cells.batch_codes is not None:
            columns["batch"] = pd.Categorical([cells.batches[code] for code in cells.batch_codes[rows]])
        frame = pd.DataFrame(columns, index=pd.Index([str(one) for one in cells.ids[rows]], dtype=object))
        if cells.library_sizes is not None:
            frame["library_size"] = cells.library_sizes[rows]
        return frame

    def _parts(self, ids: Shaped[np.ndarray, " cells"], conditions: Sequence[Condition]) -> list[str]:
        sides: dict[str, str] = {}
        for partition in self.split.controls.values():
            sides |= dict.fromkeys(partition.model, "model")
            sides |= {one: "both" if one in sides else "judge" for one in partition.judge}
        return [sides[str(i)] if one.is_control else "" for i, one in zip(ids, conditions, strict=True)]


def _write_matrix(file: h5py.File, place: str, layout: _Layout, parts: Iterable[Float[np.ndarray, "_ genes"]]) -> int:
    """Write parts one below the other; return how many values were negative and became zero."""
    shape = (len(layout.rows), len(layout.cells.genes))
    chunks = tuple(max(min(have, most), 1) for have, most in zip(shape, CHUNK, strict=True))
    data = file.create_dataset(
        place, shape=shape, dtype=np.float32, chunks=chunks, compression="gzip", compression_opts=1, track_times=False
    )
    data.attrs["encoding-type"], data.attrs["encoding-version"] = "array", "0.2.0"
    start = negative = 0
    for part in parts:
        negative += int((part < 0).sum())
        data[start : start + len(part)] = np.maximum(part, 0.0).astype(np.float32)
        start += len(part)
    return negative


def _uns(prediction: Prediction, observed: Cells, split: Split, name: str, negative: int) -> dict[str, str]:
    provenance = asdict(prediction.provenance)
    record = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "provenance": {**provenance, "model": name, "modes": [str(mode) for mode in prediction.provenance.modes]},
        "observed": {"name": observed.name, "scale": asdict(observed.scale), "notes": list(observed.notes)},
        "split": split.to_json(),
        "split_fingerprint": split.fingerprint,
        "negative": negative,
        "condition_column": "condition",
        "control_label": CONTROL,
    }
    known = {"model": name, "dataset": observed.name, "split": split.name, "pert_col": "condition"}
    return {"pertura": json.dumps(record, sort_keys=True), **known, "control_label": CONTROL}


def _spelled(condition: Condition) -> str:
    if condition.is_control:
        return CONTROL
    label = "+".join(target.gene for target in sorted(condition.perturbation.targets))
    return f"{label}+{CONTROL}" if condition.perturbation.is_single else label


def _modes(condition: Condition) -> str:
    return "+".join(target.mode for target in sorted(condition.perturbation.targets))


# ---- reading


def read_predictions(path: Path, *, walked: bool = False) -> PredictionFile:
    """Return a prediction and the observed cells beside it; cells are read from the file when they are asked for.

    A file from outside is first looked through in a limited child process; give `walked` for one just written here.
    Anything that `write_predictions` would not have written raises `BadDataError`.
    """
    if not walked:
        _look_through(path)
    try:
        with opened(path) as file:
            return _read(path, file)
    except FileNotFoundError as error:
        raise MissingError(f"{path}: no such file") from error
    except (LookupError, TypeError, ValueError, AttributeError, OSError, RecursionError) as error:
        problem = f"not a prediction file: {type(error).__name__}: {error}"
        raise BadDataError(problem, file=path, remedy=REMEDY) from error


def is_prediction_file(path: Path) -> bool:
    """Whether a file holds the record of `write_predictions`; what is no sound .h5ad at all raises `BadDataError`."""
    _look_through(path)
    with opened(path) as file:
        return "pertura" in names_in(file.get("uns"))


def _look_through(path: Path) -> None:
    if not path.exists() or (path.is_dir() and not is_store(path)):
        raise MissingError(f"{path}: no such file")
    _walk_once(path, size_of(path), max((one.stat().st_mtime_ns for one in files_of(path)), default=0))


@lru_cache(maxsize=64)
def _walk_once(path: Path, size: int, modified: int) -> None:
    """Walk a file unless it was walked before and has not changed since; size and time are the key of the cache."""
    walk_file(path)


def _read(path: Path, file: Group) -> PredictionFile:
    record = _record(path, file)
    obs: pd.DataFrame = read_element(file["obs"])
    genes = tuple(str(one) for one in read_element(file["var"]).index)
    for place in ("X", "layers/truth"):
        if file[place].shape != (len(obs), len(genes)):
            raise ValueError(f"{place} is {file[place].shape}, not {len(obs)} cells x {len(genes)} genes")
    split = Split.from_json(record["split"])
    if split.fingerprint != record["split_fingerprint"]:
        raise ValueError("the split in it does not match its fingerprint")
    observed = _observed(path, obs, genes, record["observed"])
    prediction = Prediction(
        genes=genes,
        cells=StoredCells(BackedRows(path), {one: observed.rows_of(one) for one in observed.perturbed}),
        provenance=_provenance(record["provenance"]),
        fallbacks=_fallbacks(obs, observed),
    )
    return PredictionFile(path, prediction, observed, split, int(record["negative"]))


def _record(path: Path, file: Group) -> dict[str, Any]:
    if "pertura" not in names_in(file.get("uns")):
        raise BadDataError("not a prediction file: there is no record of what made it", file=path, remedy=REMEDY)
    record = json.loads(read_element(file["uns/pertura"]))
    if record["format"] != FORMAT or record["version"] != FORMAT_VERSION:
        raise ValueError(f"format {record['format']!r} version {record['version']!r}")
    return record


def _observed(path: Path, obs: pd.DataFrame, genes: tuple[str, ...], about: Mapping[str, Any]) -> Cells:
    keys = list(zip(*(obs[name].astype(str) for name in ("condition", "context", "mode")), strict=True))
    named = {key: _condition(*key) for key in sorted(set(keys))}
    conditions = tuple(sorted(set(named.values())))
    code = {one: place for place, one in enumerate(conditions)}
    batches: tuple[str, ...] = ()
    batch_codes = None
    if "batch" in obs:
        values = obs["batch"].astype("category")
        batches, batch_codes = tuple(str(one) for one in values.cat.categories), values.cat.codes.to_numpy(np.int64)
    return Cells(
        expression=BackedRows(path, "layers/truth"),
        genes=genes,
        ids=obs.index.to_numpy(dtype=object),
        conditions=conditions,
        codes=np.asarray([code[named[key]] for key in keys], dtype=np.int64),
        scale=Scale(**about["scale"]),
        batches=batches,
        batch_codes=batch_codes,
        library_sizes=obs["library_size"].to_numpy(np.float64) if "library_size" in obs else None,
        name=str(about["name"]),
        notes=tuple(about["notes"]),
    )


def _condition(text: str, context: str, modes: str) -> Condition:
    if text == CONTROL:
        return Condition(Perturbation(), context)
    genes = text.removesuffix(f"+{CONTROL}").split("+")
    targets = zip(genes, modes.split("+"), strict=True)
    return Condition(Perturbation(frozenset(Target(gene, Mode(mode)) for gene, mode in targets)), context)


def _fallbacks(obs: pd.DataFrame, observed: Cells) -> dict[Condition, str]:
    reasons = obs["fallback"].astype(str).to_numpy()
    found = {one: str(reasons[observed.rows_of(one)[0]]) for one in observed.perturbed}
    return {one: why for one, why in found.items() if why}


def _provenance(content: Mapping[str, Any]) -> Provenance:
    scale = content["scale"]
    return Provenance(
        **{
            **content,
            "modes": tuple(Mode(mode) for mode in content["modes"]),
            "scale": None if scale is None else Scale(**scale),
        }
    )
