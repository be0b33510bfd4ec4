"""A line for each stage where nobody watches, one bar where somebody does."""

import io

from rich.console import Console

from pertura.cli import progress
from pertura.recipes.narration import Narrator


def test_off_a_terminal_each_stage_is_a_line_on_stderr(capsys):
    with progress.narrated() as narrator:
        assert isinstance(narrator, Narrator)
        narrator.stage("reading [x]", 0, 3)
        narrator.stage("fitting", 1, 3)
        narrator.note("done [bold]")
    shown = capsys.readouterr()
    assert shown.err == "[1/3] reading [x]\n[2/3] fitting\ndone [bold]\n"
    assert shown.out == ""


def test_on_a_terminal_the_bar_leaves_nothing_but_notes(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=shown, force_terminal=True, width=100))
    with progress.narrated() as narrator:
        narrator.stage("reading [bold]x[/y].h5ad", 1, 3)
        narrator.note("a note [bold]")
    text = shown.getvalue()
    assert "a note [bold]" in text
    assert "reading [bold]x[/y].h5ad" in text
    assert "1/3" in text
