"""`pertura data`: the names of screens, and making a published one known."""

from dataclasses import replace

import pytest

from h5ad_files import gears, written
from pertura.data.datasets import DATASETS, declared
from pertura.data.datasets.declared import DECLARED

TINY = replace(DECLARED["norman"], cells=100, genes=31, conditions=4)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERTURA_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(declared.DECLARED, "norman", TINY)


def test_all_names_are_listed_with_or_without_the_word(command):
    done = command("data", "list")
    assert done.code == 0
    assert done.out == command("data").out
    for name in (*DATASETS, *DECLARED):
        assert f"{name}\n" in done.out
    assert "norman is not on this machine yet: fetch" in done.out


def test_a_published_screen_is_checked_remembered_and_found_by_name(tmp_path, command):
    missing = command("run", "norman", "--dry-run")
    assert missing.code == 4
    assert "pertura data add norman FILE.h5ad" in missing.err
    path = written(gears(), tmp_path)
    done = command("data", "add", "norman", path)
    assert done.code == 0
    assert "differs: 30 genes, 31 declared" in done.out
    assert "cell_type says A549" in done.out
    assert f"known: {path}" in command("data", "list").out
    seen = command("inspect", "norman")
    assert seen.code == 0
    assert "activation" in seen.out
    assert not (tmp_path / "dataset.toml").exists()
    split = command("split", "norman", "--rule", "folds", "--folds", 2)
    assert split.code == 0
    path.unlink()
    gone = command("split", "norman", "--rule", "folds", "--folds", 2)
    assert gone.code == 4
    assert "is not there any more" in gone.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "norman"), 2, "takes a name and a file"),
        (("list", "norman"), 2, "list takes no name"),
        (("add", "normn", "a.h5ad"), 2, "did you mean 'norman'"),
        (("add", "norman", "a.toml"), 2, "give the .h5ad itself"),
        (("add", "norman", "none.h5ad"), 4, "no such file"),
    ],
)
def test_what_cannot_be_added_is_refused(arguments, code, words, command, tmp_path):
    done = command("data", *arguments)
    assert done.code == code
    assert words in done.err
    assert not (tmp_path / "home").exists()


def test_another_file_is_not_remembered(tmp_path, command):
    path = written(gears(cells_per_label=5), tmp_path)
    done = command("data", "add", "norman", path)
    assert done.code == 3
    assert "is not the published screen norman: it has 25 cells and not 100" in done.err
    assert not (tmp_path / "home").exists()
