"""What the tests of hostile files share: opcodes by hand, doors that are watched, and the one way a reading may end."""

import builtins
import codecs
import os
import pickle
import struct
import subprocess
import time
from pathlib import Path

import pytest
import torch

from pertura.core.errors import BadDataError
from pertura.priors.foreign import read_foreign

SECONDS = 5.0
for codec in ("ascii", "latin-1", "unicode-escape", "raw-unicode-escape"):
    codecs.lookup(codec)  # loaded by Python when first used, which is no gadget's doing
MARKER = "struck"
"""What a gadget would leave in the working folder."""


class StruckError(Exception):
    """A gadget ran."""


def text(word):
    raw = word.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def short(word):
    return b"\x8c" + bytes([len(word)]) + word.encode()


TOUCH = f"open({MARKER!r}, 'w').close()"
P2, P4, P5 = b"\x80\x02", b"\x80\x04", b"\x80\x05"
EXEC = b"cbuiltins\nexec\n"


def refused(content, tmp_path, name="vectors.pkl"):
    """Read a file and return what was said; it has to be one typed error, in time, with nothing run."""
    path = tmp_path / name
    path.write_bytes(content)
    started = time.perf_counter()
    with pytest.raises(BadDataError) as error:
        read_foreign(path)
    assert time.perf_counter() - started < SECONDS
    assert len(str(error.value)) < 1000
    return str(error.value)


@pytest.fixture(autouse=True)
def trapped(tmp_path, monkeypatch):
    """Works in an empty folder, with the doors watched through which a gadget would have to go."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path(MARKER).exists()


@pytest.fixture
def doors(monkeypatch):
    """Fails the test if something is imported, executed or called that only a gadget would want."""

    def strike(*values, **named):
        raise StruckError

    for owner, name in ((builtins, "exec"), (builtins, "eval"), (os, "system"), (subprocess, "Popen")):
        monkeypatch.setattr(owner, name, strike)
    monkeypatch.setattr(pickle, "loads", strike)
    monkeypatch.setattr(pickle, "Unpickler", strike)
    monkeypatch.setattr(torch, "load", strike)
