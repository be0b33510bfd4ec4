"""Cells per second of the embedding pass: lazy tokens in bucketed batches against padding every cell to max_genes,
and against the same network on stock transformer layers.

    python benchmarks/annotation.py [--device cuda] [--cells 512] [--genes 3000] [--layers 12] [--precision fp32]

Cells have as many expressed genes as real ones (a wide log-normal spread). Both passes read the same cells through the
same network of whole-human width; rounds take turns and the best counts. CPU time is given beside the wall clock, for
cores that others use too. A query on disk is then labelled twice, the second time four times as long: the peak of
memory says whether it grows with the cells.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from torch import nn

from pertura.annotation.annotator import Annotator
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
    parser.add_argument("--no-disk", action="store_true")
    asked = parser.parse_args()
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
    if not asked.no_disk:
        on_disk()


def on_disk() -> None:
    """Peak memory while a query is labelled from disk, short and four times as long."""
    genes = [f"GENE{i}" for i in range(2000)]
    with tempfile.TemporaryDirectory() as folder:
        reference = anndata.AnnData(counts(300, 2000), obs=pd.DataFrame({"type": np.arange(300) % 3}).astype(str))
        reference.var_names, reference.obs_names = genes, [f"r{i}" for i in range(300)]
        made = annotate(reference, "type", strategy="linear", folds=2, repeats=1, unseen=False, projection="pca")
        for times in (1, 4):
            path = Path(folder) / f"query{times}.h5ad"
            block = counts(12_000, 2000)
            query = anndata.AnnData(sp.vstack([block] * times, format="csr"))
            query.var_names, query.obs_names = genes, [f"q{i}" for i in range(query.n_obs)]
            query.obs["cluster"] = "one"
            query.write_h5ad(path)
            size = path.stat().st_size / 2**20
            del query
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            seconds = labelled_from_disk(path, made.annotator)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(
                f"  {12_000 * times:,} cells ({size:.0f} MiB) from disk: {seconds:.1f} s, peak grew by {grown:.0f} MiB"
            )


def labelled_from_disk(path: Path, annotator: Annotator) -> float:
    from pertura.annotation import source
    from pertura.recipes.annotating.querying import labelled_file
    from pertura.recipes.annotating.wish import Wish

    source.IN_MEMORY_BYTES = 0
    began = time.perf_counter()
    labelled_file(path, path.with_name("out.h5ad"), annotator, Wish("type", clusters="cluster"), lambda *_: None)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
