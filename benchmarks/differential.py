"""CPU seconds of differential expression beside pdex, one thread each, in one process, after a warm-up.

python benchmarks/differential.py [--quick]

Screens are simulated: gamma-Poisson counts, normalised and logged, as a CSR matrix in memory; every perturbation is
tested against the same control cells. Both evaluate the same cells, and the largest difference of their p is printed.
"""

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from pertura.core.expression import as_expression
from pertura.metrics.differential import DifferentialExpression, Tests, differential_expression

DEPTH, SPREAD, DISPERSION = 6000, 0.35, 0.3


@dataclass(frozen=True)
class Size:
    """How large a screen is; genes of the transcriptome beyond those tested thin the counts out."""

    perturbations: int
    cells: int
    controls: int
    genes: int
    target: float | None = None

    def __str__(self) -> str:
        return f"{self.perturbations} x {self.cells} cells, {self.controls:,} controls, {self.genes:,} genes"


LARGE = Size(300, 104, 10_691, 500, target=100.0)
MIDDLE = Size(60, 60, 1000, 2000, target=30.0)
QUICK = (Size(30, 40, 800, 100), Size(10, 30, 200, 300))


def simulate(size: Size, seed: int = 0) -> tuple[sp.csr_matrix, np.ndarray]:
    """A screen of which a third of the genes respond to each perturbation; codes end with the controls'."""
    rng = np.random.default_rng(seed)
    transcriptome = max(size.genes, 2000)
    rates = rng.gamma(0.35, 1.0, transcriptome) + 1e-3
    measured = rng.permutation(transcriptome)[: size.genes]
    parts, codes = [], []
    for code, count in [*((p, size.cells) for p in range(size.perturbations)), (size.perturbations, size.controls)]:
        shift = rng.normal(0, 0.5, transcriptome) * (rng.random(transcriptome) < 0.33)
        mean = rates * (np.exp(shift) if code < size.perturbations else 1.0)
        parts.append(_cells(mean / mean.sum(), measured, count, rng))
        codes.append(np.full(count, code))
    return sp.csr_matrix(sp.vstack(parts)), np.concatenate(codes)


def _cells(mean: np.ndarray, measured: np.ndarray, count: int, rng: np.random.Generator) -> sp.csr_matrix:
    depth = rng.lognormal(np.log(DEPTH), SPREAD, (count, 1))
    spread = rng.gamma(1 / DISPERSION, DISPERSION, (count, len(measured)))
    counts = rng.poisson(depth * mean[measured] * spread)
    return sp.csr_matrix(np.log1p(counts / depth * 1e4).astype(np.float32))


def seconds(work: Callable[[], object], repeats: int) -> tuple[float, object]:
    """The least CPU time of several runs, and what the last of them gave."""
    times, result = [], None
    for _ in range(repeats):
        started = time.process_time()
        result = work()
        times.append(time.process_time() - started)
    return min(times), result


def ours(matrix: sp.csr_matrix, codes: np.ndarray, targets: int) -> DifferentialExpression:
    return differential_expression(as_expression(matrix), codes, targets, options=Tests(threads=1))


def load_peer() -> "Callable[..., np.ndarray] | None":
    """The peer as a function of matrix, codes and number of targets that gives p; None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from pdex import pdex
        except ImportError:
            return None
    import anndata
    import pandas as pd

    def run(matrix: sp.csr_matrix, codes: np.ndarray, targets: int) -> np.ndarray:
        labels = np.asarray([*(f"t{one:05d}" for one in range(targets)), "zz"])[codes]
        obs = pd.DataFrame({"label": pd.Categorical(labels)}, index=[str(i) for i in range(len(codes))])
        cells = anndata.AnnData(matrix, obs=obs)
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            frame = pdex(cells, groupby="label", reference="zz", threads=1, is_log1p=True, epsilon=0.0)
        return frame["p_value"].to_numpy().reshape(targets, -1)

    return run


def compare(size: Size, peer: "Callable[..., np.ndarray] | None", repeats: int = 3) -> tuple[float, float | None]:
    """Time both on one screen and print a line."""
    matrix, codes = simulate(size)
    mine, found = seconds(lambda: ours(matrix, codes, size.perturbations), repeats)
    density = matrix.nnz / np.prod(matrix.shape)
    line = f"{size!s:58} density {density:.2f}  pertura {mine:8.3f} s"
    if peer is None:
        print(line)
        return mine, None
    theirs, p = seconds(lambda: peer(matrix, codes, size.perturbations), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.nanmax(np.abs(found.p_value - p) / np.where(p > 0, p, 1.0))
    goal = "" if size.target is None else f" (aim: {size.target:.0f})"
    print(
        f"{line}  pdex {theirs:8.2f} s  ratio {theirs / mine:6.1f}{goal}  largest relative difference {difference:.0e}"
    )
    return mine, theirs


def growth(base: Size, peer: "Callable[..., np.ndarray] | None") -> None:
    """Print by how much the time of either grows where one dimension doubles."""
    print(f"\ngrowth from {base}")
    before = compare(base, peer)
    for name in ("cells", "genes", "perturbations", "controls"):
        after = compare(replace(base, target=None, **{name: 2 * getattr(base, name)}), peer)
        grown = [f"{who} x{b / a:.2f}" for who, a, b in zip(("pertura", "pdex"), before, after) if a and b]
        print(f"  {name} doubled: {', '.join(grown)}")


def main() -> None:
    """Warm both up on both kinds of work, then time them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small screens, in seconds; their ratios mean little")
    quick = parser.parse_args().quick
    peer = load_peer()
    if peer is None:
        print("pdex is not installed, so there is nothing to compare with: pip install pdex==0.3.0")
    warm = simulate(Size(3, 10, 40, 30))
    for run in (ours, *([peer] if peer else [])):
        run(*warm, 3)
    first, second = QUICK if quick else (LARGE, MIDDLE)
    compare(first, peer)
    growth(second, peer)


if __name__ == "__main__":
    main()
