"""`pertura predict` and `pertura embed` as they are typed."""

import anndata
import numpy as np
import pandas as pd
import pytest

from pertura.data.anndata_io import open_cells
from pertura.data.predictions import read_predictions
from pertura.data.splits.files import write_split
from pertura.models.table import MODELS
from pertura.recipes.predicting.models import split_of_run
from pertura.recipes.recipe import FILE, write_recipe
from pertura.recipes.sources import split_of
from small_runs import pairs_file, small_recipe


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run with two fitted baselines, and a file of controls without labels."""
    folder = tmp_path_factory.mktemp("place")
    screen = pairs_file(folder)
    cells, recipe = open_cells(screen), small_recipe(screen, models=("additive", "linear"))
    split = split_of(recipe, cells)
    write_recipe(recipe, folder / "run" / FILE)
    write_split(split, folder / "run/split.json")
    for name in recipe.models:
        model = MODELS[name].build(None)
        model.fit(split.visible(cells), split, seed=1)
        model.save(folder / "run/models" / name / "model")
    rows = np.flatnonzero(cells.is_control)[:8]
    controls = anndata.AnnData(
        cells.dense(rows).astype(np.float32),
        obs=pd.DataFrame(index=[f"mine-{i}" for i in range(8)]),
        var=pd.DataFrame(index=list(cells.genes)),
    )
    controls.write_h5ad(folder / "mine.h5ad")
    return folder


def test_cells_table_and_figure_of_two_models(place, command, tmp_path):
    genes = open_cells(place / "pairs.h5ad").perturbed[0].genes
    done = command(
        "predict", "--model", place / "run/models/additive", "--model", place / "run/models/linear",
        "--controls", place / "mine.h5ad", "--perturb", genes[0], "-o", tmp_path / "pred.h5ad",
        "--plot", tmp_path / "top20.png", "--table", tmp_path / "genes.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    for said in ("all 8 cells count as controls", "trained on, in line-a", "memory:"):
        assert said in done.out
    stored = anndata.read_h5ad(tmp_path / "pred.h5ad")
    assert stored.shape == (8, 40)
    assert list(stored.obs_names) == [f"mine-{i}" for i in range(8)]
    table = pd.read_csv(tmp_path / "genes.csv")
    assert len(table) == 80
    assert {"log2_fold_change", "sd_over_members", "linear_baseline_mean", "is_target"} <= set(table.columns)
    assert (tmp_path / "top20.png").stat().st_size > 5000
    assert (tmp_path / "top20.figure.csv").exists()


def test_a_part_of_the_split_stands_beside_what_was_observed(place, command, tmp_path):
    done = command(
        "predict", "--model", place / "run/models/additive", "--part", "test", "-o", tmp_path / "pred.h5ad",
        "--plot", tmp_path / "top20.svg", "--table", tmp_path / "genes.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "observed cells" in (tmp_path / "top20.svg").read_text()
    table = pd.read_csv(tmp_path / "genes.csv")
    assert table.observed_mean.notna().all()
    stored = read_predictions(tmp_path / "pred.h5ad")
    assert set(stored.prediction.conditions) == set(split_of_run(place / "run").test)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--perturb", "NOGENE"), 2, "NOGENE"),
        ((), 2, "nothing to predict"),
        (("--perturb", "G00", "--mode", "magic"), 2, "--mode magic"),
        (("--perturb", "G00", "--plot", "figure.txt"), 2, "--plot figure.txt"),
        (("--perturb", "G00", "--part", "test"), 2, "--part"),
    ],
)
def test_what_cannot_be_asked_has_its_exit_code(place, command, arguments, code, said, tmp_path):
    done = command(
        "predict", "--model", place / "run/models/linear", "--controls", place / "mine.h5ad", *arguments,
        "-o", tmp_path / "pred.h5ad",
    )  # fmt: skip
    assert done.code == code
    assert said in done.err
    assert not (tmp_path / "pred.h5ad").exists()


def test_a_dry_run_says_all_and_writes_nothing(place, command, tmp_path):
    genes = open_cells(place / "pairs.h5ad").perturbed[0].genes
    done = command(
        "predict", "--model", place / "run/models/linear", "--controls", place / "mine.h5ad", "--perturb", genes[0],
        "-o", tmp_path / "pred.h5ad", "--dry-run",
    )  # fmt: skip
    assert done.code == 0
    assert "memory: about" in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_the_hub_that_is_not_at_hand_is_exit_code_four(place, command, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = command("embed", place / "mine.h5ad", "--model", "u-cellm/scGPT-whole-human@v1", "-o", tmp_path / "out.h5ad")
    assert done.code == 4
    assert "best_model.pt" in done.err
