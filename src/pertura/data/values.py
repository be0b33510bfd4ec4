"""What can be said of a matrix's numbers by looking at each once: refusals, extremes, whole numbers, scaling."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Num, Shaped

CENTRED = 0.05
"""A gene counts as centred where its mean is below this share of its standard deviation."""
UNIT = 0.01
"""A gene counts as scaled to unit variance where its standard deviation is this near to one."""
LARGEST_LOGARITHM = 30.0
"""No logarithm of a count, in base e, 2 or 10, is larger; fractions above it are not logarithms."""


class Refusal(Exception):  # noqa: N818 (a verdict on a file, not a mistake of this program)
    """Why a file or matrix cannot be used: the problem, where it is, what to do."""

    def __init__(self, problem: str, place: str = "", remedy: str = "") -> None:
        super().__init__(problem)
        self.problem, self.place, self.remedy = problem, place, remedy


@dataclass
class Tally:
    """Counts over all stored numbers of a cells x genes matrix, gathered block by block."""

    cells: int
    genes: int
    stored: int = 0
    nonzero: int = 0
    whole: int = 0
    lowest: float = np.inf
    highest: float = -np.inf
    bad: dict[str, int] = field(default_factory=lambda: {"NaN": 0, "infinite": 0, "negative": 0})
    first: dict[str, tuple[int, int]] = field(default_factory=dict)
    sums: Float[np.ndarray, " genes"] = field(init=False)
    squares: Float[np.ndarray, " genes"] = field(init=False)

    def __post_init__(self) -> None:
        self.sums, self.squares = np.zeros(self.genes), np.zeros(self.genes)

    def add_dense(self, block: Num[np.ndarray, "cells genes"], first_row: int) -> None:
        """Count a block of whole rows that begins at `first_row`."""
        flat = self._count(block.reshape(-1))
        for kind, positions in flat.items():
            row, column = divmod(int(positions[0]), self.genes)
            self.first.setdefault(kind, (first_row + row, column))
        exact = block.astype(np.float64, copy=False)
        self.sums += exact.sum(axis=0)
        self.squares += np.einsum("ij,ij->j", exact, exact)

    def add(self, block: Num[np.ndarray, "cells genes"] | sp.csr_matrix, first_row: int) -> None:
        """Count a block of whole rows, dense or CSR, that begins at `first_row`."""
        if isinstance(block, np.ndarray):
            self.add_dense(block, first_row)
        else:
            rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr)) + first_row
            self.add_entries(rows, block.indices.astype(np.int64), block.data)

    def add_entries(
        self, rows: Int[np.ndarray, " entries"], columns: Int[np.ndarray, " entries"], data: Num[np.ndarray, " entries"]
    ) -> None:
        """Count stored entries of a sparse matrix."""
        for kind, positions in self._count(data).items():
            at = int(positions[0])
            self.first.setdefault(kind, (int(rows[at]), int(columns[at])))
        exact = data.astype(np.float64, copy=False)
        self.sums += np.bincount(columns, weights=exact, minlength=self.genes)
        self.squares += np.bincount(columns, weights=exact * exact, minlength=self.genes)

    def _count(self, data: Num[np.ndarray, " entries"]) -> dict[str, Int[np.ndarray, " _"]]:
        if not data.size:
            return {}
        self.stored += data.size
        self.nonzero += int(np.count_nonzero(data))
        low, high = float(data.min()), float(data.max())
        found: dict[str, Int[np.ndarray, " _"]] = {}
        if not (np.isfinite(low) and np.isfinite(high)):
            found = {"NaN": np.flatnonzero(np.isnan(data)), "infinite": np.flatnonzero(np.isinf(data))}
            good = data[np.isfinite(data)]
            low, high = (float(good.min()), float(good.max())) if good.size else (0.0, 0.0)
        if low < 0:
            found["negative"] = np.flatnonzero(data < 0)
        self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)
        self.whole += data.size if data.dtype.kind in "iu" else int(np.count_nonzero(data == np.rint(data)))
        found = {kind: positions for kind, positions in found.items() if len(positions)}
        for kind, positions in found.items():
            self.bad[kind] += len(positions)
        return found

    @property
    def all_whole(self) -> bool:
        """Every number is a whole number."""
        return self.whole == self.stored

    @property
    def whole_share(self) -> float:
        """Share of the numbers other than 0 that are whole; 1 where there are none."""
        zeros = self.stored - self.nonzero
        return (self.whole - zeros) / self.nonzero if self.nonzero else 1.0

    def _deviations(self) -> tuple[Float[np.ndarray, " varying"], Float[np.ndarray, " varying"]]:
        """Mean and standard deviation of the genes that vary."""
        mean = self.sums / max(self.cells, 1)
        variance = self.squares / max(self.cells, 1) - mean**2
        varying = variance > 1e-12
        return mean[varying], np.sqrt(variance[varying])

    def refuse(
        self,
        cell_names: Shaped[np.ndarray, " cells"],
        gene_names: Shaped[np.ndarray, " genes"],
        elsewhere: Sequence[str] = (),
    ) -> None:
        """Raise `Refusal` where the numbers can be neither counts nor logarithms of counts.

        `elsewhere`: other matrices of the file (`layers['counts']`, `raw`), which the refusal names as ways out.
        """
        for kind in ("NaN", "infinite", "negative"):
            if self.bad[kind]:
                row, column = self.first[kind]
                place = f"X[{row}, {column}] (cell {cell_names[row]}, gene {gene_names[column]})"
                raise Refusal(
                    f"{self.bad[kind]:,} {kind} values, this is the first", place, self._remedy(kind, elsewhere)
                )
        if self.all_whole or self.cells < 50:
            return
        _, deviations = self._deviations()
        if len(deviations) >= 10 and np.mean(np.abs(deviations - 1) < UNIT) > 0.95:
            raise Refusal(
                f"scaled data: {len(deviations):,} genes all have a standard deviation of 1",
                "X",
                f"scaling hides how much genes change: give counts or log-normalised values{_ways_out(elsewhere)}",
            )
        if self.highest > LARGEST_LOGARITHM:
            raise Refusal(
                f"fractions up to {self.highest:,.4g}: neither counts nor logarithms of counts",
                "X",
                "give raw counts, or take the logarithm (log1p) of these normalised values",
            )

    def _remedy(self, kind: str, elsewhere: Sequence[str]) -> str:
        if kind != "negative":
            return "give counts or log-normalised values without gaps"
        means, deviations = self._deviations()
        centred = len(means) > 0 and float(np.mean(np.abs(means) < CENTRED * deviations)) > 0.9
        what = "these are scaled values (genes are centred on 0)" if centred else "expression is never below 0"
        return f"{what}: give raw counts or log-normalised values{_ways_out(elsewhere)}"


def _ways_out(elsewhere: Sequence[str]) -> str:
    """How to put another matrix of the same file in the place of X."""
    layer = next((name for name in elsewhere if "count" in name.lower()), next(iter(elsewhere), ""))
    if not layer:
        return ", as they were before scaling; this file keeps none"
    listed = " and ".join(elsewhere)
    if layer == "raw":
        return f"; this file also holds {listed}: adata = adata.raw.to_adata(), then write it again"
    return f"; this file also holds {listed}: adata.X = adata.{layer}.copy(), then write it again"
