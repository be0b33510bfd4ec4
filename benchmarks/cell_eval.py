"""The whole profile `full` of cell-eval 0.8 beside cell-eval itself: CPU seconds, one thread each, in one run.

python benchmarks/cell_eval.py [--perturbations 60] [--cells 60] [--genes 2000] [--controls 1000] [--dense]

Both work on the same cells in memory (CSR; with --dense a dense prediction of low variance) and both are warm: each has
judged a small screen before. A part of cell-eval is one of its metrics, or its differential expression.
"""

import argparse
import importlib.metadata
import importlib.util
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

# before numpy reads them
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["TQDM_DISABLE"] = "1"
sys.path.pop(0)  # this folder, whose files bear the names of packages

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from pertura.core.expression import as_expression
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible import cell_eval as preset
from pertura.evaluation.compatible.cell_eval_files import write_files
from pertura.evaluation.compatible.profile import Options

CONTROL, LABEL = "non-targeting", "target_gene"
GROUPS = {"pearson_edistance": "energy distances", "clustering_agreement": "clusters"}
PARTS = ("rank tests", "energy distances", "clusters", "other metrics", "checks and files")
Parts = dict[str, float]


def simulated(asked: argparse.Namespace) -> tuple[ad.AnnData, ad.AnnData]:
    """A screen with shared and own effects, ragged groups and perturbations without effect; controls are shared."""
    rng = np.random.default_rng(asked.seed)
    genes = [f"G{i:05d}" for i in range(asked.genes)]
    base = rng.gamma(0.35, 1.0, asked.genes) + 1e-3
    common = np.where(rng.random(asked.genes) < 0.1, rng.normal(0, 0.5, asked.genes), 0)
    targets = rng.choice(asked.genes, asked.perturbations, replace=False)
    controls = counted(rng, base, asked.controls)
    sides = ([controls], [controls])
    labels: tuple[list[str], list[str]] = ([CONTROL] * asked.controls, [CONTROL] * asked.controls)
    for target in targets:
        strength = rng.choice([0.0, 0.3, 0.7, 1.2], p=[0.1, 0.3, 0.3, 0.3])
        effect = strength * (0.6 * common + sparse_effect(rng, asked.genes, 0.06, 0.9))
        effect[target] = -2.5
        guess = 0.6 * effect + 0.25 * strength * common + sparse_effect(rng, asked.genes, 0.03, 0.4)
        for blocks, names, change in zip(sides, labels, (guess, effect), strict=True):
            size = max(5, int(rng.normal(asked.cells, 0.15 * asked.cells)))
            blocks.append(counted(rng, base * np.exp(change), size))
            names += [genes[target]] * size
    predicted, observed = (np.vstack(blocks) for blocks in sides)
    if asked.dense:
        predicted = low_variance(rng, predicted, asked.controls)
    kept = predicted if asked.dense else sp.csr_matrix(predicted)
    return annotated(kept, labels[0], genes), annotated(sp.csr_matrix(observed), labels[1], genes)


def sparse_effect(rng: np.random.Generator, genes: int, share: float, size: float) -> np.ndarray:
    return np.where(rng.random(genes) < share, rng.normal(0, size, genes), 0)


def counted(rng: np.random.Generator, mean: np.ndarray, size: int) -> np.ndarray:
    """Cells as log1p of counts per ten thousand; counts are Poisson with gamma spread."""
    depth = rng.lognormal(np.log(6000), 0.35, size)
    counts = rng.poisson(rng.gamma(1 / 0.3, 0.3, (size, len(mean))) * np.outer(depth, mean / mean.sum()))
    return np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4).astype(np.float32)


def low_variance(rng: np.random.Generator, cells: np.ndarray, controls: int) -> np.ndarray:
    smooth = 0.7 * cells[controls:] + 0.3 * cells[controls:].mean(axis=0)
    noise = rng.normal(0, 0.02, smooth.shape).astype(np.float32)
    return np.vstack([cells[:controls], np.maximum(smooth + noise, 0)]).astype(np.float32)


def annotated(values: np.ndarray | sp.csr_matrix, labels: list[str], genes: list[str]) -> ad.AnnData:
    obs = pd.DataFrame({LABEL: pd.Categorical(labels)}, index=[f"c{i}" for i in range(len(labels))])
    return ad.AnnData(X=values, obs=obs, var=pd.DataFrame(index=genes))


@contextmanager
def counted_time(parts: Parts, name: str) -> Iterator[None]:
    started = time.process_time()
    yield
    parts[name] = parts.get(name, 0.0) + time.process_time() - started


def timed(parts: Parts, name_of: Callable[..., str], work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, with its CPU time added to the part that `name_of` its arguments says."""

    def wrapped(*given: Any, **named: Any) -> Any:
        with counted_time(parts, name_of(*given, **named)):
            return work(*given, **named)

    return wrapped


def peer(predicted: ad.AnnData, observed: ad.AnnData, folder: Path) -> Parts:
    """CPU seconds of cell-eval, by part."""
    from cell_eval import MetricsEvaluator, _evaluator
    from cell_eval._pipeline import MetricPipeline

    parts: Parts = {}
    sides = {"adata_pred": predicted.copy(), "adata_real": observed.copy()}
    metric = timed(parts, lambda self, name, data: GROUPS.get(name, "other metrics"), MetricPipeline._compute_metric)
    tests = timed(parts, lambda *_, **__: "rank tests", _evaluator.pdex)
    with (
        patch.object(MetricPipeline, "_compute_metric", metric),
        patch.object(_evaluator, "pdex", tests),
        counted_time(parts, "in all"),
    ):
        how = {"control_pert": CONTROL, "pert_col": LABEL, "num_threads": 1, "outdir": str(folder)}
        MetricsEvaluator(**sides, **how).compute(profile="full")
    return parts


def own(predicted: ad.AnnData, observed: ad.AnnData, folder: Path) -> Parts:
    """CPU seconds of pertura, by part."""
    parts: Parts = {}
    sides = labelled(predicted, "predicted"), labelled(observed, "observed")
    tests = timed(parts, lambda *_, **__: "rank tests", preset.differential_expression)
    energy = timed(parts, lambda *_: "energy distances", preset.energy_column)
    means = timed(parts, lambda name, *_: GROUPS.get(name, "other metrics"), preset.means_column)
    columns = timed(parts, lambda *_: "other metrics", preset.tests_column)
    with (
        patch.object(preset, "differential_expression", tests),
        patch.object(preset, "energy_column", energy),
        patch.object(preset, "means_column", means),
        patch.object(preset, "tests_column", columns),
        counted_time(parts, "in all"),
    ):
        judged = preset.judge(*sides, Options(threads=1), preset.PROFILES[""])
        write_files(judged, sides[0].genes, folder)
    return parts


def labelled(cells: ad.AnnData, name: str) -> Labelled:
    labels, codes = np.unique(cells.obs[LABEL].to_numpy(str), return_inverse=True)
    ids, names = cells.obs_names.to_numpy(str), tuple(map(str, labels))
    matrix = as_expression(cells.X)
    return Labelled(matrix, tuple(cells.var_names), ids, names, codes.astype(np.int64), CONTROL, name)


def largest_difference(first: Path, second: Path) -> float:
    """Of any number in both results.csv; infinite where one side has a number and the other none."""
    tables = [pd.read_csv(folder / "results.csv", index_col=0) for folder in (first, second)]
    one, other = (table.to_numpy(dtype=np.float64) for table in tables)
    if list(tables[0]) != list(tables[1]) or (np.isnan(one) != np.isnan(other)).any():
        return float("inf")
    return float(np.nanmax(np.abs(one - other)))


def report(theirs: Parts, mine: Parts) -> None:
    for parts in (theirs, mine):
        parts["checks and files"] = max(0.0, 2 * parts["in all"] - sum(parts.values()))
    print(f"{'CPU seconds':<18}{'cell-eval':>12}{'pertura':>12}{'ratio':>9}")
    for name in (*PARTS, "in all"):
        one, other = theirs.get(name, 0.0), mine.get(name, 0.0)
        print(f"{name:<18}{one:>12.3f}{other:>12.3f}{one / max(other, 1e-3):>8.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, size in (("perturbations", 60), ("cells", 60), ("genes", 2000), ("controls", 1000), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--dense", action="store_true", help="a dense prediction of low variance")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    small = argparse.Namespace(perturbations=5, cells=12, genes=60, controls=30, seed=1, dense=asked.dense)
    pair, warm = simulated(asked), simulated(small)
    print(f"{pair[0].shape[0]:,} cells x {asked.genes:,} genes, {asked.perturbations} perturbations")
    with tempfile.TemporaryDirectory() as home:
        folders = Path(home) / "own", Path(home) / "peer"
        own(*warm, folders[0])
        mine = own(*pair, folders[0])
        if importlib.util.find_spec("cell_eval") is None:
            print(f"pertura: {mine['in all']:.2f} CPU seconds. cell-eval is not here: pip install 'pertura[parity]'")
            return
        peer(*warm, folders[1])
        theirs = peer(*pair, folders[1])
        print(f"cell-eval {importlib.metadata.version('cell-eval')}, pdex {importlib.metadata.version('pdex')}")
        report(theirs, mine)
        print(f"largest difference of any number in results.csv: {largest_difference(*folders):.1e}")


if __name__ == "__main__":
    main()
