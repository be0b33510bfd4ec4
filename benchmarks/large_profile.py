"""Time and peak memory of preset cell-eval-0.8 on a simulated screen of the size of a real test, which stays on disk.

python benchmarks/large_profile.py [--scale 1.0] [--genes 6546] [--threads 2] [--only with|without]

Observed cells are CSR with about 0.35 of the values stored, predicted cells dense; both float32, controls shared. Each
judgement runs in a process of its own, once without and once with the correlation of energy distances.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.pop(0)  # this folder, whose files bear the names of packages

import h5py
import numpy as np

from pertura.data.backed import BackedRows
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.cell_eval_files import write_files
from pertura.evaluation.compatible.profile import Options
from pertura.evaluation.compatible.table import COMPATIBLE

PERTURBATIONS, CELLS, CONTROLS = 1047, 104.3, 10_691
DENSITY = 0.35
CONTROL = "non-targeting"


def simulate(folder: Path, scale: float, genes: int) -> None:
    """Write observed.h5 (CSR), predicted.h5 (dense) and what the judge has to know about the cells."""
    rng = np.random.default_rng(0)
    names = [f"G{i:05d}" for i in range(genes)]
    targets = sorted(rng.choice(names, max(3, round(PERTURBATIONS * scale)), replace=False).tolist())
    shown = rng.beta(0.7, 1.3, genes)
    shown *= DENSITY / shown.mean()
    sizes = {CONTROL: max(10, round(CONTROLS * scale))}
    sizes |= {one: max(20, int(rng.normal(CELLS, 15))) for one in targets}
    cells = [label for label, size in sizes.items() for _ in range(size)]
    with h5py.File(folder / "observed.h5", "w") as observed, h5py.File(folder / "predicted.h5", "w") as predicted:
        sparse = SparseWriter(observed, (len(cells), genes))
        dense = predicted.create_dataset("X", (len(cells), genes), dtype=np.float32)
        start = 0
        for label, size in sizes.items():
            shift = np.where(rng.random(genes) < 0.06, rng.normal(0, 0.5, genes), 0) * (label != CONTROL)
            for part in [1024] * (size // 1024) + [size % 1024] * (size % 1024 > 0):
                real = block(rng, shown * np.exp(shift), part)
                sparse.add(real)
                dense[start : start + part] = real if label == CONTROL else smoothed(rng, shown, shift, part)
                start += part
        sparse.finish()
    (folder / "cells.json").write_text(json.dumps({"genes": names, "cells": cells}))


def block(rng: np.random.Generator, shown: np.ndarray, size: int) -> np.ndarray:
    """Log-normalised cells: each gene shown with its chance, values from a skewed distribution."""
    draw = rng.random((size, len(shown)), dtype=np.float32)
    depth = rng.lognormal(0, 0.3, (size, 1)).astype(np.float32)
    chance = np.minimum(shown * depth, 0.98).astype(np.float32)
    counts = 1 + np.floor(-2 * np.log(np.clip(draw / chance, 1e-6, 1)))
    return np.where(draw < chance, np.log1p(counts / depth), 0).astype(np.float32)


def smoothed(rng: np.random.Generator, shown: np.ndarray, shift: np.ndarray, size: int) -> np.ndarray:
    """Predicted cells: less spread than real ones, and no zeros where the mean is not zero."""
    cells = block(rng, shown * np.exp(0.6 * shift), size)
    cells = 0.7 * cells + 0.3 * cells.mean(axis=0)
    return np.maximum(cells + rng.normal(0, 0.02, cells.shape).astype(np.float32), 0)


class SparseWriter:
    """Appends dense blocks to a CSR matrix on disk."""

    def __init__(self, file: h5py.File, shape: tuple[int, int]) -> None:
        self.group = file.create_group("X")
        self.group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
        for name, kind in (("data", np.float32), ("indices", np.int32)):
            self.group.create_dataset(name, (0,), maxshape=(None,), chunks=(1 << 18,), dtype=kind)
        self.pointers = [np.zeros(1, dtype=np.int64)]

    def add(self, cells: np.ndarray) -> None:
        rows, columns = np.nonzero(cells)
        before = int(self.pointers[-1][-1])
        for name, values in (("data", cells[rows, columns]), ("indices", columns)):
            self.group[name].resize((before + len(rows),))
            self.group[name][before:] = values
        self.pointers.append(before + np.cumsum(np.count_nonzero(cells, axis=1)))

    def finish(self) -> None:
        self.group["indptr"] = np.concatenate(self.pointers)


def judge(folder: Path, skip: list[str], threads: int) -> None:
    """Judge, write cell-eval's files, and print what that took."""
    facts = json.loads((folder / "cells.json").read_text())
    labels, codes = np.unique(facts["cells"], return_inverse=True)
    sides = []
    for name in ("predicted", "observed"):
        rows, ids = BackedRows(folder / f"{name}.h5"), np.arange(len(codes)).astype(str)
        names = tuple(map(str, labels))
        sides.append(Labelled(rows, tuple(facts["genes"]), ids, names, codes.astype(np.int64), CONTROL, name))
    started = time.perf_counter()
    judged = COMPATIBLE["cell-eval-0.8"].judge(*sides, Options(threads=threads, skip=frozenset(skip)))
    computed = time.perf_counter()
    write_files(judged, facts["genes"], folder / "scores")
    spent = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "judge_seconds": computed - started,
        "write_seconds": time.perf_counter() - computed,
        "cpu_seconds": spent.ru_utime + spent.ru_stime,
        "peak_gib": spent.ru_maxrss / 2**20,
        "columns": len(judged.columns),
        "undone": dict(judged.undone),
    }
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the perturbations and controls")
    parser.add_argument("--genes", type=int, default=6546)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("with", "without"))
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--skip", nargs="*", default=[], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.judge:
        judge(asked.judge, asked.skip, asked.threads)
        return
    with tempfile.TemporaryDirectory() as home:
        started = time.perf_counter()
        simulate(Path(home), asked.scale, asked.genes)
        sizes = [(Path(home) / f"{name}.h5").stat().st_size / 2**30 for name in ("observed", "predicted")]
        print(
            f"simulated in {time.perf_counter() - started:.0f} s: observed {sizes[0]:.2f}, predicted {sizes[1]:.2f} GiB"
        )
        for name, skip in (("without", ["pearson_edistance"]), ("with", [])):
            if asked.only in (None, name):
                how = [sys.executable, __file__, "--judge", home, "--threads", str(asked.threads), "--skip", *skip]
                found = json.loads(subprocess.run(how, check=True, stdout=subprocess.PIPE, text=True).stdout)
                print(f"{name:>7} energy distances: {described(found)}", flush=True)


def described(found: dict[str, object]) -> str:
    times = f"judged in {found['judge_seconds']:.0f} s, files written in {found['write_seconds']:.0f} s"
    size = f"{found['cpu_seconds']:.0f} CPU s, peak {found['peak_gib']:.2f} GiB, {found['columns']} columns"
    return f"{times}, {size}" + (f", undone: {found['undone']}" if found["undone"] else "")


if __name__ == "__main__":
    main()
