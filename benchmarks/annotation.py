"""Cells per second of the embedding pass: lazy tokens in bucketed batches against padding every cell to max_genes,
and against the same network on stock transformer layers.

    python benchmarks/annotation.py [--device cuda] [--cells 512] [--genes 3000] [--layers 12] [--precision fp32]

Cells have as many expressed genes as real ones (a wide log-normal spread). Both passes read the same cells through the
same network of whole-human width; rounds take turns and the best counts. CPU time is given beside the wall clock, for
cores that others use too. Queries on disk are then labelled, each in a process of its own: the peak of memory over
what was used before says whether it grows with the cells (`--disk-cells 250000,1000000`; obs alone is held whole).
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from torch import nn

from pertura.annotation.embedding import class_states, embedded
from pertura.annotation.pretrained import Base, base_of
from pertura.annotation.tokens import Reading, batch_of, tokenised
from pertura.annotation.view import View, view_of
from pertura.core.expression import InMemory
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.checkpoint import ForeignCheckpoint, LoadReport
from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.names import layout_of
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.tokens import PAD_VALUE, TokenBatch
from pertura.recipes.annotating.in_python import annotate
from pertura.training.options import TrainingOptions
from pertura.training.precision import autocast

MAX_GENES = 1200


class Stock(nn.Module):
    def __init__(self, layers: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(512, 8, 512, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)

    def forward(self, states: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
        return self.encoder(states, src_key_padding_mask=padding)


def base_of_size(genes: int, layers: int) -> Base:
    names = [f"GENE{i}" for i in range(genes)]
    vocab = Vocab({name: i for i, name in enumerate([*names, "<pad>", "<cls>", "<eoc>"])})
    config = ScGPTConfig(vocab_size=genes + 3, pad_id=genes, layers=layers, flags=False, decoder="plain", dropout=0.0)
    torch.manual_seed(0)
    network = ScGPTNetwork(config).eval()
    return base_of(ForeignCheckpoint(network, vocab, config, LoadReport(()), layout_of({})), "benchmark")


def counts(cells: int, genes: int) -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    expressed = np.clip(rng.lognormal(np.log(genes * 0.15), 0.5, size=cells), 20, genes).astype(int)
    rows = [np.sort(rng.choice(genes, size=one, replace=False)) for one in expressed]
    data = np.concatenate([rng.poisson(1.5, size=len(one)) + 1 for one in rows]).astype(np.float32)
    pointers = np.concatenate([[0], np.cumsum([len(one) for one in rows])])
    return sp.csr_matrix((data, np.concatenate(rows), pointers), shape=(cells, genes))


def view(base: Base, matrix: sp.csr_matrix) -> View:
    names = tuple(f"GENE{i}" for i in range(matrix.shape[1]))
    ids = np.asarray([f"c{i}" for i in range(matrix.shape[0])], dtype=object)
    return view_of(InMemory(matrix), names, ids, names, base.vocab)


def padded(batch: TokenBatch, length: int, pad_id: int) -> TokenBatch:
    more = length - batch.ids.shape[1]
    return TokenBatch(
        nn.functional.pad(batch.ids, (0, more), value=pad_id),
        nn.functional.pad(batch.values, (0, more), value=PAD_VALUE),
        nn.functional.pad(batch.padding, (0, more), value=True),
    )


def pass_padded(body: ScGPTNetwork, cells: View, base: Base, options: TrainingOptions, size: int) -> None:
    """Every cell at max_genes, in the order of the file."""
    reading = Reading(MAX_GENES, size)
    for start in range(0, len(cells), size):
        rows = np.arange(start, min(start + size, len(cells)))
        batch = padded(batch_of(tokenised(cells, rows, base), base, reading), MAX_GENES, base.vocab.ids["<pad>"])
        with torch.inference_mode(), autocast(options):
            class_states(body, batch, options.device)


def timed(work: Callable[[], object], device: str) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cells", type=int, default=0)
    parser.add_argument("--genes", type=int, default=3000)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--disk-cells", default="12000,48000", help="sizes of queries on disk; empty for none")
    parser.add_argument("--disk-alone", action="store_true")
    asked = parser.parse_args()
    sizes = [int(one) for one in asked.disk_cells.split(",") if one]
    if asked.disk_alone:
        on_disk(sizes)
        return
    gpu = asked.device.startswith("cuda")
    cells, batch = asked.cells or (8192 if gpu else 96), asked.batch or (128 if gpu else 16)
    base = base_of_size(asked.genes, asked.layers)
    shown = view(base, counts(cells, asked.genes))
    options = TrainingOptions(device=asked.device, precision=asked.precision)
    body, twin = base.body().to(asked.device), base.body()
    twin.encoder = Stock(asked.layers).eval().requires_grad_(False)
    twin = twin.to(asked.device)
    rows, reading = np.arange(cells), Reading(MAX_GENES, batch)
    works = {
        "pertura": lambda: embedded(body, shown, rows, (base, reading, options)),
        "padded to max_genes": lambda: pass_padded(body, shown, base, options, batch),
        "stock layers, our batches": lambda: embedded(twin, shown, rows, (base, reading, options)),
    }
    best = dict.fromkeys(works, (float("inf"), float("inf")))
    for number in range(asked.rounds + 1):
        for name, work in works.items():
            spent = timed(work, asked.device)
            if number:  # the first round warms up
                best[name] = min(best[name], spent)
    print(f"{asked.device}, {torch.get_num_threads()} threads, {asked.precision}, {cells} cells, {asked.layers} layers")
    for name, (wall, cpu) in best.items():
        ratio = f"{wall / best['pertura'][0]:.2f} (CPU {cpu / best['pertura'][1]:.2f})"
        print(
            f"  {name:26s} {cells / wall:9.1f} cells/s, {cells / cpu:9.1f} cells per CPU second; pertura is {ratio} x"
        )
    if sizes:
        on_disk(sizes)


def on_disk(sizes: list[int]) -> None:
    """Peak memory while queries of several sizes are labelled from disk, each in a process of its own."""
    genes = [f"GENE{i}" for i in range(2000)]
    with tempfile.TemporaryDirectory() as folder:
        names = [f"r{i}" for i in range(300)]
        obs = pd.DataFrame({"type": [f"type {i % 3}" for i in range(300)]}, index=names)
        reference = anndata.AnnData(counts(300, 2000), obs=obs, var=pd.DataFrame(index=genes))
        made = annotate(reference, "type", strategy="linear", folds=2, repeats=1, unseen=False, projection="pca")
        made.annotator.save(Path(folder) / "annotator")
        for cells in sizes:
            path = Path(folder) / "query.h5ad"
            write_query(path, cells, genes)
            size = path.stat().st_size / 2**20
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                wall, cpu, grown = pool.apply(labelled_from_disk, (path, Path(folder) / "annotator"))
            print(f"  {cells:,} cells ({size:,.0f} MiB) from disk: {wall:.1f} s, {cpu:.1f} CPU s, "
                  f"{cells / cpu:,.0f} cells per CPU second; peak grew by {grown:.0f} MiB", flush=True)  # fmt: skip


def write_query(path: Path, cells: int, genes: list[str], most: int = 10_000) -> None:
    """A file of that many cells, written piece by piece: the same cells over and over under names of their own."""
    names = pd.Index([f"q{i}" for i in range(cells)])
    query = anndata.AnnData(sp.csr_matrix((cells, len(genes)), dtype=np.float32), obs=pd.DataFrame(index=names))
    query.var_names, query.obs["cluster"] = genes, "one"
    query.write_h5ad(path)
    block = counts(min(most, cells), len(genes))
    repeats, rest = divmod(cells, block.shape[0])
    pieces = [block] * repeats + ([block[:rest]] if rest else [])
    with h5py.File(path, "r+") as file:
        held = sum(one.nnz for one in pieces)
        for name in ("data", "indices"):
            del file[f"X/{name}"]
            stored = file["X"].create_dataset(name, (held,), getattr(block, name).dtype, chunks=(1 << 18,))
            start = 0
            for one in pieces:
                stored[start : start + one.nnz] = getattr(one, name)
                start += one.nnz
        lengths = np.concatenate([np.diff(one.indptr) for one in pieces])
        del file["X/indptr"]
        file["X/indptr"] = np.concatenate([[0], np.cumsum(lengths)])


def labelled_from_disk(path: Path, folder: Path) -> tuple[float, float, float]:
    from pertura.annotation import source
    from pertura.annotation.annotator import load_annotator
    from pertura.recipes.annotating.querying import labelled_file
    from pertura.recipes.annotating.wish import Wish

    source.IN_MEMORY_BYTES = 0
    annotator = load_annotator(folder)
    before = memory_of("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    labelled_file(path, path.with_name("out.h5ad"), annotator, Wish("type", clusters="cluster"), lambda *_: None)
    return time.perf_counter() - wall, time.process_time() - cpu, memory_of("VmHWM") - before


def memory_of(kind: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at its highest (what a process inherits of its parent is in neither)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith(kind)) / 1024


if __name__ == "__main__":
    main()
