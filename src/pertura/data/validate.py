"""Nothing is read from a file before a limited child process has looked through it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pertura.core.errors import BadDataError, MissingError
from pertura.data.stores import is_store, size_of

BYTES_PER_SECOND = 10_000_000
"""Slowest reading that is waited for: about a tenth of what one core decompresses."""
WALK, WALK_ZARR = "pertura.data.walk", "pertura.data.walk_zarr"
UNCLEAR = "looking through it gave no clear answer"
FRESH_COPY = "copy or download it again, or write it again with a current anndata"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of an .h5ad file or a .zarr store once it has been walked and found usable.

    `memory` is the size of X in bytes once read; `whole_share` the share of its stored values that are whole numbers.
    """

    cells: int
    genes: int
    layout: str
    dtype: str
    memory: int
    density: float
    lowest: float
    highest: float
    whole_share: float
    layers: tuple[str, ...] = ()


def walk_file(path: Path, *, seconds: int | None = None, memory: int = 4 << 30) -> FileFacts:
    """Return the facts of an .h5ad or .zarr that is safe and sound; raise `BadDataError` for every other path.

    The file is looked through by a child process that may use at most `seconds` of CPU time (by default as many as
    its size allows for) and `memory` bytes of address space.
    """
    walk = WALK_ZARR if is_store(path) else WALK
    return _outcome(looked_through(path, walk, seconds=seconds, memory=memory), path)


def looked_through(path: Path, module: str, *, seconds: int | None = None, memory: int = 4 << 30) -> bytes:
    """Return what `module`, run as a limited child process (see `walk_file`), prints about an untrusted file."""
    if not path.exists():
        raise MissingError(f"{path}: no such file")
    if not path.is_file() and not is_store(path):
        raise BadDataError("is not a file", file=path, remedy="give an .h5ad, or the folder of a .zarr store")
    if not os.access(path, os.R_OK):
        raise BadDataError("may not be read", file=path, remedy="change its permissions")
    limit = seconds or 60 + size_of(path) // BYTES_PER_SECOND
    with tempfile.TemporaryFile() as output:
        code = _run(path, limit, memory, output.fileno(), module)
        output.seek(0)
        text = output.read()
    if code != 0:
        raise BadDataError(_death(code, limit), file=path, remedy=FRESH_COPY)
    return text


def _run(path: Path, seconds: int, memory: int, output: int, module: str) -> int | None:
    """Exit code of the child; None where it had to be stopped."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "OPENBLAS_NUM_THREADS": "1",  # each thread would reserve address space of its own
        "OMP_NUM_THREADS": "1",
        "BLOSC_NTHREADS": "1",
        "HDF5_PLUGIN_PRELOAD": "::",  # no filter that is not built in is loaded on a file's behalf
    }
    command = [sys.executable, "-P", "-m", module, str(path.absolute()), str(seconds), str(memory)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=2 * seconds + 30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode


def _death(code: int | None, seconds: int) -> str:
    if code is None or code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"could not be looked through within {seconds} seconds"
    return f"looking through it ended abnormally (exit {code}): the file is damaged"


def _outcome(text: bytes, path: Path) -> FileFacts:
    facts = facts_in(text, path)
    try:
        return FileFacts(**{**facts, "layers": tuple(facts["layers"])})
    except (TypeError, KeyError) as error:
        raise BadDataError(UNCLEAR, file=path, remedy=FRESH_COPY) from error


def facts_in(text: bytes, path: Path) -> dict[str, Any]:
    """Return the facts that a child process printed; raise `BadDataError` for the refusal that it printed instead."""
    try:
        answer = json.loads(text)
        if "refused" not in answer:
            return dict(answer["facts"])
        problem, place, remedy = (str(part) for part in answer["refused"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadDataError(UNCLEAR, file=path, remedy=FRESH_COPY) from error
    raise BadDataError(problem, file=path, place=place, remedy=remedy)
