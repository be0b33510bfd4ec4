"""What becomes of an input: it is opened in a process of its own, under a watchdog, where every write is seen."""

import contextlib
import hashlib
import importlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pertura.core import atomic
from pertura.core.errors import PerturaError
from pertura.data import validate
from pertura.data.walk import main as walk_main

SECONDS = 10
"""Of a processor; other programs may keep it busy. What waits without working is ended after `PATIENCE` times that."""
PATIENCE = 6
MEMORY = 3 << 30
LONGEST = 40_000
"""Letters of a message that quotes a name of 10,000; more are a list that somebody forgot to cut."""
READ, CRASH, HANG, STRAY, WORDS = "read", "crash", "hang", "wrote elsewhere", "wordless or endless"
FAULTS = (CRASH, HANG, STRAY, WORDS)
INPUT, OUTPUT, ELSEWHERE = "input", "out", "elsewhere"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
NAMED = (str, bytes, os.PathLike)
STARTS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "pty.spawn")


@dataclass(frozen=True)
class Door:
    """A way in for files from outside.

    `sound` writes into a folder one folder for each sound input. `change` tampers with one file of such a folder and
    returns it. `parses` says whether the container of that file still opens. `enter` opens the input and may write
    only into the output folder, its second argument. `share`: of a hundred inputs, about so many are of this door.
    """

    name: str
    share: int
    sound: Callable[[Path], None]
    change: Callable[[Path, np.random.Generator], Path]
    parses: Callable[[Path], bool]
    enter: Callable[[Path, Path], object]


@dataclass(frozen=True)
class Outcome:
    """How one input ended: `read`, the name of a typed error, or one of `FAULTS` with what is known of it."""

    kind: str
    parsed: bool = False
    seconds: float = 0.0
    told: str = ""


def opened(door: Door, sound: Path, home: Path, rng: np.random.Generator | None) -> Outcome:
    """Return what becomes of a sound input that is tampered with, or left as it is where `rng` is None.

    The input is made and opened in a process of its own: neither a crash nor a hang nor what it loads outlives it.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forking beside other threads
        child = os.fork()
    if child == 0:
        os.close(reader)
        _child(door, sound, home, rng, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        lines = stream.read().splitlines()
    _, status = os.waitpid(child, 0)
    if len(lines) == 2:
        return Outcome(**json.loads(lines[1]))
    if not lines:
        raise RuntimeError(f"{door.name}: an input could not be made (status {status})")
    parsed = bool(json.loads(lines[0]))
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGPROF):
        return Outcome(HANG, parsed, float(SECONDS), f"not done after {SECONDS} seconds")
    return Outcome(CRASH, parsed, 0.0, f"the process ended with status {status}")


def _child(door: Door, sound: Path, home: Path, rng: np.random.Generator | None, writer: int) -> None:
    """Make and open the input, tell both, and leave without a way back into the caller's program."""
    code = 1
    try:
        _settle(home)
        shutil.copytree(sound, home / INPUT)
        os.chdir(home / INPUT)
        path = None if rng is None else _changed(door, home / INPUT, rng)
        parsed = path is None or door.parses(path)
        os.write(writer, json.dumps(parsed).encode() + b"\n")
        os.write(writer, json.dumps(asdict(_outcome(door, home, parsed))).encode() + b"\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _settle(home: Path) -> None:
    """Turn everything that has a usual place into the case's own folder."""
    for name in (OUTPUT, ELSEWHERE):
        (home / name).mkdir(parents=True)
    places = ("HOME", "TMPDIR", "PERTURA_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    os.environ.update(dict.fromkeys(places, str(home / ELSEWHERE)))
    tempfile.tempdir = None
    sys.dont_write_bytecode = True
    atomic._sync = lambda path: None  # how long a disk takes is no matter of the input


def _changed(door: Door, folder: Path, rng: np.random.Generator) -> Path:
    """Tamper until something differs."""
    before = _contents(folder)
    for _ in range(20):
        path = door.change(folder, rng)
        if _contents(folder) != before:
            return path
    raise RuntimeError("nothing changed")


def _outcome(door: Door, home: Path, parsed: bool) -> Outcome:
    before = _contents(home)
    strays: list[str] = []
    _watch(home, strays)
    _limit()
    validate._run = _forked_run  # a walk in a fork of this process, as limited as in one that starts from nothing
    started = _worked()
    kind, told = _entered(door, home)
    _await(0)
    seconds = _worked() - started
    after = _contents(home)
    strays += [name for name in before | after if before.get(name) != after.get(name) and not _is_output(name)]
    if strays:
        return Outcome(STRAY, parsed, seconds, f"{kind}; {'; '.join(sorted(set(strays))[:5])}")
    return Outcome(kind, parsed, seconds, told)


def _entered(door: Door, home: Path) -> tuple[str, str]:
    try:
        with quiet():
            door.enter(home / INPUT, home / OUTPUT)
    except PerturaError as error:
        words = str(error)
        try:
            words.encode()
        except UnicodeEncodeError:
            return WORDS, f"{type(error).__name__} that cannot be printed: {words!a}"[:500]
        kind = type(error).__name__ if 0 < len(words) <= LONGEST else WORDS
        return kind, f"{words[:1500]}"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"[:500]
        frames = "".join(traceback.format_tb(error.__traceback__)[-6:])
        return CRASH, f"{said}\n{frames}".encode("utf-8", "backslashreplace").decode()
    return READ, ""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Print into nothing, in UTF-8 as a terminal would."""
    nothing = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _limit() -> None:
    """End this process where it takes too long or too much, whatever it is doing."""
    for one in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(one, signal.SIG_DFL)
    _await(SECONDS)
    most = _held() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _await(seconds: int) -> None:
    """Be ended after so many seconds of work, or of waiting; 0 for never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(PATIENCE * seconds)


def _worked() -> float:
    """Seconds that this process and those it waited for have worked."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _held() -> int:
    """Bytes of address space that this process has by now."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _forked_run(path: Path, seconds: int, memory: int, output: int, module: str) -> int | None:
    """The exit code of a walk through a file; see `pertura.data.validate`, whose child process this stands for."""
    look = getattr(importlib.import_module(module), module.rpartition(".")[2])
    child = os.fork()
    if child == 0:
        code = 70
        try:
            _await(SECONDS)
            sys.stdout = open(os.dup(output), "w", encoding="utf-8")  # noqa: SIM115 (for as long as this process lives)
            code = walk_main([str(path.absolute()), str(seconds), str(_held() + min(memory, MEMORY))], look)
            sys.stdout.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# ---- what is written where


def _contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, and where every link leads."""
    found = {}
    for one in sorted(folder.rglob("*")):
        name = str(one.relative_to(folder))
        if one.is_symlink():
            found[name] = os.readlink(one)
        elif one.is_file():
            with one.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            found[name] = "a folder"
    return found


def _is_output(name: str) -> bool:
    return name.split(os.sep)[0] == OUTPUT


def _watch(home: Path, strays: list[str]) -> None:
    """List every write outside output and temporary folder, and every start of a program or connection."""
    allowed = (home / OUTPUT, home / ELSEWHERE)

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if event in STARTS:
            strays.append(f"{event} {arguments[:2]}"[:200])
        places = _written(event, arguments)
        strays.extend(f"{event} {place}" for place in places if not _may_be_written(place, allowed))

    sys.addaudithook(look)


def _written(event: str, arguments: tuple[object, ...]) -> list[Path]:
    if event == "open":
        place, _, flags = arguments
        writes = isinstance(flags, int) and bool(flags & WRITES)
        return [_absolute(place)] if writes and isinstance(place, NAMED) else []
    if event in CHANGES:
        return [_absolute(one) for one in arguments[:2] if isinstance(one, NAMED)]
    return []


def _absolute(place: "str | bytes | os.PathLike[str]") -> Path:
    return Path(os.path.realpath(os.fsdecode(place)))


def _may_be_written(place: Path, allowed: tuple[Path, ...]) -> bool:
    """Compiled code that the interpreter or numba keeps is no output."""
    own = any(place.is_relative_to(one.resolve()) for one in allowed)
    return own or "__pycache__" in place.parts or place == Path(os.devnull)
