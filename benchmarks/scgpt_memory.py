"""Peak memory and time of one update at whole-human size, through the training loop, as `pertura run` trains.

    python benchmarks/scgpt_memory.py [--batch 8] [--genes 1536] [--layers 12] [--precision fp32] [--device cpu]

The network begins random, over a vocabulary of 60,697 tokens; cells are made up. Printed beside it: what
`pertura run --dry-run` estimates, and the peak before the network was there.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pertura.core.cells import Cells, Scale
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.core.split import ControlPartition, Split
from pertura.genes.vocab import human_vocab
from pertura.models.networks import Extent
from pertura.models.scgpt.model import ScGPT
from pertura.models.scgpt.options import NetworkSize, ScGPTOptions
from pertura.models.scgpt.row import footprint
from pertura.priors.prior import GenePrior
from pertura.training.options import TrainingOptions

CONTEXT = "made"
GIB = 2**30


def screen(genes: tuple[str, ...], cells: int) -> tuple[Cells, Split]:
    """Controls and as many perturbed cells."""
    one = Condition(Perturbation.of(genes[0], mode=Mode.ACTIVATION), CONTEXT)
    values = np.random.default_rng(0).random((2 * cells, len(genes)), dtype=np.float32)
    made = Cells(
        expression=InMemory(values),
        genes=genes,
        ids=np.asarray([f"cell-{i}" for i in range(2 * cells)]),
        conditions=(Condition(Perturbation(), CONTEXT), one),
        codes=np.repeat([0, 1], cells),
        scale=Scale("lognormalised", target_sum=1e4, log_base=float(np.e), evidence="made up"),
        name="made",
    )
    ids = [str(one) for one in made.ids[:cells]]
    nothing: frozenset[Condition] = frozenset()
    return made, Split(
        "made", frozenset({one}), nothing, nothing, {}, {CONTEXT: ControlPartition(tuple(ids), ())}, seed=0
    )


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--genes", type=int, default=1536)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    names = tuple(sorted(human_vocab().genes))
    training = TrainingOptions(
        epochs=1, batch=asked.batch, patience=None, precision=asked.precision, device=asked.device
    )
    options = ScGPTOptions(
        size=NetworkSize(layers=asked.layers), from_random=True, max_genes=asked.genes, training=training
    )
    cells, split = screen(names[: asked.genes], asked.batch)
    # a prior of one number for every gene makes the vocabulary as large as the published one
    whole = GenePrior("one", names, np.ones((len(names), 1), dtype=np.float32))
    expected = footprint(
        replace(options, pretrained="published"),
        Extent(asked.genes, asked.batch, prior_width=1, prior_genes=len(names)),
    )
    before = peak()
    with tempfile.TemporaryDirectory() as folder:
        model = ScGPT(options, whole)
        model.workspace = Path(folder)
        began, used = time.perf_counter(), time.process_time()
        model.fit(cells, split, seed=0)
        seconds, processor = time.perf_counter() - began, time.process_time() - used
    print(f"{asked.device}, {torch.get_num_threads()} threads, {asked.precision}, {asked.layers} layers")
    print(
        f"one update of {asked.batch} cells x {asked.genes} genes: {seconds:.0f} s, {processor:.0f} processor seconds"
    )
    print(f"numbers learnt {model.learnt().parameters / 1e6:.2f} million (estimated {expected.parameters / 1e6:.2f})")
    print(f"peak memory {peak():.2f} GiB, before the network {before:.2f} GiB")
    print(f"estimated by --dry-run {expected.training_bytes / GIB:.2f} GiB beside what was there before")
    if asked.device.startswith("cuda"):
        print(f"peak memory of the device {torch.cuda.max_memory_allocated() / GIB:.2f} GiB")


if __name__ == "__main__":
    main()
