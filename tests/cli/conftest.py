"""The command line called as the shell calls it, in this process."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pertura.cli import app


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch, capsys) -> Callable[..., Done]:
    """Runs `pertura ARGUMENTS...`; an unexpected error is raised as the interpreter would see it."""
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}

    def called(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["pertura", *(str(one) for one in arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main()
        shown = capsys.readouterr()
        return Done(int(left.value.code or 0), shown.out, shown.err)

    yield called
    for sign, one in before.items():
        signal.signal(sign, one)
