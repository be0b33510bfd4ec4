"""`pertura plot` as the shell calls it."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from drawn_runs import folder_to_draw
from pertura.core import atomic
from small_runs import pairs_file

KINDS = ("top20", "delta", "compare", "strata")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("plotted")
    return folder_to_draw(pairs_file(made), made / "run", ("no-change", "additive"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [None, *(pytest.param(one, marks=pytest.mark.slow) for one in ("89", "183"))])
def test_every_figure_is_drawn_at_either_width_with_its_numbers(command, folder, tmp_path, kind, width):
    figure = tmp_path / "figure.svg"
    done = command("plot", kind, folder, "-o", figure, *(("--width", width) if width else ()))
    assert done.code == 0, done.err
    said = re.match(rf"wrote {re.escape(str(figure))} \((\d+) x (\d+) mm\) and figure.csv\n", done.out)
    shown = ET.parse(figure).getroot()
    assert shown.get("width") == f"{said[1]}mm"
    assert said[1] == (width or said[1])
    assert float(shown.get("height").removesuffix("mm")) == pytest.approx(float(said[2]), abs=0.5)
    assert len((tmp_path / "figure.csv").read_text().splitlines()) > 2


@pytest.mark.parametrize(("suffix", "start"), [(".pdf", b"%PDF"), (".png", b"\x89PNG"), (".PDF", b"%PDF")])
def test_the_suffix_says_the_form(command, folder, tmp_path, suffix, start):
    assert command("plot", "compare", folder, "-o", tmp_path / f"f{suffix}").code == 0
    assert (tmp_path / f"f{suffix}").read_bytes().startswith(start)
    assert (tmp_path / "f.csv").exists()


def test_without_a_name_the_figure_is_called_after_its_kind(command, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("plot", "strata", folder).code == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["strata.csv", "strata.pdf"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("top20", "--condition", "G99999"), 2, "pertura: --condition G99999: no such condition"),
        (("top20", "--model", "aditive"), 2, "did you mean additive?"),
        (("compare", "--metric", "mze"), 2, "did you mean mse"),
        (("compare", "--width", "100"), 2, "'100' is not one of '89', '183'"),
        (("compare", "--condition", "G00001"), 2, "No such option: --condition"),
        (("top20", "-o", "figure.jpg"), 2, "a figure ends in .pdf, .svg, .png"),
        (("top20", "-o", "."), 2, "a figure ends in"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused_in_one_line_and_nothing_is_written(
    command, folder, tmp_path, monkeypatch, arguments, code, words
):
    monkeypatch.chdir(tmp_path)
    kind, *rest = arguments
    done = command("plot", kind, folder, *rest)
    assert done.code == code
    assert words in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_place_without_anything_to_draw_is_missing(command, tmp_path):
    assert command("plot", "compare", tmp_path).code == 4
    assert command("plot", "compare", tmp_path / "nowhere").code == 4
    (tmp_path / "a.h5ad").write_text("not HDF5")
    assert command("plot", "delta", tmp_path / "a.h5ad").code == 3


def test_a_figure_is_whole_or_as_it_was(command, folder, tmp_path, monkeypatch):
    figure = tmp_path / "figure.pdf"
    figure.write_text("the last one")

    def refused(*_: object) -> None:
        raise PermissionError(13, "denied", str(figure))

    monkeypatch.setattr(atomic.os, "replace", refused)
    assert command("plot", "compare", folder, "-o", figure).code == 4
    assert figure.read_text() == "the last one"
    assert list(tmp_path.iterdir()) == [figure]


def test_the_listing_draws_nothing(command, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in KINDS:
        done = command("plot", kind, folder, "--list")
        assert done.code == 0
        for name in ("additive", "no-change", "G00017", "pearson_delta", "unseen_single"):
            assert name in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_help_teaches_by_examples_that_work(command, folder, tmp_path, monkeypatch):
    help_text = command("plot", "--help").out
    examples = re.findall(r"^ *(pertura plot .*?) *$", help_text, re.MULTILINE)
    assert len(examples) == 6
    assert {line.split()[2] for line in examples} == set(KINDS)
    monkeypatch.chdir(tmp_path)
    for line in examples:
        words = (
            line.replace("runs/demo", str(folder)).replace("KLF1+SET", "G00017+G00025").replace("ridge", "no-change")
        )
        assert command(*words.split()[1:]).code == 0, line
    for kind in KINDS:
        assert command("plot", kind, "--help").code == 0


def test_notes_say_what_was_left_out(command, folder, tmp_path):
    done = command("plot", "top20", folder, "-o", tmp_path / "f.pdf")
    assert "drawn: 1 of 5 conditions, those with most cells; --condition chooses" in done.out
    assert "drawn:" not in command("plot", "top20", folder, "-o", tmp_path / "f.pdf", "--condition", "G00017").out
