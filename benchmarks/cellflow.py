"""CellFlow's training step, prediction, start and memory, beside the published package in one run.

    python benchmarks/cellflow.py [--size small|mid|full] [--steps 20] [--predict-cells 64] [--threads 1]
        [--precision fp32 bf16] [--device cuda] [--peer SCRIPT --peer-python PYTHON]

Every program runs in a process of its own, one after the other, on the same synthetic screen (24 genes, 36 conditions,
2,000 controls, 50 components). `--peer` is a script that takes the same options, reads the same data and prints one
line of JSON; `--peer-python` is the Python of its environment (cellflow-tools==0.0.9 and requests). Rounds of pertura
stand before and after it; the better one counts, and only ratios of one run are worth quoting.

A step is one condition with 1,024 cells: drawing them, coupling, forward, backward, and its share of an update, which
comes every 20 steps. Prediction by RK4 in ten steps is judged by the mean displacement against dopri5 at 1e-5, on a
network that was trained for `--train` updates of 256 cells.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

SIZES: dict[str, dict[str, Any]] = {
    "small": {"condition_width": 128, "time_dims": (128,) * 3, "cell_dims": (256,) * 3, "decoder_dims": (256,) * 3},
    "mid": {"condition_width": 256, "time_dims": (512,) * 3, "cell_dims": (1024,) * 3, "decoder_dims": (1024,) * 3},
    "full": {"condition_width": 1024, "time_dims": (2048,) * 3, "cell_dims": (4096,) * 3, "decoder_dims": (4096,) * 3},
}
ACCUMULATED = 20


def make_data(path: Path) -> None:
    """Write components, gene numbers (-1: control) and gene vectors of a screen."""
    import numpy as np

    rng, genes, dims, width = np.random.default_rng(42), 24, 50, 320
    vectors = (rng.normal(size=(genes, width)) * 0.1).astype(np.float32)
    scale = (12 * np.arange(1, dims + 1) ** -0.6).astype(np.float32)
    effect = rng.normal(size=(width, dims)).astype(np.float32) * 0.6
    sets = [(-1, -1), *((i, -1) for i in range(genes)), *((i, (i + 3) % genes) for i in range(0, genes, 2))]
    points, first, second = [], [], []
    for one in sets:
        count = 160 if one[0] >= 0 else 2000
        shift = sum((np.tanh(vectors[k] @ effect) * scale * 0.8 for k in one if k >= 0), np.zeros(dims, np.float32))
        points.append(rng.normal(size=(count, dims)).astype(np.float32) * scale + shift)
        first += [one[0]] * count
        second += [one[1]] * count
    content = {"X_pca": np.concatenate(points), "gene_1": np.array(first), "gene_2": np.array(second), "esm2": vectors}
    np.savez(path, **content)


# ---- the process of pertura


class Ours:
    """A feed, an objective and an optimiser on the screen, as a training has them."""

    def __init__(self, asked: argparse.Namespace, *, cells: int = 1024) -> None:
        import numpy as np
        import torch

        from pertura.models.cellflow.feed import FlowFeed
        from pertura.models.cellflow.network import CellFlowNetwork
        from pertura.models.cellflow.objective import FlowObjective
        from pertura.models.cellflow.options import published
        from pertura.models.cellflow.vectors import Told
        from pertura.training.options import TrainingOptions

        self.device, self.precision = asked.device, asked.precision[0]
        screen = np.load(asked.data)
        self.cells, conditions, vectors = _screen(screen)
        options = published()
        covariate = replace(options.network.covariates[0], width=vectors.shape[-1])
        shape = replace(options.network, covariates=(covariate,), **SIZES[asked.size])
        training = TrainingOptions(batch=ACCUMULATED, micro_batch=1, learning_rate=5e-5, device=self.device)
        self.options = replace(options, network=shape, cells=cells, training=training)
        torch.manual_seed(0)
        self.network = CellFlowNetwork(shape).to(self.device).train()
        told = Told({"gene": torch.from_numpy(vectors)}, torch.from_numpy(vectors.any(axis=2)))
        points = screen["X_pca"].astype(np.float32)
        self.feed = FlowFeed(self.cells, points, conditions, told, self.options, 0, self.device)
        self.objective = FlowObjective(self.network, self.options)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=5e-5, fused=True)
        self.controls = torch.from_numpy(points[self.cells.is_control]).to(self.device)
        self.asked = {"gene": torch.from_numpy(vectors[1:2]).to(self.device)}

    def step(self, number: int) -> Any:
        """Work through one condition and return its loss."""
        import torch

        update, place = divmod(number, ACCUMULATED)
        batch = self.feed.batch(0, update, [place], "")
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16"):
            loss = self.objective.loss(batch).total
        (loss / ACCUMULATED).backward()
        return loss.detach()

    def update(self) -> None:
        """Move the weights and forget the gradients."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=False)

    def moved(self, count: int, **how: Any) -> Any:
        """Return where some control cells go under a condition."""
        import torch

        from pertura.flow.integrate import solve

        self.network.eval()
        with torch.inference_mode():
            embedding = self.network.embedded(self.network.encode(self.asked))
            return solve(self.network.guided(embedding), self.controls[:count], **how)


def _screen(stored: Any) -> tuple[Any, Any, Any]:
    """Return the cells, the perturbed conditions and their padded gene vectors."""
    import numpy as np

    from pertura.core.cells import Cells, Scale
    from pertura.core.expression import InMemory
    from pertura.core.perturbation import Condition, Perturbation

    pairs = np.stack([stored["gene_1"], stored["gene_2"]], axis=1)
    sets, codes = np.unique(pairs, axis=0, return_inverse=True)
    named = tuple(Condition(Perturbation.of(*(f"G{k}" for k in one if k >= 0))) for one in sets)
    cells = Cells(
        InMemory(np.zeros((len(pairs), 1), np.float32)),
        ("G",),
        np.arange(len(pairs)).astype(str),
        named,
        codes.reshape(-1),
        Scale("lognormalised"),
    )
    table = np.concatenate([stored["esm2"], np.zeros_like(stored["esm2"][:1])])
    keep = [i for i, one in enumerate(named) if not one.is_control]
    return cells, tuple(named[i] for i in keep), table[sets[keep]]


def work(asked: argparse.Namespace) -> dict[str, Any]:
    """Measure pertura in this process."""
    import torch

    torch.set_num_threads(asked.threads)
    for name in ("feed", "objective"):  # the peer's clock does not count imports either
        import_module(f"pertura.models.cellflow.{name}")
    began = time.perf_counter()
    ours = Ours(asked)
    found: dict[str, Any] = {"build_s": time.perf_counter() - began}
    losses = [ours.step(0)]
    _wait(asked.device)
    found["start_and_first_step_s"] = time.perf_counter() - began
    found["n_params"] = sum(one.numel() for one in ours.network.parameters())
    ours.update()  # the optimiser makes its state
    wall, cpu = _timed(lambda: [losses.append(ours.step(ACCUMULATED + i)) for i in range(asked.steps)], asked.device)
    update_wall, update_cpu = _timed(ours.update, asked.device)
    found["sec_per_step_wall"] = wall / asked.steps + update_wall / ACCUMULATED
    found["sec_per_step_cpu"] = cpu / asked.steps + update_cpu / ACCUMULATED
    found["losses"] = [float(one) for one in (*losses[:4], *losses[-2:])]
    if asked.predict_cells:
        count = min(asked.predict_cells, len(ours.controls))
        ours.moved(count)
        wall, cpu = _timed(lambda: ours.moved(count), asked.device)
        found |= {"predict_cells_per_s_wall": count / wall, "predict_cells_per_cpu_s": count / max(cpu, 1e-9)}
    found["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if asked.device.startswith("cuda"):
        found["peak_device_mib"] = torch.cuda.max_memory_allocated() / 2**20
    if asked.train:
        found |= displacement(asked)
    return found


def displacement(asked: argparse.Namespace) -> dict[str, float]:
    """Return how far the mean of cells moved by RK4 is from that of dopri5, relative to the mean displacement."""
    import torch

    ours = Ours(asked, cells=256)
    optimiser = torch.optim.Adam(ours.network.parameters(), lr=5e-4, fused=True)
    for number in range(asked.train):
        ours.step(number)
        optimiser.step()
        optimiser.zero_grad()
    count = 256
    start, exact = ours.controls[:count], ours.moved(count, method="dopri5", tolerance=1e-5)
    fixed = ours.moved(count)
    mean = (exact - start).mean(dim=0).norm()
    each = (fixed - exact).norm(dim=1) / (exact - start).norm(dim=1)
    return {
        "mean_displacement": float(mean),
        "mean_displacement_error": float((fixed - exact).mean(dim=0).norm() / mean),
        "cell_displacement_error": float(each.mean()),
    }


def _timed(work: Callable[[], object], device: str) -> tuple[float, float]:
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    _wait(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


# ---- the processes beside one another

CLAIMS = (
    ("sec_per_step_cpu", "CPU seconds a step", 1.0, {"small": 1.5, "mid": 1.0, "full": 1.0}),
    ("sec_per_step_wall", "seconds a step", 1.0, {}),
    ("start_to_first_step_s", "seconds from start to first step", 1.0, dict.fromkeys(SIZES, 10.0)),
    ("peak_rss_mib", "MiB of peak memory", 1.0, dict.fromkeys(SIZES, 2.0)),
    ("predict_cells_per_cpu_s", "cells predicted a CPU second", -1.0, dict.fromkeys(SIZES, 20.0)),
)
"""What is measured, in words, whether less is better, and by what factor it should be better at which size."""


def run(command: list[str], threads: int) -> dict[str, Any]:
    """Run a program and return the JSON of its last line."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def mine(asked: argparse.Namespace, data: Path, precision: str, *, train: bool = False) -> dict[str, Any]:
    options = {"--size": asked.size, "--steps": asked.steps, "--predict-cells": asked.predict_cells}
    options |= {"--threads": asked.threads, "--device": asked.device, "--precision": precision, "--data": data}
    options |= {"--train": asked.train if train else 0}
    flags = [str(one) for pair in options.items() for one in pair]
    return told(f"pertura {precision}", run([sys.executable, __file__, "--worker", *flags], asked.threads))


def told(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Print what a program measured as soon as it has: at the full size each takes minutes.

    The wait for the first step is what the first step took beyond a step, and all that came before it.
    """
    found["start_to_first_step_s"] = max(found["start_and_first_step_s"] - found["sec_per_step_wall"], 1e-9)
    print(f"  {name}: {found['sec_per_step_cpu']:.4f} CPU seconds a step, {found['peak_rss_mib']:.0f} MiB", flush=True)
    return found


def peer(asked: argparse.Namespace, data: Path) -> dict[str, Any]:
    options = {"--size": asked.size, "--steps": asked.steps, "--predict-cells": asked.peer_predict_cells}
    options |= {"--threads": asked.threads, "--data": data, "--parts": 0}
    flags = [str(one) for pair in options.items() for one in pair]
    found = run([asked.peer_python, str(asked.peer), *flags], asked.threads)
    found["start_and_first_step_s"] = found["prepare_model_s"] + found["compile_first_step_s"]
    return told("peer", found)


def better(name: str, sign: float, rounds: list[dict[str, Any]]) -> float:
    values = [one[name] for one in rounds if name in one]
    return min(values) if sign > 0 else max(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="small", choices=SIZES)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--predict-cells", type=int, default=64)
    parser.add_argument("--peer-predict-cells", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=["fp32", "bf16"])
    parser.add_argument("--device", default="")
    parser.add_argument("--train", type=int, default=1500, help="updates before the displacement is judged; 0: not")
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not asked.device:
        import torch

        asked.device = "cuda" if torch.cuda.is_available() else "cpu"
    if asked.worker:
        print(json.dumps(work(asked)))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = asked.data or Path(folder) / "screen.npz"
        if not data.is_file():
            make_data(data)
        compare(asked, data)


def compare(asked: argparse.Namespace, data: Path) -> None:
    """Run the programs in turn and print what is better by how much."""
    print(f"{asked.size}, {asked.device}, {asked.threads} thread(s), {asked.steps} steps")
    rounds = {one: [mine(asked, data, one)] for one in asked.precision}
    theirs = peer(asked, data) if asked.peer else {}
    for i, one in enumerate(asked.precision):
        rounds[one].append(mine(asked, data, one, train=not i))
    for precision, found in rounds.items():
        print(f"{precision}: {found[0]['n_params']:,} parameters")
        for name, told, sign, targets in CLAIMS:
            own = better(name, sign, found) if name in found[0] else None
            if own is None:
                continue
            line = f"  {told:34s} pertura {own:12.4f}"
            if name in theirs:
                ratio = (theirs[name] / own) ** sign
                wanted = targets.get(asked.size)
                line += f"   peer {theirs[name]:12.4f}   {ratio:7.2f} times better"
                line += f" (wanted: {wanted:g})" if wanted else ""
            print(line)
        if "peak_device_mib" in found[0]:
            print(f"  {'MiB of peak device memory':34s} pertura {found[0]['peak_device_mib']:12.1f}")
    judged = rounds[asked.precision[0]][-1]
    if "mean_displacement_error" in judged:
        print(
            f"RK4 in ten steps against dopri5 at 1e-5: mean displacement off by "
            f"{100 * judged['mean_displacement_error']:.3f} % (wanted: 0.5), of a cell by "
            f"{100 * judged['cell_displacement_error']:.3f} %"
        )


if __name__ == "__main__":
    main()
