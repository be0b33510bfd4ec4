"""All singles of a vocabulary ranked by a linear model on a prior: CPU seconds, memory, and the same table three ways.

python benchmarks/screening.py [--prior uniprot] [--controls 500] [--without-dask]

The screen is simulated: 500 measured genes and 60 activated ones with real names, so that the prior knows them. The
peer is the way over cells: the same model, its predictions emitted as cells and averaged, for a few candidates.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# before numpy reads them
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
sys.path.pop(0)  # this folder, whose files bear the names of packages

import numpy as np

from pertura.core import Condition, Perturbation
from pertura.core.seeds import generator
from pertura.data.datasets.simulate import write_simulation
from pertura.data.datasets.simulation import GeneTable, norman_like
from pertura.genes.vocab import human_vocab
from pertura.prediction.predict import predict
from pertura.priors.build import build_prior
from pertura.recipes.recipe import Recipe
from pertura.recipes.run import run
from pertura.recipes.screening_run.runs import open_runs
from pertura.screening.deltas import few_controls, predicted_deltas

PERTURA = Path(sys.executable).parent / "pertura"
PEERS = 100


def prepared(asked: argparse.Namespace, folder: Path) -> list[str]:
    """A finished run with the model, and the genes of its goal."""
    prior = build_prior(asked.prior, dim=64)
    known = sorted(set(prior.genes) & human_vocab().genes)
    lot = generator(0, "genes").permutation(len(known))[:600]
    genes = tuple(sorted(known[i] for i in lot))
    table = GeneTable(genes, prior.table[[prior.genes.index(gene) for gene in genes]].astype(np.float64))
    config = norman_like(genes=500, targets=60, pairs=0, controls_per_line=2 * asked.controls, cells_per_condition=40)
    write_simulation(config, folder / "screen.h5ad", 1, table)
    models = ("train-mean", f"ridge+{asked.prior}")
    run(
        Recipe(name="bench", data=str(folder / "screen.h5ad"), models=models, bootstrap=2, permutations=1),
        folder / "run",
    )
    ((opened, _),) = open_runs((str(folder / "run"),))
    return list(opened.cells.genes[:12])


def timed(*words: object) -> tuple[float, float, float]:
    """Wall and CPU seconds of the command, and its peak memory in GiB."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(PERTURA), *map(str, words)], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu, after.ru_maxrss / 2**20


def peer(folder: Path, prior: str) -> tuple[float, float]:
    """CPU seconds a candidate over cells, and over means."""
    ((opened, _),) = open_runs((str(folder / "run"),))
    (member,) = opened.members(f"ridge+{prior}")
    assert member.prior is not None
    context = opened.cells.contexts[0]
    genes = [gene for gene in member.prior.genes if gene in human_vocab().genes][:PEERS]
    mode = next(iter(opened.cells.modes))
    asked = [Condition(Perturbation.of(gene, mode=mode), context) for gene in genes]
    counts = dict.fromkeys(asked, 40)
    started = time.process_time()
    made = predict(member.model, opened.cells, opened.split, asked, seed=0, counts=counts)
    for one in asked:
        made.mean(one)
    over_cells = time.process_time() - started
    controls = few_controls(opened.cells, context, opened.cells.genes)
    started = time.process_time()
    predicted_deltas(member.model, controls, asked, seed=0)
    return over_cells / PEERS, (time.process_time() - started) / PEERS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", default="uniprot")
    parser.add_argument("--controls", type=int, default=500)
    parser.add_argument("--without-dask", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        goal = ",".join(prepared(asked, folder))
        words = ("screen", "--model", folder / "run", "--programme", goal)
        wall, cpu, memory = timed(*words, "-o", folder / "whole")
        lines = (folder / "whole" / "ranking.csv").read_text().count("\n") - 1
        print(f"{lines:,} singles ranked: {cpu:.1f} CPU s ({wall:.1f} s on the clock), peak {memory:.2f} GiB")
        over_cells, over_means = peer(folder, asked.prior)
        print(f"a candidate over cells {over_cells * 1e3:.2f} ms, over means {over_means * 1e3:.3f} ms: ", end="")
        print(f"{over_cells / over_means:.0f} times less")
        for shard in ("1/3", "2/3", "3/3"):
            timed(*words, "--shard", shard, "-o", folder / "parts")
        timed(*words, "-o", folder / "parts")
        ways = {"shards": "parts"}
        if not asked.without_dask:
            timed(*words, "--dask", "2", "-o", folder / "dask")
            ways["dask"] = "dask"
        for way, place in ways.items():
            same = all(
                (folder / "whole" / one).read_bytes() == (folder / place / one).read_bytes()
                for one in ("ranking.csv", "ranking.parquet", "backtest.csv", "report.html")
            )
            print(f"{way}: {'the same bytes' if same else 'OTHER BYTES'}")


if __name__ == "__main__":
    main()
