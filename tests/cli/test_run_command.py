"""`pertura run` as a newcomer types it: odd names, other folders, own models, plans, and what goes to which stream."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pertura.cli import run as run_module
from pertura.recipes.recipe import read_recipe, write_recipe
from pertura.recipes.table import RECIPES, baselines
from small_runs import contents, lines_file, pairs_file, small_recipe

pytestmark = pytest.mark.slow  # whole runs

OWN = """
import pertura


class MyModel:
    def fit(self, cells, split, *, seed):
        self.delta = pertura.training_pseudobulk(cells, split).deltas.mean(axis=0) / 2

    def predict(self, controls, conditions, *, seed):
        start = controls.dense(controls.control_rows(conditions[0].context)).mean(axis=0)
        means = {one: (start + self.delta)[None] for one in conditions}
        return pertura.Prediction(controls.genes, means, pertura.Provenance("MyModel"))
"""


@pytest.fixture(scope="module")
def screens(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("screens")
    pairs_file(folder)
    lines_file(folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Two models and few draws where the command would take all baselines."""
    from pertura.recipes import table

    def few(data, *, name="baselines", companions=()):
        return replace(small_recipe(data, name=name), companions=companions)

    monkeypatch.setattr(table, "baselines", few)


@pytest.fixture
def made(monkeypatch):
    """The recipes and folders that the command would run, without running them."""
    found = []
    monkeypatch.setattr(run_module, "_run", lambda recipe, folder, own: found.append((recipe, folder, own)))
    return found


def test_results_go_to_stdout_and_progress_to_stderr(command, here, screens, quick):
    """With a relative path, a space and other alphabets in the name."""
    (here / "odd dir").mkdir()
    (here / "odd dir" / "Läufe 屏幕 [1].h5ad").write_bytes((screens / "pairs.h5ad").read_bytes())
    done = command("run", "odd dir/Läufe 屏幕 [1].h5ad")
    folder = here / "runs" / "Läufe 屏幕 [1]"
    assert done.code == 0
    assert [line.partition("] ")[0] for line in done.err.splitlines()] == [
        *(f"[{i}/8" for i in range(1, 9)),
        "writing the report",
    ]
    sentence = next(line for line in done.out.splitlines() if "pearson_delta difference" in line)
    assert sentence in (folder / "report.html").read_text()
    assert done.out.rstrip().endswith("report: runs/Läufe 屏幕 [1]/report.html")
    assert read_recipe(folder / "recipe.toml").data == str(here / "odd dir" / "Läufe 屏幕 [1].h5ad")


@pytest.mark.slow
def test_a_run_of_a_relative_path_goes_on_from_any_folder(command, here, screens, quick, monkeypatch):
    (here / "pairs.h5ad").write_bytes((screens / "pairs.h5ad").read_bytes())
    assert command("run", "pairs.h5ad", "-o", "mine").code == 0
    before = contents(here / "mine")
    (here / "mine" / "comparison.csv").unlink()
    monkeypatch.chdir("/")
    assert command("run", here / "mine" / "recipe.toml").code == 0
    assert contents(here / "mine") == before


def test_a_screen_is_inspected_and_then_run_by_its_manifest(command, here, screens, quick):
    assert command("inspect", screens / "lines.h5ad", "-o", "lines.toml").code == 0
    rule = ("--rule", "held-out-context", "--option", "context=line-b", "--option", "controls=unseen")
    done = command("run", "lines.toml", *rule, "-o", "held out", "--dry-run")
    assert done.code == 0
    assert "held-out-context" in done.out
    assert "line-a, line-b" in done.out
    assert sorted(one.name for one in here.iterdir()) == ["lines.toml"]


@pytest.mark.slow
def test_a_manifest_run_holds_a_context_out(command, here, screens, quick):
    command("inspect", screens / "lines.h5ad", "-o", "lines.toml")
    rule = ("--rule", "held-out-context", "--option", "context=line-b", "--option", "controls=unseen")
    assert command("run", "lines.toml", *rule, "-o", "held out").code == 0
    split = json.loads((here / "held out" / "split.json").read_text())
    assert split["unseen"] == ["line-b"]
    assert all(one.endswith("@line-b") for one in split["test"])


@pytest.mark.slow
def test_an_own_model_in_the_working_folder_is_judged(command, here, screens, quick):
    (here / "mypackage0.py").write_text(OWN)
    done = command("run", screens / "pairs.h5ad", "--model", "mypackage0:MyModel", "-o", "own")
    assert done.code == 0
    assert "\nMyModel " in done.out
    refused = command("run", "own/recipe.toml")
    assert refused.code == 2
    assert "--model mypackage0:MyModel" in refused.err
    assert command("run", "own/recipe.toml", "--model", "mypackage0:MyModel").code == 0


def test_a_dry_run_writes_nothing(command, here, screens):
    done = command("run", screens / "pairs.h5ad", "--dry-run")
    assert done.code == 0
    assert "would write runs/pairs" in done.out
    assert "estimate" in done.out
    assert list(here.iterdir()) == []


def test_flags_become_the_recipe(command, here, screens, made):
    data = str(screens / "pairs.h5ad")
    flags = ("--seed", 3, "--emitter", "constant", "--bootstrap", 30, "--rule", "folds", "--option", "fold=2")
    assert command("run", data, *flags, "-o", "x").code == 0
    (recipe, folder, own) = made[0]
    expected = replace(baselines(data, name="pairs"), seed=3, emitter="constant", bootstrap=30)
    assert recipe == replace(expected, rule="folds", options={"fold": 2})
    assert (folder, own) == (Path("x"), ())


def test_a_model_given_twice_is_one(command, here, made):
    command("run", "norman-500", "--model", "json:One", "--model", "json:Two", "--model", "json:One")
    assert made[0][0].models == (*baselines("norman-500").models, "json:One", "json:Two")


def test_a_context_called_by_a_number_stays_a_text(command, here, made):
    command("run", "norman-500", "--rule", "held-out-context", "--option", "context=5637")
    assert made[0][0].options == {"context": "5637"}


def test_the_seed_of_the_demo_is_that_of_all_its_screens(command, here, made):
    command("run", "demo", "--seed", 7, "--rule", "folds")
    recipe = made[0][0]
    assert [one.seed for one in (recipe, *recipe.companions)] == [7, 7]
    assert (recipe.rule, recipe.companions[0].rule) == ("folds", RECIPES["demo"]().rule)


def test_a_split_file_is_kept_by_its_whole_path(command, here, made):
    command("run", "norman-500", "--split", "split.json")
    assert made[0][0].split == str(here / "split.json")


@pytest.mark.parametrize(
    "flags",
    [("--seed", "2"), ("--rule", "folds"), ("--option", "train-gene-fraction=0.5"), ("--emitter", "constant")],
    ids=str,
)
def test_a_record_is_not_changed_by_flags(flags, command, here, made):
    write_recipe(small_recipe("norman-500"), here / "run" / "recipe.toml")
    done = command("run", "run/recipe.toml", *flags)
    assert done.code == 2
    assert "says all of its run" in done.err
    assert command("run", "run/recipe.toml", "--seed", "1").code == 0
    assert made == [(small_recipe("norman-500"), Path("run"), ())]


def test_a_record_may_be_repeated_elsewhere(command, here, made):
    write_recipe(small_recipe("norman-500"), here / "run" / "recipe.toml")
    command("run", "run/recipe.toml", "-o", "again")
    assert made[0][1] == Path("again")


def test_a_model_that_the_record_does_not_name_is_refused(command, here, made):
    write_recipe(small_recipe("norman-500"), here / "run" / "recipe.toml")
    assert command("run", "run/recipe.toml", "--model", "json:Other").code == 2


@pytest.mark.parametrize(
    "content", [b"\x89HDF\r\n\x1a\n", b"seed = ", b'format = "pertura-recipe"\nversion = 1\nsed = 1\n']
)
def test_a_broken_record_is_bad_data(content, command, here):
    (here / "recipe.toml").write_bytes(content)
    done = command("run", "recipe.toml")
    assert done.code == 3
    assert done.err.startswith("pertura: recipe.toml: ")


def test_another_recipe_in_the_folder_is_refused(command, here, screens):
    write_recipe(small_recipe("norman-500"), here / "run" / "recipe.toml")
    done = command("run", screens / "pairs.h5ad", "-o", "run")
    assert done.code == 2
    assert "run holds a run of another recipe" in done.err
