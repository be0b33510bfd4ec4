"""A published CellFlow becomes a model folder by command; what does not concern it is refused."""

import json
from pathlib import Path

import anndata
import numpy as np
import pytest

from foreign_cellflow import write

GENES = ("G9", "G1", "G5", "G3", "G7", "G2", "G4", "G8")
REFERENCE = Path(__file__).parents[1] / "reference/cellflow"


@pytest.fixture
def published(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    vectors = {name: rng.normal(size=7).astype(np.float32) for name in "ABCD"} | {"ctrl": np.zeros(7, np.float32)}
    with np.load(REFERENCE / "cases.npz") as content:
        start = "bare_dicts:params:"
        params = {key.removeprefix(start): content[key] for key in content.files if key.startswith(start)}
    config = json.loads((REFERENCE / "cases.json").read_text())["bare_dicts"]
    components = np.linalg.qr(rng.normal(size=(len(GENES), 6)))[0], rng.random(len(GENES)) + 1
    (tmp_path / "published").mkdir()
    return write(tmp_path / "published", config, params, vectors, genes=GENES, components=components)


def test_a_published_file_becomes_a_model_that_predicts(published, command, tmp_path):
    own = tmp_path / "own"
    made = command("convert", published, "-o", own, "--mode", "activation", "--context", "K562")
    assert made.code == 0
    assert "6 of 8 genes" in made.out
    assert "same digest" in made.out
    values = np.random.default_rng(1).random((12, 8)).astype(np.float32) + 0.5
    cells = anndata.AnnData(values)
    cells.var_names, cells.obs_names = list(GENES), [f"c{i}" for i in range(12)]
    cells.write_h5ad(tmp_path / "controls.h5ad")
    asked = ["--controls", tmp_path / "controls.h5ad", "--all-cells", "--perturb", "A+B", "-o", tmp_path / "p.h5ad"]
    answered = command("predict", "--model", own, *asked)
    assert answered.code == 0, answered.err
    assert anndata.read_h5ad(tmp_path / "p.h5ad").shape == (12, 8)
    before = command("predict", "--model", published, *asked, "--force")
    assert before.code == 2
    assert "pertura convert" in before.err


def test_a_look_writes_nothing_and_options_without_effect_are_refused(published, command, tmp_path):
    looked = command("convert", published.parent, "--dry-run")
    assert looked.code == 0
    assert "nothing was written" in looked.out
    for words, said in (
        (["--mode", "activation", "--heads", "2"], "--heads does not concern a CellFlow file"),
        ([], "--mode activation"),
        (["--mode", "wrong"], "--mode activation"),
    ):
        refused = command("convert", published, "-o", tmp_path / "own", *words)
        assert refused.code == 2
        assert said in refused.err
    scgpt = command("convert", REFERENCE.parent / "scgpt/scgenept_ncbi", "--dry-run", "--context", "K562")
    assert scgpt.code == 2
    assert "--context does not concern" in scgpt.err
    assert not (tmp_path / "own").exists()
