"""A run folder with fitted models in it, small enough to be made in a second."""

from pathlib import Path

import pytest

from pertura.core.cells import Cells
from pertura.core.split import Split
from pertura.data.anndata_io import open_cells
from pertura.data.splits.files import write_split
from pertura.models.scgpt.model import ScGPT
from pertura.models.scgpt.options import NetworkSize, ScGPTOptions
from pertura.models.table import MODELS
from pertura.recipes.recipe import FILE, write_recipe
from pertura.recipes.sources import split_of
from pertura.training.options import TrainingOptions
from small_runs import pairs_file, small_recipe

TRAINING = TrainingOptions(epochs=1, batch=16, learning_rate=3e-3, patience=None)
SMALL = ScGPTOptions(
    from_random=True,
    size=NetworkSize(width=8, heads=2, hidden=8, layers=1, dropout=0.0),
    max_genes=24,
    most_cells=4,
    training=TRAINING,
)


@pytest.fixture(scope="session")
def screen_file(tmp_path_factory) -> Path:
    return pairs_file(tmp_path_factory.mktemp("screen"))


@pytest.fixture(scope="session")
def cells(screen_file) -> Cells:
    return open_cells(screen_file)


@pytest.fixture(scope="session")
def split(screen_file, cells) -> Split:
    return split_of(small_recipe(screen_file), cells)


@pytest.fixture(scope="session")
def run(screen_file, cells, split, tmp_path_factory) -> Path:
    """Not scored: models are named one by one. The network has two seeds."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_recipe(small_recipe(screen_file, models=("additive", "linear", "scgpt")), folder / FILE)
    write_split(split, folder / "split.json")
    visible = split.visible(cells)
    for name in ("additive", "linear"):
        model = MODELS[name].build(None)
        model.fit(visible, split, seed=1)
        model.save(folder / "models" / name / "model")
    for seed, place in ((1, "model"), (2, "seeds/2/model")):
        network = ScGPT(SMALL)
        network.fit(visible, split, seed=seed)
        network.save(folder / "models/scgpt" / place)
    return folder
