"""Stopped or killed at any moment, a run is finished by `pertura run FOLDER/recipe.toml`, byte for byte."""

import random
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pertura.recipes.recipe import write_recipe
from pertura.recipes.report import write_report
from pertura.recipes.run import run
from small_runs import COMMAND, differing, pairs_file, shell, small_recipe

pytestmark = pytest.mark.slow  # whole runs


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return small_recipe(pairs_file(tmp_path_factory.mktemp("a screen")))


@pytest.fixture(scope="module")
def undisturbed(recipe, tmp_path_factory) -> Path:
    """A run that nothing disturbed, without cards and report."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(recipe, folder)
    return folder


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory) -> Path:
    """The same with cards and report."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    write_report(run(recipe, folder))
    return folder


def started(recipe, folder: Path) -> subprocess.Popen[str]:
    write_recipe(recipe, folder / "recipe.toml")
    command = [str(COMMAND), "run", str(folder / "recipe.toml")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stopped_at(process: subprocess.Popen[str], stage: str, sign: signal.Signals) -> str:
    """Send the signal when this stage begins; return the rest of what is told."""
    assert process.stderr is not None
    for line in process.stderr:
        if stage in line:
            process.send_signal(sign)
            break
    _, told = process.communicate(timeout=120)
    return told


WAY_ON = r"pertura: interrupted; finished steps are kept. Go on with:\n  pertura (run .*)\n"


def test_stopped_while_predicting_it_says_how_to_go_on_and_does(recipe, undisturbed, tmp_path, command, monkeypatch):
    """In this process, and without the report, to be quick."""
    folder = tmp_path / "my run"
    write_recipe(recipe, folder / "recipe.toml")
    monkeypatch.setattr("pertura.recipes.report.write_report", lambda screens: screens[0].folder / "report.html")
    with monkeypatch.context() as patched:
        patched.setattr("pertura.recipes.run.predict", lambda *given, **named: signal.raise_signal(signal.SIGINT))
        done = command("run", folder / "recipe.toml")
    assert done.code == 130
    assert "Traceback" not in done.err
    again = re.search(WAY_ON, done.err)
    assert again is not None, done.err
    monkeypatch.chdir("/")
    assert command(*shlex.split(again[1])).code == 0
    assert differing(undisturbed, folder) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sign", "stage"),
    [
        pytest.param(signal.SIGINT, "fitting additive", marks=pytest.mark.proof),
        (signal.SIGTERM, "scoring additive"),
        pytest.param(signal.SIGINT, "writing the report", marks=pytest.mark.proof),
        pytest.param(signal.SIGTERM, "reading", marks=pytest.mark.proof),
    ],
)
def test_a_stopped_run_says_how_to_go_on_and_does(sign, stage, recipe, whole, tmp_path):
    folder = tmp_path / "my run"
    process = started(recipe, folder)
    told = stopped_at(process, stage, sign)
    assert process.returncode == 130
    assert "Traceback" not in told
    again = re.search(WAY_ON, told)
    assert again is not None, told
    assert not list(folder.rglob(".partial-*"))
    done = shell(*shlex.split(again[1]))
    assert done.returncode == 0, done.stderr
    assert f"report: {folder / 'report.html'}" in done.stdout
    assert differing(whole, folder) == []


@pytest.mark.slow
def test_stopped_before_anything_was_written_it_says_so(recipe, tmp_path):
    process = subprocess.Popen(
        [str(COMMAND), "run", recipe.data, "-o", str(tmp_path / "run")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    told = stopped_at(process, "reading", signal.SIGINT)
    assert process.returncode == 130
    assert "pertura: interrupted before anything was written; give the same command again" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0, *(pytest.param(moment, marks=pytest.mark.proof) for moment in range(1, 20))])
def test_killed_at_a_random_moment_it_is_finished_the_same(moment, recipe, whole, tmp_path):
    """Some moments fall into starting Python, most into the run, some into the report."""
    process = started(recipe, tmp_path / "run")
    time.sleep(random.Random(moment).uniform(1.0, 4.5))
    process.kill()
    process.communicate()
    done = shell("run", tmp_path / "run" / "recipe.toml")
    assert done.returncode == 0, done.stderr
    assert differing(whole, tmp_path / "run") == []
    assert not list(tmp_path.rglob(".partial-*"))
