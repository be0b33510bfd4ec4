"""Folders and tables that were tampered with end in a screen or in one typed error: no crash, no hang, nothing left."""

import gzip
import json
import time
from collections import Counter

import h5py
import numpy as np
import pytest

from mutations.text import bytes_changed, words_changed
from pertura.core.errors import PerturaError
from pertura.core.seeds import generator
from pertura.data.imports import tenx
from pertura.data.imports.screen import Wish, import_tenx, write_screen
from pertura.data.imports.walk_tenx import walk_tenx
from pertura.data.values import Refusal
from tenx_folders import library, outs, write_guides

SECONDS = 10
NUMBERS = (-1, 0, 1, 2**31 - 1, -(2**31), 7)
TEXTS = ("matrix.mtx", "barcodes.tsv", "features.tsv", "protospacer_calls_per_cell.csv", "guides.csv")


def _tampered_text(folder, rng):
    """Tamper with a text file of a folder, some of them as compressed bytes; return whether it stays readable text."""
    name = TEXTS[int(rng.integers(len(TEXTS)))]
    path = next(one for one in (folder.parent, *folder.rglob("*")) if (one / name).is_file()) / name
    readable = bool(rng.random() < 0.8)
    if readable:
        path.write_text(words_changed(path.read_text(), rng))
    else:
        path.write_bytes(bytes_changed(gzip.compress(path.read_bytes()), rng))
    return readable


def _tampered_h5(path, rng):
    """Put numbers and words where they do not belong; the file stays readable HDF5."""
    with h5py.File(path, "r+") as file:
        names = ("data", "indices", "indptr", "shape", "barcodes", "features/id", "features/feature_type")
        name = names[int(rng.integers(len(names)))]
        item = file["matrix"][name]
        kind = int(rng.integers(4))
        if kind == 0:
            del file["matrix"][name]
        elif kind == 1 or item.dtype.kind == "S":
            values = item[: max(int(rng.integers(len(item) + 1)), 1)]
            del file["matrix"][name]
            file["matrix"][name] = np.concatenate([values, values])[: len(item) - int(rng.integers(2))]
        else:
            item[int(rng.integers(len(item)))] = NUMBERS[int(rng.integers(len(NUMBERS)))]
    return True


def _here(path, module):
    """Look through a file without the child process, which would take most of the time."""
    try:
        return json.dumps({"facts": walk_tenx(str(path))}).encode()
    except Refusal as refusal:
        return json.dumps({"refused": [refusal.problem, refusal.place, refusal.remedy]}).encode()


def _outcome(folder):
    started = time.perf_counter()
    try:
        made = import_tenx([folder], Wish(guides=folder.parent / "guides.csv"))
        write_screen(made, folder.parent / "screen.h5ad", force=True)
        outcome = "read"
    except PerturaError as error:
        outcome = type(error).__name__ if 0 < len(str(error)) < 7000 else f"wordless or endless {type(error).__name__}"
    assert time.perf_counter() - started < SECONDS
    return outcome


def _tamper(count, seed, tmp_path, monkeypatch):
    monkeypatch.setattr(tenx, "looked_through", _here)
    outcomes: Counter[str] = Counter()
    readable = 0
    for i in range(count):
        rng = generator(seed, "tampered", i)
        home = tmp_path / f"case{i}"
        single = i % 3 == 0
        folder = outs(library(genes=8), home / "outs", "h5" if single else "plain triple")
        write_guides(home / "guides.csv")
        path = folder / "filtered_feature_bc_matrix.h5"
        readable += _tampered_h5(path, rng) if single else _tampered_text(folder, rng)
        before = set(home.rglob("*"))
        outcomes[_outcome(folder)] += 1
        assert set(home.rglob("*")) - before <= {home / "screen.h5ad"}
    return outcomes, readable


def test_tampered_folders_are_read_or_refused(tmp_path, monkeypatch):
    outcomes, _ = _tamper(30, 0, tmp_path, monkeypatch)
    assert set(outcomes) <= {"read", "BadDataError", "UsageError", "MissingError"}
    assert outcomes["BadDataError"] > 5


@pytest.mark.proof
def test_many_tampered_folders_are_read_or_refused(tmp_path, monkeypatch):
    outcomes, readable = _tamper(600, 1, tmp_path, monkeypatch)
    print(f"\n600 tampered folders, {readable} of them readable as text or HDF5: {dict(outcomes)}")
    assert set(outcomes) <= {"read", "BadDataError", "UsageError", "MissingError"}
    assert readable > 400
    assert min(outcomes["read"], outcomes["BadDataError"]) > 100


@pytest.mark.proof
def test_a_file_with_other_bytes_ends_the_child_process_at_most(tmp_path):
    folder = outs(library(genes=8), tmp_path / "outs", "h5")
    write_guides(tmp_path / "guides.csv")
    path = folder / "filtered_feature_bc_matrix.h5"
    raw, outcomes = path.read_bytes(), Counter()
    for i in range(25):
        path.write_bytes(bytes_changed(raw, generator(2, "bytes", i)))
        outcomes[_outcome(folder)] += 1
    print(f"\n25 .h5 with other bytes: {dict(outcomes)}")
    assert set(outcomes) <= {"read", "BadDataError"}
