"""Does the container of a file still open, so that what was changed meets our own code?"""

import gzip
import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import h5py
import pyarrow.parquet as pq


def is_hdf5(path: Path) -> bool:
    """The file opens, and the names of its uppermost objects can be read."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return len(list(file)) >= 0
    except (OSError, RuntimeError, UnicodeError):
        return False


def is_store(path: Path) -> bool:
    """What was changed is no metadata, or metadata that are still a table of JSON."""
    if not path.is_file() or path.is_symlink():
        return False
    if path.name not in ("zarr.json", ".zarray", ".zattrs", ".zgroup"):
        return True
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (ValueError, RecursionError):
        return False


def _parses(read: Callable[[str], object]) -> Callable[[Path], bool]:
    def parses(path: Path) -> bool:
        try:
            read(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            return False
        return True

    return parses


is_json, is_toml = _parses(json.loads), _parses(tomllib.loads)


def is_json_or_toml(path: Path) -> bool:
    """As other tools write splits, in one file name or the other."""
    return is_json(path) or is_toml(path)


def is_text(path: Path) -> bool:
    """Text in UTF-8, compressed or not."""
    try:
        raw = path.read_bytes()
        (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    except (OSError, EOFError, ValueError, gzip.zlib.error):
        return False
    return True


def is_tenx(path: Path) -> bool:
    """One of the files of a 10x folder."""
    return is_hdf5(path) if path.suffix == ".h5" else is_text(path)


def is_tensors(path: Path) -> bool:
    """The header of a safetensors file is JSON."""
    raw = path.read_bytes()
    try:
        return isinstance(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")]), dict)
    except (ValueError, RecursionError):
        return False


def is_scores(path: Path) -> bool:
    """One of the two files of scores that are read."""
    return is_json(path) if path.suffix == ".json" else is_tensors(path)


def is_table(path: Path) -> bool:
    """A table of text or parquet."""
    if path.suffix != ".parquet":
        return is_text(path)
    try:
        pq.read_schema(path)
    except (OSError, ValueError):
        return False
    return True
