"""One small screen and one finished run of it, made once and never changed by a test."""

from pathlib import Path

import pytest

from pertura.recipes.recipe import Recipe
from pertura.recipes.report import write_report
from pertura.recipes.run import Screen, run
from small_runs import pairs_file, small_recipe


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Path:
    return pairs_file(tmp_path_factory.mktemp("screens"))


@pytest.fixture(scope="session")
def recipe(pairs) -> Recipe:
    return small_recipe(pairs)


@pytest.fixture(scope="session")
def screens(recipe, tmp_path_factory) -> tuple[Screen, ...]:
    """An uninterrupted run with its report."""
    made = run(recipe, tmp_path_factory.mktemp("finished") / "run")
    write_report(made)
    return made


@pytest.fixture(scope="session")
def finished(screens) -> Path:
    """The folder of that run; copy it to change it."""
    return screens[0].folder
