"""Scores of several runs side by side: told apart by name, refused where they do not compare."""

import shutil
from dataclasses import replace

import pytest

from pertura.comparison.compare import compare
from pertura.core.errors import BadDataError, MissingError
from pertura.evaluation.files import read_scores, write_scores
from pertura.recipes.runs import scores_of_runs
from small_runs import MODELS

pytestmark = pytest.mark.slow  # whole runs


@pytest.fixture
def two(finished, tmp_path):
    """A finished run, and one of the same split whose additive model scored otherwise."""
    other = tmp_path / "other"
    shutil.copytree(finished / "models", other / "models")
    home = other / "models" / "additive" / "scores"
    scores = read_scores(home)
    write_scores(replace(scores, values=scores.values + 0.1), home)
    return finished, other


def names(scores):
    return [one.model for one in scores]


def test_one_run_has_its_models(finished):
    assert names(scores_of_runs([finished])) == sorted(MODELS)


def test_equal_scores_are_taken_once_and_unequal_ones_told_apart(two):
    assert names(scores_of_runs(two)) == ["run/additive", "no-change", "other/additive"]
    made = compare(scores_of_runs(two))
    assert made.difference.conditions > 0


def test_the_same_run_twice_is_one(finished):
    assert names(scores_of_runs([finished, finished])) == sorted(MODELS)


def test_runs_of_one_name_are_told_apart_by_their_path(two, tmp_path):
    first, other = two
    again = tmp_path / "deeper" / "run"
    shutil.copytree(other, again)
    assert names(scores_of_runs([first, again])) == [f"{first}/additive", "no-change", f"{again}/additive"]


def test_another_split_is_refused(two):
    home = two[1] / "models" / "additive" / "scores"
    write_scores(replace(read_scores(home), split="another"), home)
    with pytest.raises(BadDataError, match="judged with different split"):
        compare(scores_of_runs(two))


def test_one_split_of_other_cells_is_refused(two):
    home = two[1] / "models" / "additive" / "scores"
    scores = read_scores(home)
    write_scores(replace(scores, floor=scores.floor * 1.1 + 0.01), home)
    with pytest.raises(BadDataError, match="judged on different observed cells"):
        scores_of_runs(two)


def test_a_folder_without_scores_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no scores under"):
        scores_of_runs([tmp_path])
