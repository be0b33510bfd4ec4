"""`pertura evaluate` and `pertura compare` on files that a run left."""

from pathlib import Path

import pytest

from pertura.evaluation.files import read_scores
from pertura.recipes.run import run
from small_runs import MODELS, pairs_file, small_recipe

pytestmark = pytest.mark.slow  # whole runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("evaluated")
    run(small_recipe(pairs_file(made)), made / "run")
    return made / "run"


def test_a_prediction_file_is_scored_beside_its_references(command, folder, tmp_path):
    path = folder / "models" / "additive" / "predictions.h5ad"
    done = command("evaluate", "--predicted", path, "-o", tmp_path / "out", "--name", "mine", "--effort", "less")
    assert done.code == 0
    assert done.out.startswith("mine ")
    for name in ("mine", "no-change", "leave-one-out-mean", "ceiling", "floor"):
        assert f"\n{name} " in done.out
    assert "warning: " in done.out
    assert done.out.rstrip().endswith(f"wrote {tmp_path / 'out'}")
    assert read_scores(tmp_path / "out" / "models" / "mine" / "scores").model == "mine"


def test_runs_are_compared(command, folder, tmp_path):
    done = command("compare", folder, "--metric", "mse", "--subject", "no-change", "-o", tmp_path / "table.csv")
    assert done.code == 0
    assert done.out.startswith("no-change ")
    assert "mse difference" in done.out
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == set(MODELS)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--metric", "magic"), "--metric magic: the runs have pearson_delta, "),
        (("--subject", "magic"), "no scores of magic; there are additive, no-change"),
    ],
    ids=str,
)
def test_what_is_not_there_is_named_with_what_is(flags, words, command, folder):
    done = command("compare", folder, *flags)
    assert done.code == 2
    assert words in done.err
