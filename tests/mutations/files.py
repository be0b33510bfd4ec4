"""How a file of a sound input is tampered with: its structure, its bytes, its text, its header."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mutations.hdf5 import hdf5_changed
from mutations.text import bytes_changed, json_changed, pick, pieces_changed, toml_changed, tree_changed
from pertura.priors import store

Change = Callable[[Path, np.random.Generator], Path]
"""Tampers with one file of a folder and returns it."""

SCREEN, SCREENS = "screen.h5ad", "*.h5ad"
STRUCTURED_TOML = (toml_changed, toml_changed, toml_changed, pieces_changed)
STRUCTURED_JSON = (json_changed, json_changed, json_changed, pieces_changed)


def structure_changed(folder: Path, rng: np.random.Generator) -> Path:
    path = pick(rng, sorted(folder.glob(SCREENS)))
    hdf5_changed(path, rng)
    return path


def some_bytes_changed(pattern: str) -> Callable[[Path, np.random.Generator], Path]:
    def change(folder: Path, rng: np.random.Generator) -> Path:
        path = pick(rng, sorted(folder.rglob(pattern)))
        raw = path.read_bytes()
        for _ in range(int(pick(rng, (1, 1, 5, 40)))):
            raw = bytes_changed(raw, rng) if rng.random() < 0.3 else _one_byte(raw, rng)
        path.write_bytes(raw)
        return path

    return change


METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup")


def _linked(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def store_changed(folder: Path, rng: np.random.Generator) -> Path:
    """Tamper with a zarr store: mostly with what its metadata say, at times with pieces and folders."""
    files = sorted(one for one in folder.rglob("*") if one.is_file() and one.name != ".zmetadata")
    described = [one for one in files if one.name in METADATA]
    kind = int(rng.integers(10))
    path = pick(rng, described if kind < 7 else [one for one in files if one not in described])
    if kind < 6:
        path.write_bytes(json_changed(path.read_text(), rng).encode("utf-8", "surrogatepass"))
    elif kind == 6:
        other = pick(rng, described)
        path.write_bytes(other.read_bytes())
    elif kind == 7:
        path.unlink()
        pick(rng, (_linked, Path.mkdir, os.mkfifo))(path)
    else:
        path.write_bytes(bytes_changed(path.read_bytes(), rng))
    return path


def _one_byte(raw: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(max(len(raw), 1)))
    return raw[:at] + bytes([int(rng.integers(256))]) + raw[at + 1 :]


def some_text_changed(
    pattern: str, *how: Callable[[str, np.random.Generator], str]
) -> Callable[[Path, np.random.Generator], Path]:
    def change(folder: Path, rng: np.random.Generator) -> Path:
        path = pick(rng, sorted(folder.rglob(pattern)))
        text = path.read_bytes().decode()
        path.write_bytes(pick(rng, how)(text, rng).encode())
        return path

    return change


def header_changed(path: Path, rng: np.random.Generator) -> None:
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = tree_changed(json.loads(raw[8:end]), rng, nothing=True)
    facts = header.get("__metadata__") if isinstance(header, dict) else None
    if isinstance(facts, dict) and "digest" in facts and rng.random() < 0.8:
        if rng.random() < 0.5 and isinstance(facts.get("genes"), str):
            facts["genes"] = json_changed(json.dumps(["A", "B", "C", "D", "E"]), rng)
        facts["digest"] = store._digest({name: one for name, one in facts.items() if name != "digest"})
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[end:])
