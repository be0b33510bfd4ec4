"""`pertura prepare` as its user meets it."""

import json

import anndata
import pytest

from h5ad_files import gears, written


def test_from_a_screen_to_a_file_that_other_commands_take(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    written(gears(scale="counts"), tmp_path)
    assert command("split", "screen.h5ad", "--rule", "folds", "--folds", "2", "--fold", "0").code == 0
    plan = command("prepare", "screen.h5ad", "--genes", "10", "--split", "split.json", "--dry-run")
    assert plan.code == 0
    assert "size factors over all genes as stored" in plan.out
    assert not (tmp_path / "prepared.h5ad").exists()
    done = command("prepare", "screen.h5ad", "--genes", "10", "--split", "split.json")
    assert done.code == 0
    assert "10 variable ones" in done.out
    assert "chosen on the" in done.out
    assert "wrote prepared.h5ad; look at it with `pertura inspect prepared.h5ad`" in done.out
    account = json.loads(anndata.read_h5ad("prepared.h5ad").uns["pertura_prepare"])
    assert account["genes"] == len(account["variable"]) + len(account["added"])
    assert command("inspect", "prepared.h5ad").code == 0
    again = command("prepare", "screen.h5ad")
    assert again.code == 2
    assert "--force replaces it" in again.err


def test_a_screen_of_which_the_filter_leaves_nothing_leaves_no_file(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    written(gears(scale="counts", perturbation_type=["CRISPRi"]), tmp_path)
    done = command("prepare", "screen.h5ad", "--knockdown-filter")
    assert done.code == 3
    assert "leaves no perturbed cell" in done.err
    assert not list(tmp_path.glob("*prepared*"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere.h5ad",), 4, "no file"),
        (("norman-500", "-o", "a.csv"), 2, "ends in .h5ad"),
        (("norman-500", "-o", "missing/a.h5ad"), 4, "no such folder"),
        (("norman-500", "--split", "none.json"), 4, "none.json: no such file"),
        (("norman-500", "--knockdown-filter"), 2, "activation raises its target"),
    ],
)
def test_what_goes_wrong_has_its_code_and_leaves_nothing(arguments, code, words, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    done = command("prepare", *arguments)
    assert done.code == code
    assert words in done.err
    assert not list(tmp_path.iterdir())


def test_the_file_that_is_read_is_never_replaced(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    path = written(gears(scale="counts"), tmp_path)
    before = path.read_bytes()
    assert "the file that is read" in command("prepare", "screen.h5ad", "-o", "screen.h5ad", "--force").err
    assert path.read_bytes() == before
