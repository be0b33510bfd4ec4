"""Peak memory and time of every step from a screen on disk to its report, each step in a process of its own.

python benchmarks/larger_than_memory.py [--cells 200000] [--genes 5000] [--counts] [--zarr] [--keep FOLDER]

The default is 200,000 cells x 5,000 genes at density 0.3: 300 million stored values, 2.2 GiB as CSR and 7.5 GiB dense.
With --counts the file holds counts and `pertura prepare` comes first; with --zarr the steps read a .zarr store. Exits
with 1 where a step fails or needs more than 3 GiB.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pertura.data.datasets.simulate import write_simulation
from pertura.data.datasets.simulation import replogle_like
from pertura.recipes.recipe import FILE, Recipe, write_recipe

LINES = ("line-a", "line-b", "line-c", "line-d")
CELLS_PER_CONDITION = 100
CONTROL_SHARE = 0.1
BOUND = 3.0
MODELS = ("no-change", "train-mean", "ridge")


@dataclass(frozen=True)
class Step:
    """What one step took."""

    name: str
    seconds: float
    peak: float
    code: int


def main() -> int:
    """Simulate, then take the screen through every step."""
    asked = _arguments()
    if asked.simulate:
        _simulate(asked, Path(asked.simulate))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(asked.keep or scratch)
        home.mkdir(parents=True, exist_ok=True)
        steps = list(_steps(asked, home))
    worst = max(one.peak for one in steps)
    print(f"largest peak {worst:.2f} GiB of {BOUND:.0f} allowed")
    return int(worst > BOUND or any(one.code for one in steps))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--genes", type=int, default=5_000)
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--zarr", action="store_true")
    parser.add_argument("--keep", default="")
    parser.add_argument("--simulate", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _simulate(asked: argparse.Namespace, path: Path) -> None:
    controls = round(asked.cells * CONTROL_SHARE / len(LINES))
    targets = (asked.cells // len(LINES) - controls) // CELLS_PER_CONDITION
    config = replogle_like(
        genes=asked.genes,
        lines=LINES,
        targets=targets,
        cells_per_condition=CELLS_PER_CONDITION,
        controls_per_line=controls,
        density=0.3,
        output="counts" if asked.counts else "lognormalised",
    )
    write_simulation(config, path, seed=0)


def _steps(asked: argparse.Namespace, home: Path) -> list[Step]:
    """Every step in its order; the first that fails is the last."""
    screen = home / "screen.h5ad"
    flags = [f"--cells={asked.cells}", f"--genes={asked.genes}", *(["--counts"] if asked.counts else [])]
    done: list[Step] = []
    if not screen.exists():
        done.append(_step("simulate", [sys.executable, __file__, *flags, "--simulate", str(screen)], home))
        print(f"    the file has {screen.stat().st_size / 2**30:.2f} GiB")
    if asked.zarr:
        stored = home / "screen.zarr"
        done.append(_step("to zarr", [sys.executable, "-c", TO_ZARR, str(screen), str(stored)], home))
        screen = stored
    pertura = str(Path(sys.executable).parent / "pertura")
    for name, words in _work(home, screen, asked):
        done.append(_step(name, [pertura, *words], home))
        if done[-1].code:
            print((home / "output.txt").read_text(encoding="utf-8")[-2000:])
            break
    return done


def _work(home: Path, screen: Path, asked: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """The commands that a user would give."""
    split, prepared, run = home / "split.json", home / "prepared.h5ad", home / "run"
    rule = ["--rule", "held-out-context", "--context", LINES[-1]]
    work = [
        ("inspect", ["inspect", str(screen), "-o", str(home / "dataset.toml"), "--force"]),
        ("split", ["split", str(screen), *rule, "-o", str(split)]),
    ]
    if asked.counts:
        size = ["--genes", str(asked.genes), "--force"]
        work.append(("prepare", ["prepare", str(screen), "-o", str(prepared), "--split", str(split), *size]))
    used = str(prepared if asked.counts else screen)
    write_recipe(Recipe(name="large", data=used, models=MODELS, split=str(split)), home / FILE)
    predicted = run / "models" / MODELS[-1] / "predictions.h5ad"
    work.append(("run: fit, predict, score, report", ["run", str(home / FILE), "-o", str(run)]))
    judge = ["evaluate", "--predicted", str(predicted), "--effort", "less", "--memory", "1GiB"]
    work.append(("evaluate a prediction file", [*judge, "-o", str(home / "scores")]))
    return work


TO_ZARR = """
import sys, anndata, h5py, zarr
from anndata.experimental import read_elem_lazy
with h5py.File(sys.argv[1]) as file:
    obs, var = anndata.io.read_elem(file["obs"]), anndata.io.read_elem(file["var"])
    lazy = anndata.AnnData(read_elem_lazy(file["X"]), obs, var)
    lazy.write_zarr(sys.argv[2])
"""


def _step(name: str, command: list[str], home: Path) -> Step:
    """Run a command to its end; `wait4` tells the peak of this one child and what it started."""
    started = time.perf_counter()
    with (home / "output.txt").open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    step = Step(name, time.perf_counter() - started, used.ru_maxrss / 2**20, child.returncode)
    cpu = used.ru_utime + used.ru_stime
    print(f"{name:34}{step.peak:6.2f} GiB {step.seconds:8.0f} s {cpu:8.0f} CPU s", flush=True)
    return step


if __name__ == "__main__":
    sys.exit(main())
