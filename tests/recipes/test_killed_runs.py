"""A run killed at any write and started again leaves the bytes of one that was never killed."""

import os
import signal
import warnings
from pathlib import Path

import pytest

from pertura.core import atomic
from pertura.recipes.recipe import Recipe
from pertura.recipes.run import run
from small_runs import contents

pytestmark = pytest.mark.slow  # whole runs

FAST = (14, 23)
WRITES = 28
"""Of a run of two models: recipe, split, environment; five a fit, two a prediction, five a score; the comparison."""


def killed_at(write: int, recipe: Recipe, folder: Path) -> bool:
    """Run in a child that is killed just before its file number `write` gets its name; whether it came so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside library threads
        child = os.fork()
    if child == 0:
        left = iter(range(write))

        def replace(temporary: Path, final: Path) -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            os.rename(temporary, final)

        try:
            atomic.os = type("os", (), {**vars(os), "replace": staticmethod(replace)})
            run(recipe, folder)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def same_as_never_killed(folder: Path, finished: Path) -> None:
    """Cards and report are written after the run proper."""
    whole = {name: content for name, content in contents(finished).items() if not name.endswith((".md", ".html"))}
    assert contents(folder) == whole


def check(write: int, recipe: Recipe, finished: Path, folder: Path) -> None:
    assert killed_at(write, recipe, folder)
    assert len(list(folder.rglob(".partial-*"))) == 1
    run(recipe, folder)
    same_as_never_killed(folder, finished)


@pytest.mark.parametrize("write", FAST)
def test_killed_at_a_write(write, recipe, finished, tmp_path):
    check(write, recipe, finished, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("write", sorted(set(range(WRITES)) - set(FAST)))
def test_killed_at_any_write(write, recipe, finished, tmp_path):
    check(write, recipe, finished, tmp_path / "run")


@pytest.mark.slow
def test_killed_again_and_again(recipe, finished, tmp_path):
    kills = 0
    while killed_at(9, recipe, tmp_path / "run"):
        kills += 1
        assert kills < WRITES
    assert kills >= 3
    run(recipe, tmp_path / "run")
    same_as_never_killed(tmp_path / "run", finished)


@pytest.mark.slow
def test_no_more_writes_than_thought(recipe, tmp_path):
    assert not killed_at(WRITES, recipe, tmp_path / "run")
