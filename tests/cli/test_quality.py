"""`pertura quality` as its user meets it."""

import csv

import pytest

from pertura.data.preparation.prepare import Wish, prepare
from quality_screens import screen, with_guides


@pytest.fixture
def planted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(with_guides(screen(cells=30, controls=80)), tmp_path / "screen.h5ad", Wish())


def test_a_screen_is_read_and_every_number_written(planted, tmp_path, command):
    arguments = ("quality", "screen.h5ad", "-o", "q.csv", "--html", "q.html", "--permutations", "19")
    done = command(*arguments)
    assert done.code == 0
    assert "8 conditions" in done.out
    assert "16 guides of 8 conditions, from obs['guide_id']" in done.out
    assert "targets, of 8 in all conditions: as meant" in done.out
    rows = list(csv.DictReader((tmp_path / "q.csv").read_text().splitlines()))
    assert len(rows) == 24
    assert {row["context"] for row in rows} == {"line"}
    assert "<html" in (tmp_path / "q.html").read_text()
    again = command(*arguments)
    assert again.code == 2
    assert "--force replaces it" in again.err
    forced = command(*arguments, "--force", "--full")
    assert forced.out.startswith(done.out.splitlines()[0])
    assert "G000 / G000-g1" in forced.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere.h5ad",), 4, "no file"),
        (("norman-500", "-o", "missing/q.csv"), 4, "no such folder"),
        (("norman-500", "-o", "same", "--html", "same"), 2, "the same file"),
        (("norman-500", "--guide-column", "who"), 2, "obs has no such column"),
    ],
)
def test_what_goes_wrong_has_its_code_and_leaves_nothing(arguments, code, words, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    done = command("quality", *arguments)
    assert done.code == code
    assert words in done.err
    assert not list(tmp_path.iterdir())
