"""What a recipe names, turned into objects: cells, split, models."""

import hashlib
import importlib
import sys
from collections.abc import Collection
from pathlib import Path

from pertura.core.cells import Cells
from pertura.core.errors import MissingError, UsageError
from pertura.core.model import PerturbationModel
from pertura.core.split import Outline, Split
from pertura.data.anndata_io import open_cells
from pertura.data.datasets import DATASETS
from pertura.data.splits import SPLITS
from pertura.data.splits.audit import audit
from pertura.data.splits.files import read_split
from pertura.models.table import MODELS
from pertura.recipes.recipe import Recipe


def cells_of(data: str, seed: int = 0) -> Cells:
    """Return the cells of a bundled data set, an `.h5ad` or a `dataset.toml`."""
    if data in DATASETS:
        return DATASETS[data].load(seed)
    path = Path(data)
    if not path.exists():
        raise MissingError(f"no file {data!r}, and no bundled data set of that name ({', '.join(DATASETS)})")
    return open_cells(path)


def data_fingerprint(data: str) -> str:
    """Return what tells one state of the data from another: the file's sha256, or the name of what is bundled."""
    if data in DATASETS:
        return f"bundled {data}"
    # a dataset.toml holds the sha256 of its file, which is verified when the cells are opened
    with Path(data).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def split_of(recipe: Recipe, cells: Cells) -> Split:
    """Return the audited split of a recipe, made by its rule or read from its file."""
    if recipe.split:
        split = read_split(Path(recipe.split))
    else:
        if recipe.rule not in SPLITS:
            raise UsageError(f"no split rule {recipe.rule!r}; there are {', '.join(SPLITS)}")
        split = SPLITS[recipe.rule](Outline.of(cells), seed=recipe.seed, **recipe.options)
    audit(split, cells)
    return split


def model_of(spec: str, trusted: Collection[str]) -> PerturbationModel:
    """Return an unfitted model: a row of `MODELS`, or the user's class named `package.module:Class`.

    Code of the user's runs only where `trusted` names it: a recipe file alone must never run code.
    """
    if spec in MODELS:
        return MODELS[spec].build(None)
    if ":" not in spec:
        raise UsageError(f"no model {spec!r}; there are {', '.join(MODELS)}, or name yours package.module:Class")
    if spec not in trusted:
        raise UsageError(f"this recipe names code, {spec}, which no file may start; give it yourself: --model {spec}")
    return _own_model(spec)


def model_name(spec: str) -> str:
    """Return the short name under which a model's results are kept."""
    return spec.rpartition(":")[2]


def _own_model(spec: str) -> PerturbationModel:
    module, _, name = spec.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        made = getattr(importlib.import_module(module), name)()
    except ModuleNotFoundError as error:
        raise MissingError(
            f"cannot import {module!r} for --model {spec}: {error}; it was looked for in {here}"
        ) from error
    except AttributeError as error:
        raise UsageError(f"module {module!r} has no class {name!r}") from error
    lacking = [verb for verb in ("fit", "predict") if not callable(getattr(made, verb, None))]
    if lacking:
        raise UsageError(
            f"{spec} has no {' and no '.join(lacking)}; a model needs fit(cells, split, *, seed) and predict"
        )
    return made
