"""What the watcher says of an input is what became of it: it sees crashes, hangs, and writes astray."""

import os
import signal
import time
from pathlib import Path

import pytest

from mutations import watch
from mutations.watch import CRASH, HANG, INPUT, READ, STRAY, WORDS, Door, opened
from pertura.core.errors import BadDataError, MissingError
from pertura.core.seeds import generator

FILE = "one.txt"


def _endless(given: Path, out: Path) -> None:
    while True:
        pass


def _waiting(given: Path, out: Path) -> None:
    while True:
        time.sleep(0.01)


def _killed(given: Path, out: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _grown(given: Path, out: Path) -> None:
    bytearray(watch.MEMORY + (1 << 30))


def _raised(error: Exception):
    def enter(given: Path, out: Path) -> None:
        raise error

    return enter


def _write(place: str):
    def enter(given: Path, out: Path) -> None:
        (given / place).write_text("changed")

    return enter


def _write_and_remove(given: Path, out: Path) -> None:
    path = given.parent / "gone.txt"
    path.write_text("x")
    path.unlink()


def _write_and_refuse(given: Path, out: Path) -> None:
    (given.parent / "left.txt").write_text("half")
    raise BadDataError("no good")


ENDS = {
    "read": (lambda given, out: (out / "made").write_text("x"), READ, ""),
    "refused": (_raised(BadDataError("no good")), "BadDataError", "no good"),
    "missing": (_raised(MissingError("not there")), "MissingError", "not there"),
    "crash": (_raised(KeyError("X")), CRASH, "KeyError"),
    "killed": (_killed, CRASH, "status 9"),
    "too much memory": (_grown, CRASH, "MemoryError"),
    "leaves the program": (_raised(SystemExit(0)), CRASH, "SystemExit"),
    "hang": (_endless, HANG, "not done"),
    "hang without work": (_waiting, HANG, "not done"),
    "wordless": (_raised(BadDataError("")), WORDS, ""),
    "endless words": (_raised(BadDataError("x" * 50_000)), WORDS, "xxx"),
    "words that no terminal shows": (_raised(BadDataError("\ud800")), WORDS, "cannot be printed"),
    "its own input": (_write(FILE), STRAY, FILE),
    "beside the output": (_write("../beside.txt"), STRAY, "beside.txt"),
    "written and removed": (_write_and_remove, STRAY, "gone.txt"),
    "left behind by a refusal": (_write_and_refuse, STRAY, "left.txt"),
    "a program": (lambda given, out: os.system("true"), STRAY, "os.system"),
}


def _sound(folder: Path) -> None:
    (folder / "only").mkdir(parents=True)
    (folder / "only" / FILE).write_text("sound")


def _change(folder: Path, rng) -> Path:
    (folder / FILE).write_text(f"changed {rng.integers(100)}")
    return folder / FILE


def _ended(enter, tmp_path: Path, *, changed: bool = True):
    _sound(tmp_path / "sound")
    door = Door("door", 1, _sound, _change, lambda path: path.exists(), enter)
    rng = generator(0, "watch") if changed else None
    return opened(door, tmp_path / "sound" / "only", tmp_path / "home", rng)


@pytest.mark.parametrize("end", ENDS)
def test_every_end_is_told_from_the_others(end, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "SECONDS", 1 if "hang" in end else 10)
    monkeypatch.setattr(watch, "PATIENCE", 1 if end == "hang without work" else 30)
    enter, kind, told = ENDS[end]
    found = _ended(enter, tmp_path)
    assert (found.kind, found.parsed) == (kind, True), found.told
    assert told in found.told


@pytest.mark.parametrize("changed", [True, False])
def test_an_input_is_tampered_with_before_it_is_opened_and_never_where_it_came_from(changed, tmp_path):
    found = _ended(lambda given, out: (out / "seen").write_text((given / FILE).read_text()), tmp_path, changed=changed)
    assert found.kind == READ
    seen = (tmp_path / "home" / "out" / "seen").read_text()
    assert seen.startswith("changed" if changed else "sound")
    assert seen == (tmp_path / "home" / INPUT / FILE).read_text()
    assert (tmp_path / "sound" / "only" / FILE).read_text() == "sound"


def test_places_of_the_user_are_those_of_the_case(tmp_path):
    found = _ended(lambda given, out: (Path.home() / "settings").write_text("x"), tmp_path)
    assert (found.kind, "elsewhere/settings" in found.told) == (STRAY, True)
