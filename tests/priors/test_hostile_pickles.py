"""Nothing in a foreign file runs, whatever opcode or route it takes; each such file ends in one typed error, soon.

Beside every gadget that Python's own `pickle` would run, the test shows that it would: a gadget that does nothing
anywhere would prove nothing.
"""

import copyreg
import os
import pickle
import pickletools
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hostile_files import EXEC, MARKER, P2, P4, P5, TOUCH, doors, refused, short, text, trapped
from pertura.core.errors import BadDataError
from pertura.priors.foreign import read_foreign
from pertura.priors.pickles import ACTIONS, PUSHED, REFUSED

RNG = np.random.default_rng(0)
__all__ = ["doors", "trapped"]


class Trap:
    """Leaves the marker when it is made, called, filled or given a state."""

    def __init__(self, *values):
        Path(MARKER).touch()

    def __new__(cls, *values, **named):
        Path(MARKER).touch()
        return super().__new__(cls)

    def __setstate__(self, state):
        Path(MARKER).touch()


HERE = __name__
TRAP = f"c{HERE}\nTrap\n".encode()


def inside_dict(gadget):
    """A vector table whose second value is the gadget."""
    return b"}(" + text("A") + b"]G" + struct.pack(">d", 1.0) + b"a" + text("B") + gadget + b"u."


RUNS = {
    "REDUCE, exec": P2 + EXEC + b"(" + text(TOUCH) + b"tR.",
    "REDUCE, system by protocol 0": b"cposix\nsystem\n(V" + f"touch {MARKER}".encode() + b"\ntR.",
    "REDUCE, subprocess": P2 + b"csubprocess\ncall\n(](" + text("touch") + text(MARKER) + b"etR.",
    "REDUCE through STACK_GLOBAL": P4 + short("builtins") + short("exec") + b"\x93" + short(TOUCH) + b"\x85R.",
    "REDUCE through a memo": P4
    + short("builtins")
    + b"\x940"
    + short("exec")
    + b"\x940h\x00h\x01\x93"
    + short(TOUCH)
    + b"\x85R.",
    "REDUCE, eval in a value": P2 + inside_dict(b"cbuiltins\neval\n(" + text(TOUCH) + b"tR"),
    "REDUCE, dotted name": P4 + short("os") + short("path.os.system") + b"\x93" + short(f"touch {MARKER}") + b"\x85R.",
    "REDUCE, getattr": P4
    + short("builtins")
    + short("getattr")
    + b"\x93"
    + short("os")
    + short("system")
    + b"\x93"
    + short("__call__")
    + b"\x86R"
    + short(f"touch {MARKER}")
    + b"\x85R.",
    "REDUCE, import by name": P4 + short("runpy") + short("_run_code") + b"\x93" + short(TOUCH) + b"}\x86R.",
    "REDUCE, numpy's way to run": P4
    + short("numpy.testing._private.utils")
    + short("runstring")
    + b"\x93"
    + short(TOUCH)
    + b"}\x86R.",
    "REDUCE, torch's way to run": P4
    + short("torch.jit.unsupported_tensor_ops")
    + short("execWrapper")
    + b"\x93"
    + short(TOUCH)
    + b"}}\x87R.",
    "REDUCE, timeit": P4 + short("timeit") + short("timeit") + b"\x93" + short("pass") + short(TOUCH) + b"\x86R.",
    "INST": b"(S" + repr(TOUCH).encode() + b"\nibuiltins\nexec\n.",
    "INST of a class": f"(S'x'\ni{HERE}\nTrap\n.".encode(),
    "OBJ": b"(" + EXEC + text(TOUCH) + b"o.",
    "OBJ of a class": b"(" + TRAP + text("x") + b"o.",
    "NEWOBJ": P2 + TRAP + b")\x81.",
    "NEWOBJ_EX": P4 + TRAP + b")}\x92.",
    "BUILD by __setstate__": P2 + TRAP + b")\x81}" + text("x") + b"K\x01sb.",
    "nested pickle": P2
    + b"c_pickle\nloads\n(B"
    + (lambda inner: struct.pack("<I", len(inner)) + inner)(EXEC + b"(" + text(TOUCH) + b"tR.")
    + b"tR.",
    "nested pickle through torch": P4
    + short("torch.storage")
    + short("_load_from_bytes")
    + b"\x93C"
    + (lambda inner: bytes([len(inner)]) + inner)(EXEC + b"(" + text(TOUCH) + b"tR.")
    + b"\x85R.",
    "after an array's name": P4 + short("numpy") + short("ndarray") + b"\x930" + EXEC + short(TOUCH) + b"\x85R.",
    "map, run when listed": P2 + b"cbuiltins\nlist\n(cbuiltins\nmap\n(" + EXEC + b"](" + text(TOUCH) + b"etRtR.",
    "APPEND to an object": P2 + b"ccollections\ndeque\n)R" + EXEC + b"(" + text(TOUCH) + b"tRa.",
    "SETITEM of an object": P2 + b"ccollections\nUserDict\n)R" + text("k") + EXEC + b"(" + text(TOUCH) + b"tRs.",
    "ADDITEMS to a set": P4 + b"\x8f(" + EXEC + short(TOUCH) + b"\x85R\x90.",
    "FROZENSET of a call": P4 + b"(" + EXEC + short(TOUCH) + b"\x85R\x91.",
    "DICT of a call": b"(" + text("A") + EXEC + b"(" + text(TOUCH) + b"tRd.",
    "LIST of a call": b"(" + EXEC + b"(" + text(TOUCH) + b"tRl.",
    "call that is popped": P4 + EXEC + short(TOUCH) + b"\x85R0}.",
    "call that is dropped with its group": P4 + b"(" + EXEC + short(TOUCH) + b"\x85R1}.",
    "call in a frame": P4
    + b"\x95"
    + struct.pack("<Q", 100 + len(TOUCH))
    + EXEC
    + short(TOUCH)
    + b"\x85R."
    + b" " * 100,
    "call by DUP": P2 + EXEC + text(TOUCH) + b"20\x85R.",
    "REDUCE, the profiler": P4 + short("cProfile") + short("run") + b"\x93" + short(TOUCH) + b"\x85R.",
    "old module name": P2 + b"c__builtin__\nexec\n(" + text(TOUCH) + b"tR.",
}
"""Gadgets that Python's own reader would run."""

REGISTERED = {
    "EXT1": b"\x82\xf1",
    "EXT2": b"\x83\xf1\xf1",
    "EXT4": b"\x84\xf1\xf1\xf1\x01",
}
"""Calls by number, of what some program registered."""


def number_of(extension):
    return int.from_bytes(extension[1:], "little")


@pytest.mark.parametrize("name", RUNS)
def test_a_gadget_does_not_run(name, tmp_path, doors):
    said = refused(RUNS[name], tmp_path)
    assert "nothing was executed" in said


@pytest.mark.parametrize("name", REGISTERED)
def test_a_registered_number_calls_nothing(name, tmp_path, doors):
    code = number_of(REGISTERED[name])
    copyreg.add_extension(HERE, "Trap", code)
    try:
        assert name in refused(P2 + REGISTERED[name] + b")\x81.", tmp_path)
    finally:
        copyreg.remove_extension(HERE, "Trap", code)


@pytest.mark.slow
def test_the_gadgets_would_run_elsewhere(tmp_path):
    """In a process of its own, so that what they do stays there."""
    program = tmp_path / "elsewhere.py"
    program.write_text(ELSEWHERE)
    (tmp_path / "gadgets.pkl").write_bytes(pickle.dumps(RUNS))
    found = subprocess.run(
        [sys.executable, program],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"H": HERE},
    )
    assert found.stdout.splitlines()[-1] == "[]"


ELSEWHERE = """
import os, pickle, sys, types
from pathlib import Path

marker = Path("struck")
here = types.ModuleType(os.environ["H"].split(".")[-1])
class Trap:
    def __init__(self, *values): marker.touch()
    def __new__(cls, *values, **named):
        marker.touch()
        return super().__new__(cls)
    def __setstate__(self, state): marker.touch()
here.Trap = Trap
parts = os.environ["H"].split(".")
for end in range(1, len(parts)):
    sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
sys.modules[os.environ["H"]] = here
silent = []
for name, gadget in pickle.loads(Path("gadgets.pkl").read_bytes()).items():
    try:
        pickle.loads(gadget)
    except Exception:
        pass
    if not marker.exists():
        silent.append(name)
    marker.unlink(missing_ok=True)
print(silent)
"""


FLOAT = b"G" + struct.pack(">d", 1.0)
MALFORMED = {
    "empty": b"",
    "only a protocol": P4,
    "no end": P4 + b"}",
    "unknown opcode": P4 + b"\xff.",
    "PERSID": b"Pstorage\n.",
    "BINPERSID outside an archive": P2 + text("storage") + b"Q.",
    "NEXT_BUFFER": P5 + b"\x97.",
    "READONLY_BUFFER": P5 + b"}\x98.",
    "BUILD of a dict": P2 + b"}}b.",
    "BUILD of a list": P2 + b"]}b.",
    "BUILD of nothing": P2 + b"b.",
    "REDUCE of a word": P2 + text("os.system") + text("x") + b"\x85R.",
    "REDUCE of nothing": P2 + b"R.",
    "a name from numbers": P4 + b"K\x01K\x02\x93.",
    "a bare name": P4 + short("os") + short("system") + b"\x93.",
    "a bare array name": P4 + short("numpy") + short("ndarray") + b"\x93.",
    "ndarray called": P4 + short("numpy") + short("ndarray") + b"\x93(K\x02\x85tR.",
    "a subclass reconstructed": P4
    + short("numpy.core.multiarray")
    + short("_reconstruct")
    + b"\x93"
    + short("numpy")
    + short("matrix")
    + b"\x93K\x00\x85C\x01b\x87R.",
    "frombuffer of the loader": P4 + short("numpy") + short("frombuffer") + b"\x93C\x01a\x85R.",
    "an object array": P4
    + inside_dict(
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01(K\x01t"
        b"cnumpy\ndtype\n(" + text("O8") + b"\x89\x88tRN" + b"0\x89C\x08aaaaaaaatb"
    ),
    "length beyond the file": P4 + b"\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "length beyond any memory": P4 + b"\x8d" + struct.pack("<Q", 2**64 - 1) + b"x.",
    "four-byte length": P2 + b"B" + struct.pack("<I", 2**32 - 1) + b"x.",
    "negative length": b"T" + struct.pack("<i", -5) + b"x.",
    "a huge integer": P2 + b"\x8b" + struct.pack("<i", 10**6) + b"\x01" * 10**6 + b".",
    "an endless number": b"I" + b"9" * 10**6 + b"\n.",
    "a negative long": P2 + b"\x8b" + struct.pack("<i", -1) + b".",
    "no line end": b"V" + b"x" * 10**6,
    "memo far away": P2 + b"]r" + struct.pack("<I", 2**32 - 1) + b".",
    "memo of colliding places": b"]" + b"".join(b"p%d\n" % (k * (2**61 - 1)) for k in range(2, 2000)) + b".",
    "memo below zero": b"]p-1\n.",
    "memo never filled": P2 + b"h\x05.",
    "memo of a mark": P2 + b"(q\x00.",
    "groups never closed": b"(" * 10**5 + b".",
    "groups never opened": P2 + b"t.",
    "POP of nothing": P2 + b"0.",
    "POP_MARK of nothing": P2 + b"1.",
    "two values at the end": P2 + b"}}.",
    "a mark at the end": P2 + b"(.",
    "something after the end": P2 + b"}." + EXEC,
    "a second pickle": pickle.dumps({"A": [1.0]}) * 2,
    "a list within itself": P2 + b"]q\x00h\x00a.",
    "a dict within itself": P2 + b"}q\x00" + text("A") + b"h\x00s.",
    "a tuple within itself": P2 + b"]q\x00(h\x00ta.",
    "deep lists": P2 + b"](" * 5000 + b".",
    "deep tuples": b")" + b"\x85" * 30_000 + b".",
    "deep tuples as a key": b"}" + b")" + b"\x85" * 30_000 + b"Ns.",
    "deep lists one by one": b"]" * 30_000 + b"a" * 29_999 + b".",
    "a billion by doubling": b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (k, k, k + 1) for k in range(60)) + b".",
    "doubling in a table": b"}"
    + text("A")
    + b"]q\x00"
    + b"".join(b"](h%ch%ceq%c" % (k, k, k + 1) for k in range(60))
    + b"s.",
    "keys that are numbers": b"}"
    + b"".join(b"\x8a\x08" + struct.pack("<q", k * (2**61 - 1)) + b"Ns" for k in range(1, 4))
    + b".",
    "a key twice": b"}" + (text("A") + b"]" + FLOAT + b"as") * 2 + b".",
    "an unhashable key": b"}]Ns.",
    "a dict of one": b"(" + text("A") + b"d.",
    "SETITEMS on a list": b"](" + text("A") + b"Nu.",
    "APPENDS on a dict": b"}(" + text("A") + b"e.",
    "a list that grows after it was kept": b"}" + text("A") + b"]q\x00" + FLOAT + b"ash\x00" + FLOAT + b"a.",
    "bad escapes": b"S'\\x'\n.",
    "bad text": P2 + b"X" + struct.pack("<I", 2) + b"\xff\xff.",
    "half a float": b"G\x00\x00",
    "half a float among floats": b"(" + FLOAT * 3 + b"G\x00",
    "many short protocols": P2 * 10**5 + b".",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_pickle_ends_in_one_error(name, tmp_path, doors):
    refused(MALFORMED[name], tmp_path)


def test_random_bytes_and_mutations_end_in_one_error_or_plain_data(tmp_path, doors):
    seeds = [pickle.dumps({"A": [1.0, 2.0], "B": np.ones(2)}, protocol) for protocol in range(6)]
    for turn in range(600):
        content = bytearray(seeds[turn % 6])
        for place in RNG.integers(0, len(content), size=RNG.integers(1, 6)):
            content[place] = RNG.integers(0, 256)
        (tmp_path / "p").write_bytes(bytes(content))
        try:
            assert read_foreign(tmp_path / "p").table.dtype == np.float32
        except BadDataError:
            continue


def test_every_opcode_is_allowed_or_refused_by_intent():
    """A new opcode of a new protocol is refused until somebody decided about it."""
    decided = set(ACTIONS) | set(PUSHED) | set(REFUSED) | {"STOP", "BINFLOAT"}
    left = {one.name for one in pickletools.opcodes} - decided
    assert left == {"DUP", "EMPTY_SET", "ADDITEMS", "FROZENSET"}
    assert not (set(ACTIONS) | set(PUSHED)) & set(REFUSED)
