"""A network in a run: its files agree, it goes on where it was cut, and its seeds are told apart."""

import json
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy import stats

from pertura.core.errors import BadDataError, UsageError
from pertura.recipes.recipe import Recipe, read_recipe, write_recipe
from pertura.recipes.repeats import spread
from pertura.recipes.report import write_report
from pertura.recipes.run import run
from pertura.recipes.sources import models_of
from pertura.recipes.watching import Watching, duration, told
from pertura.training.loop import Moment
from small_runs import COMMAND, contents, differing, pairs_file, shell, small_recipe

torch.set_num_threads(1)
TINY = {
    "size": {"width": 16, "heads": 2, "hidden": 16, "layers": 1},
    "training": {"epochs": 3, "batch": 16, "checkpoint_steps": 2},
}
NAME = "scgpt"


def tiny(data: Path, **changes) -> Recipe:
    given = {"models": ("no-change", "additive", NAME), "size": "debug", "model_options": {NAME: TINY}}
    return small_recipe(data, **{**given, **changes})


@pytest.fixture(scope="module")
def screen(tmp_path_factory) -> Path:
    return pairs_file(tmp_path_factory.mktemp("screens"), targets_outside_panel=0.5)


@pytest.fixture(scope="module")
def finished(screen, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    write_report(run(tiny(screen), folder))
    return folder


@pytest.fixture
def home(finished, tmp_path) -> Path:
    """A network's folder in a copy of the run."""
    return shutil.copytree(finished, tmp_path / "run") / "models" / NAME


@pytest.mark.slow
def test_the_folder_holds_model_record_and_both_checkpoints(finished):
    found = {one.name for one in (finished / "models" / NAME).iterdir()}
    assert found == {
        *("model", "scores", "predictions.h5ad", "card.md"),
        *("training.jsonl", "training_stats.json", "best.safetensors", "last.safetensors"),
    }


@pytest.mark.slow
def test_card_report_and_files_tell_of_one_training(finished):
    home = finished / "models" / NAME
    lines = [json.loads(line) for line in (home / "training.jsonl").read_text().splitlines()]
    clock = json.loads((home / "training_stats.json").read_text())
    card = (home / "card.md").read_text()
    assert len(lines) == clock["epochs"] == 3
    assert sum(line["cells"] for line in lines) == clock["cells_seen"]
    assert clock["wall_clock_s"] == pytest.approx(sum(clock["epoch_seconds"]), abs=1e-3)
    assert f"**Cells seen:** {clock['cells_seen']:,}" in card
    assert f"**Epoch kept:** {clock['best_epoch'] + 1} of 3" in card
    assert "**batch:** 16" in card
    assert "**Ended:** after all epochs" in card
    assert f"{clock['details']['parameters']:,}" in card
    report = (finished / "report.html").read_text()
    assert "How networks were trained" in report
    assert re.search(rf"{NAME} (beats|ties with|loses to|trails|does not)", report) or NAME in report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("training_stats.json", '"cells_seen": ', '"cells_seen": 1'),
        ("training_stats.json", '"best_epoch": ', '"best_epoch": 1'),
        ("training_stats.json", '"reason": "max', '"reason": "min'),
    ],
)
def test_a_clock_file_that_contradicts_the_model_is_refused(home, name, old, new):
    text = (home / name).read_text()
    assert old in text
    (home / name).write_text(text.replace(old, new, 1))
    with pytest.raises(BadDataError, match="do not agree on"):
        run(read_recipe(home.parents[1] / "recipe.toml"), home.parents[1])


@pytest.mark.slow
def test_a_changed_record_is_made_anew_from_the_stored_training(home, finished):
    (home / "training.jsonl").write_text("{}\n")
    (home / "training_stats.json").unlink()
    run(read_recipe(home.parents[1] / "recipe.toml"), home.parents[1])
    assert differing(finished, home.parents[1]) == []


class CutError(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("moment", [1, 5])
def test_a_run_whose_training_was_cut_ends_with_the_same_bytes(moment, screen, finished, tmp_path, monkeypatch):
    heard = []

    def cut(watching, now):
        heard.append(now)
        if len(heard) == moment:
            raise CutError

    with monkeypatch.context() as patched:
        patched.setattr(Watching, "__call__", cut)
        with pytest.raises(CutError):
            run(tiny(screen), tmp_path / "run")
    with safe_open(tmp_path / "run" / "models" / NAME / "last.safetensors", "pt") as stored:
        place = json.loads(json.loads(stored.metadata()["pertura"])["place"])
    assert (place["epoch"], place["step"]) != (0, 0)
    write_report(run(tiny(screen), tmp_path / "run"))
    assert differing(finished, tmp_path / "run") == []


@pytest.mark.slow
def test_a_training_on_other_data_begins_anew(home, screen):
    """A run folder whose data changed: what was trained on the old ones must not be gone on with."""
    folder = home.parents[1]
    stored = (home / "last.safetensors").read_bytes()
    progress = json.loads((folder / "progress.json").read_text())
    for step in progress["steps"].values():
        step["inputs"] = "of another screen"
    (folder / "progress.json").write_text(json.dumps(progress))
    (home / "last.safetensors").write_bytes(b"a training on other data")
    run(read_recipe(folder / "recipe.toml"), folder)
    assert (home / "last.safetensors").read_bytes() == stored


def test_who_asks_to_stop_gets_a_stored_training_and_who_asks_twice_is_not_kept_waiting():
    class Heard:
        def stage(self, text, done, total): ...

        def detail(self, text): ...

        def note(self, text):
            notes.append(text)

    notes: list[str] = []
    watching = Watching(Heard(), "training scgpt")
    watching.before = {signal.SIGTERM: lambda number, frame: (_ for _ in ()).throw(CutError())}
    watching(Moment(0, 1, 1, 9))
    watching.hear(signal.SIGTERM, None)
    assert "stopping after this update" in notes[0]
    with pytest.raises(CutError):
        watching(Moment(0, 1, 2, 9))
    with pytest.raises(CutError):
        watching.hear(signal.SIGTERM, None)


def test_progress_is_told_in_words():
    assert told(Moment(0, 3, 2, 9, 0.51234, 300.0)) == "epoch 1 of 3, step 2 of 9, loss 0.5123, at most 5 min left"
    assert told(Moment(0, 3, 2, 9)) == "epoch 1 of 3, step 2 of 9"
    assert [duration(one) for one in (5.0, 89.0, 600.0, 7200.0)] == ["5 s", "89 s", "10 min", "2.0 h"]


@pytest.mark.slow
def test_seeds_have_scores_of_their_own_and_a_table_in_card_and_report(screen, finished, tmp_path):
    folder = tmp_path / "run"
    (made,) = run(tiny(screen, seeds=3, models=("no-change", NAME)), folder)
    write_report((made,))
    assert [one.name for one in sorted((folder / "models" / NAME / "seeds").iterdir())] == ["2", "3"]
    assert set(made.repeats) == {NAME}
    values = [one.summary("pearson_delta", "all").value for one in made.repeats[NAME]]
    assert len(set(values)) == 3
    card = (folder / "models" / NAME / "card.md").read_text()
    assert "## Over seeds" in card
    assert "| 3 |" in card
    assert "over training seeds" in (folder / "report.html").read_text()
    again = run(tiny(screen, seeds=3, models=("no-change", NAME)), folder)[0]
    assert [one.values.tobytes() for one in again.repeats[NAME]] == [one.values.tobytes() for one in made.repeats[NAME]]


def test_the_interval_over_seeds_is_student_s():
    values = [0.1, 0.4, 0.3]
    found = spread(values)
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.sd == pytest.approx(np.std(values, ddof=1))


def test_seeds_without_a_network_are_refused(screen, tmp_path):
    with pytest.raises(UsageError, match="none among the models"):
        run(tiny(screen, models=("no-change", "additive"), model_options={}, seeds=2), tmp_path)


def test_networks_take_several_priors_and_controls_of_them(screen):
    recipe = tiny(screen, models=("no-change", "scgpt+ncbi+uniprot,go-c", "scgpt+ncbi+uniprot,go-c~permuted1"))
    made = models_of(recipe, ())
    model = made["scgpt+ncbi+uniprot,go-c~permuted1"]
    assert model.names == ("ncbi+uniprot", "go-c")
    assert model.role.control == "permuted"
    with pytest.raises(UsageError, match="ridge takes one prior"):
        models_of(tiny(screen, models=("no-change", "ridge+ncbi,go-c"), model_options={}), ())
    with pytest.raises(UsageError, match="no prior 'nci'"):
        models_of(replace(recipe, models=("no-change", "scgpt+nci,go-c")), ())


def test_options_of_a_base_hold_for_it_with_a_prior_unless_this_has_its_own(screen):
    own = {NAME: TINY, "scgpt+go-c": {"training": {"epochs": 7}}}
    recipe = tiny(screen, models=("no-change", NAME, "scgpt+go-c"), model_options=own)
    assert recipe.changes_of(NAME)["training"]["epochs"] == 3
    assert recipe.changes_of("scgpt+go-c")["training"] == {**TINY["training"], "epochs": 7}
    write_recipe(recipe, screen.parent / "recipe.toml")
    assert read_recipe(screen.parent / "recipe.toml") == recipe


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_options": {"scgptt": {}}}, "did you mean scgpt"),
        ({"model_options": {NAME: {"trainin": {}}}}, "did you mean training"),
        ({"model_options": {"additive": {"x": 1}}}, "additive has no options"),
        ({"models": ("no-change", "scgenept-language"), "model_options": {}}, r"scgenept-language\+PRIOR"),
    ],
)
def test_what_a_network_does_not_take_is_refused_before_anything_is_read(changes, said, screen):
    with pytest.raises(UsageError, match=said):
        models_of(tiny(screen, **changes), ())


def started(recipe: Recipe, folder: Path) -> subprocess.Popen[str]:
    write_recipe(recipe, folder / "recipe.toml")
    command = [str(COMMAND), "run", str(folder / "recipe.toml")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def in_training(folder: Path, process: subprocess.Popen[str]) -> bool:
    """Wait for the first stored state of a training; False where the run ended before it was seen."""
    while not (folder / "models" / NAME / "last.safetensors").exists():
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True


def long(screen: Path) -> Recipe:
    """A training of a second or two, so that most moments fall into it."""
    training = {**TINY["training"], "epochs": 20}
    return tiny(screen, models=("no-change", NAME), model_options={NAME: {**TINY, "training": training}})


@pytest.fixture(scope="module")
def undisturbed(screen, tmp_path_factory) -> Path:
    """A run in a process of its own, as the killed ones: threads of this one may round otherwise."""
    folder = tmp_path_factory.mktemp("long") / "run"
    write_recipe(long(screen), folder / "recipe.toml")
    done = shell("run", folder / "recipe.toml")
    assert done.returncode == 0, done.stderr
    return folder


def killed(screen: Path, folder: Path, moment: int, sign: signal.Signals) -> subprocess.CompletedProcess[str]:
    process = started(long(screen), folder)
    if in_training(folder, process):
        time.sleep(random.Random(moment).uniform(0.0, 1.5))
    process.send_signal(sign)
    _, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess([], process.returncode, "", errors)


def check_killed(screen: Path, undisturbed: Path, folder: Path, moment: int) -> None:
    killed(screen, folder, moment, signal.SIGKILL)
    done = shell("run", folder / "recipe.toml")
    assert done.returncode == 0, done.stderr
    assert differing(undisturbed, folder) == []
    assert not list(folder.rglob(".partial-*"))


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(1))
def test_killed_while_training_it_is_finished_the_same(moment, screen, undisturbed, tmp_path):
    check_killed(screen, undisturbed, tmp_path / "run", moment)


@pytest.mark.proof
@pytest.mark.parametrize("moment", range(20))
def test_twenty_kills_at_random_moments_twenty_equal_runs(moment, screen, undisturbed, tmp_path):
    check_killed(screen, undisturbed, tmp_path / "run", 100 + moment)


@pytest.mark.slow
def test_a_polite_kill_stores_the_training_where_it_stands(screen, undisturbed, tmp_path):
    folder = tmp_path / "run"
    done = killed(screen, folder, 1, signal.SIGTERM)
    assert "Traceback" not in done.stderr
    if "scoring" not in done.stderr:
        assert done.returncode == 130
        assert "Go on with" in done.stderr
    assert shell("run", folder / "recipe.toml").returncode == 0
    assert differing(undisturbed, folder) == []


@pytest.mark.slow
def test_a_training_that_diverges_ends_with_exit_code_5_and_says_what_to_do(screen, tmp_path):
    settings = ("--set", "scgpt.training.learning_rate=1e35", "--set", "scgpt.training.epochs=2")
    done = shell("run", screen, "--model", "scgpt", "--size", "debug", *settings, "-o", tmp_path / "run")
    assert done.returncode == 5, done.stderr
    assert "lower learning_rate" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_equal_runs_leave_equal_files(screen, finished, tmp_path):
    run(tiny(screen), tmp_path / "run")
    mine, theirs = contents(tmp_path / "run"), contents(finished)
    assert {name for name in mine if mine[name] != theirs[name]} == set()
