"""A run folder holds what the record promises, always the same, and is finished where it is not."""

import csv
import json
import shutil
from dataclasses import replace

import pytest

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.data.predictions import read_predictions
from pertura.data.splits.files import read_split
from pertura.evaluation.files import read_scores
from pertura.models.table import load_model
from pertura.recipes.recipe import read_recipe
from pertura.recipes.record import Progress, alone
from pertura.recipes.report import write_report
from pertura.recipes.run import run
from pertura.recipes.truth import truth_table
from small_runs import CLOCK, MODELS, contents, differing, lines_file, pairs_file, small_recipe

pytestmark = pytest.mark.slow  # whole runs

TOP = {"recipe.toml", "split.json", "environment.json", "progress.json", "report.html", "comparison.csv"}
EACH = {
    *("model/model.json", "model/weights.safetensors", "predictions.h5ad", "training.jsonl", CLOCK, "card.md"),
    *("scores/results.csv", "scores/agg_results.csv", "scores/scores.json", "scores/bootstrap.safetensors"),
}


class Heard:
    """A narrator that keeps what it hears."""

    def __init__(self):
        self.stages, self.notes = [], []

    def stage(self, text, done, total):
        self.stages.append((text, done, total))

    def detail(self, text):
        pass

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def copied(finished, tmp_path):
    """A finished run that a test may damage."""
    return shutil.copytree(finished, tmp_path / "run")


def test_the_folder_holds_exactly_what_the_record_promises(finished):
    assert set(contents(finished, but=())) == TOP | {f"models/{name}/{file}" for name in MODELS for file in EACH}


def test_every_file_is_read_by_its_reader(finished, recipe):
    assert read_recipe(finished / "recipe.toml") == recipe
    split = read_split(finished / "split.json")
    for name in MODELS:
        home = finished / "models" / name
        found = read_predictions(home / "predictions.h5ad")
        assert found.split == split
        assert found.prediction.provenance.model == name
        assert load_model(home / "model").name == name
        assert read_scores(home / "scores").model == name
        assert json.loads((home / "training.jsonl").read_text())["cells_seen"] > 0
    with (finished / "comparison.csv").open() as file:
        assert {row["model"] for row in csv.DictReader(file)} == set(MODELS)


def test_the_same_seed_makes_the_same_bytes_in_another_folder(finished, recipe, tmp_path):
    write_report(run(recipe, tmp_path / "elsewhere" / "again"))
    assert differing(finished, tmp_path / "elsewhere" / "again") == []


@pytest.mark.slow
def test_another_seed_makes_other_bytes(finished, recipe, tmp_path):
    run(replace(recipe, seed=2), tmp_path)
    changed = set(differing(finished, tmp_path))
    assert {"split.json", "comparison.csv", "progress.json"} <= changed


def test_the_record_of_progress_tells_no_time(finished):
    steps = json.loads((finished / "progress.json").read_text())["steps"]
    assert set(steps) == {f"{verb} {name}" for verb in ("fit", "predict", "score") for name in MODELS}
    assert not [file for one in steps.values() for file in one["files"] if file.endswith((CLOCK, "environment.json"))]


def test_a_finished_run_is_not_done_again_and_tells_its_steps(copied, recipe):
    kept = [one for kind in ("model/*", "predictions.h5ad", "scores/*") for one in copied.glob(f"models/*/{kind}")]
    before = {one: one.stat().st_mtime_ns for one in kept}
    heard = Heard()
    run(recipe, copied, narrator=heard)
    assert {one: one.stat().st_mtime_ns for one in kept} == before
    steps = 2 + 3 * len(MODELS)
    assert [(done, total) for _, done, total in heard.stages] == [(i, steps) for i in range(steps)]
    first = [text for text, _, _ in heard.stages][:2]
    assert first == [f"small: reading {recipe.data} and splitting", "small: fitting no-change"]


HARMS = {"deleted": None, "emptied": b"", "edited": b"xx"}


def harm(path, how):
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"" if how == "emptied" else path.read_bytes()[:-2] + HARMS[how])


@pytest.mark.parametrize("how", HARMS)
def test_harm_to_one_file_of_every_step_is_mended(how, copied, finished, recipe):
    for name in ("no-change/model/weights.safetensors", "additive/predictions.h5ad", "additive/scores/scores.json"):
        harm(copied / "models" / name, how)
    harm(copied / "comparison.csv", how)
    harm(copied / "models" / "additive" / CLOCK, how)
    run(recipe, copied)
    assert differing(finished, copied) == []
    assert json.loads((copied / "models" / "additive" / CLOCK).read_text())["wall_clock_s"] >= 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("model/model.json", "model/weights.safetensors", "training.jsonl", CLOCK, "predictions.h5ad"),
        *("scores/results.csv", "scores/agg_results.csv", "scores/scores.json", "scores/bootstrap.safetensors"),
    ],
)
@pytest.mark.parametrize("how", HARMS)
def test_harm_to_any_file_of_a_step_is_mended(name, how, copied, finished, recipe):
    harm(copied / "models" / "additive" / name, how)
    run(recipe, copied)
    assert differing(finished, copied) == []
    assert json.loads((copied / "models" / "additive" / CLOCK).read_text())["wall_clock_s"] >= 0


@pytest.mark.slow
def test_harmed_tables_reports_and_cards_are_written_again(copied, finished, recipe):
    for name in ("comparison.csv", "report.html", "split.json", "models/additive/card.md", "environment.json"):
        (copied / name).write_text("harmed")
    write_report(run(recipe, copied))
    assert differing(finished, copied) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "pertura-progress", "steps": [1]}', '{"steps": {}}', "\0"]
)
def test_an_unreadable_record_of_progress_is_refused_with_the_way_out(text, copied):
    (copied / "progress.json").write_text(text)
    with pytest.raises(BadDataError, match=r"progress\.json: not readable.*delete it"):
        Progress(copied)


@pytest.mark.slow
def test_a_record_of_progress_that_is_gone_or_lies_is_not_believed(copied, finished, recipe):
    (copied / "progress.json").unlink()
    run(recipe, copied)
    record = json.loads((copied / "progress.json").read_text())
    record["steps"]["score additive"]["inputs"] = "other"
    del record["steps"]["fit additive"]
    (copied / "progress.json").write_text(json.dumps(record))
    run(recipe, copied)
    assert differing(finished, copied) == []


@pytest.mark.parametrize("change", [{"seed": 2}, {"models": ("no-change", "linear")}, {"bootstrap": 21}, {"name": "x"}])
def test_another_recipe_in_the_same_folder_is_refused(change, copied, finished, recipe):
    with pytest.raises(UsageError, match="another recipe"):
        run(replace(recipe, **change), copied)
    assert differing(finished, copied) == []


@pytest.mark.slow
def test_changed_data_are_noticed(tmp_path):
    data = pairs_file(tmp_path)
    recipe = small_recipe(data)
    run(recipe, tmp_path / "run")
    pairs_file(tmp_path, effect_sd=1.0)
    run(recipe, tmp_path / "run")
    run(recipe, tmp_path / "fresh")
    assert differing(tmp_path / "run", tmp_path / "fresh") == []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"models": ("no-change",)}, UsageError, "no score stands alone"),
        ({"models": ()}, UsageError, "no score stands alone"),
        ({"models": ("no-change", "additiv")}, UsageError, "no model 'additiv'"),
        ({"models": ("no-change", "no-change")}, UsageError, "share the folder no-change"),
        ({"emitter": "magic"}, UsageError, "no emitter 'magic'"),
        ({"preset": "magic"}, UsageError, "no preset 'magic'"),
        ({"rule": "magic"}, UsageError, "no split rule 'magic'"),
        ({"options": {"fold": 1}}, UsageError, "has no option fold"),
        ({"options": {"train_gene_fraction": "x"}}, UsageError, "it takes a number"),
        ({"options": {"train_gene_fraction": 2.0}}, UsageError, "train.gene.fraction"),
        ({"rule": "held-out-context"}, UsageError, "name the context to hold out"),
        ({"split": "nowhere.json"}, MissingError, "no such file"),
        ({"data": "nowhere.h5ad"}, MissingError, "no file"),
        ({"companions": (small_recipe("nowhere.h5ad", name="beside"),)}, MissingError, "no file"),
    ],
    ids=str,
)
def test_what_is_refused_leaves_nothing_behind(change, error, message, recipe, tmp_path):
    with pytest.raises(error, match=message):
        run(replace(recipe, **change), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_work_in_one_folder(recipe, tmp_path):
    with alone(tmp_path), pytest.raises(UsageError, match="another run is at work"):
        run(recipe, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_left_over_files_go_where_runs_write_and_nowhere_else(copied, recipe):
    homes = [copied, copied / "models/additive", copied / "models/additive/model", copied / "models/additive/scores"]
    for home in homes:
        (home / ".partial-abc-results.csv").write_text("half")
    mine = copied / "notes" / "deeper" / ".partial-mine"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    run(recipe, copied)
    assert list(copied.rglob(".partial-*")) == [mine]


@pytest.mark.slow
def test_companions_are_run_beside_in_folders_of_their_own(pairs, tmp_path):
    beside = small_recipe(lines_file(tmp_path), name="lines", models=("no-change", "context-mean"))
    screens = run(small_recipe(pairs, companions=(beside,)), tmp_path / "run")
    path = write_report(screens)
    assert path == tmp_path / "run" / "report.html"
    assert (tmp_path / "run" / "lines" / "report.html").exists()
    assert "lines/report.html" in path.read_text()
    run(beside, tmp_path / "alone")
    here = contents(tmp_path / "run" / "lines")
    there = contents(tmp_path / "alone", but=(CLOCK, "recipe.toml"))
    assert {name: here[name] for name in there} == there


def test_only_a_simulated_screen_has_a_truth(screens):
    assert truth_table(screens[0]) is None


def test_what_was_learnt_from_is_on_the_card_and_the_clock_is_not(finished):
    card = (finished / "models" / "additive" / "card.md").read_text()
    learnt = json.loads((finished / "models" / "additive" / "training.jsonl").read_text())
    assert f"**Train cells:** {learnt['cells_seen']}" in card
    clock = json.loads((finished / "models" / "additive" / CLOCK).read_text())
    assert f"{clock['wall_clock_s']}" not in card


def test_a_step_counts_while_its_inputs_and_files_are_the_same(tmp_path):
    file = tmp_path / "file"
    file.write_text("1")
    progress = Progress(tmp_path)
    progress.finish("step", "inputs", [file])
    again = Progress(tmp_path)
    assert again.finished("step", "inputs")
    assert not again.finished("step", "others")
    assert not again.finished("other", "inputs")
    file.write_text("2")
    assert not Progress(tmp_path).finished("step", "inputs")
