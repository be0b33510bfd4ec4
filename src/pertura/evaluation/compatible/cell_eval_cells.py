"""cell-eval 0.8's correlation of energy distances: every cell against every control cell.

cell-eval averages float32 distances in float32, which moves the correlation by about 1e-6. Where the work is small it
is done with the same roundings; where it is large, by float32 products in blocks whose sums are exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from threadpoolctl import threadpool_limits

from pertura.evaluation.compatible.cell_eval_means import pearson
from pertura.evaluation.compatible.cell_eval_sides import Side
from pertura.evaluation.compatible.profile import Column, Options
from pertura.evaluation.device import distances_to
from pertura.metrics.energy import Distances, rounded_distances, sum_within
from pertura.metrics.threads import each, ranges, usable_threads

READ_CELLS = 2048
FEW_OPERATIONS = 1e12
"""Multiplications and additions of one side up to which roundings are those of cell-eval."""
FEW_PAIRS = 1.5e8
"""Distances in any one average up to which the same holds."""
Rows = Int[np.ndarray, " cells"]
Sums = Float[np.ndarray, " labels_and_control"]
Values = Float[np.ndarray, " labels"]


def energy_column(predicted: Side, observed: Side, options: Options) -> Column:
    """Return the correlation over labels of energy distances from control, the same in every row."""
    with threadpool_limits(limits=1, user_api="blas"):
        value = pearson(energy_distances(observed, options), energy_distances(predicted, options))
    return Column(np.full(len(observed.labels), value), whole_screen=True)


def energy_distances(side: Side, options: Options) -> Values:
    """Return for each label 2 mean d(x, c) - mean d(x, x') - mean d(c, c') with control cells c, self pairs included.

    Distances are Euclidean. Which way they are taken depends on the numbers of cells and genes alone.
    """
    counts = side.counts.astype(np.float64)
    pairs = np.append(counts * counts[-1], counts[:-1] ** 2)
    few = pairs.sum() * 2 * len(side.cells.genes) <= FEW_OPERATIONS and pairs.max() <= FEW_PAIRS
    return _rounded(side, options) if few else _summed(side, options)


def _rounded(side: Side, options: Options) -> Values:
    """Energy distances with the roundings of cell-eval: each average in the type of the cells."""
    threads = usable_threads(options.threads)
    controls = _dense(side, _rows_of(side, len(side.labels)))
    own = rounded_distances(controls, controls, threads).mean()
    values = np.empty(len(side.labels))
    for codes in _grouped(side.counts[:-1], READ_CELLS):
        cells = _dense(side, np.concatenate([_rows_of(side, code) for code in codes]))
        across = rounded_distances(cells, controls, threads)
        edges = np.append(0, np.cumsum(side.counts[codes]))
        for code, start, stop in zip(codes, edges, edges[1:], strict=False):
            mine = cells[start:stop]
            values[code] = 2 * across[start:stop].mean() - rounded_distances(mine, mine).mean() - own
    return values


def _grouped(counts: Int[np.ndarray, " labels"], at_once: int) -> Iterator[list[int]]:
    """Successive codes whose cells together are about `at_once`."""
    parts = np.cumsum(counts) // at_once
    for part in np.unique(parts):
        yield np.flatnonzero(parts == part).tolist()


def _rows_of(side: Side, code: int) -> Rows:
    return side.cells.rows_of((*side.labels, side.cells.control)[code])


def _dense(side: Side, rows: Rows) -> Float[np.ndarray, "cells genes"]:
    block = side.expression.rows(rows)
    return block if isinstance(block, np.ndarray) else block.toarray()


def _summed(side: Side, options: Options) -> Values:
    """Energy distances by blocks: cells centred on their control's mean, in float32; within a label in float64.

    Half of `options.memory` holds control cells and the labels at hand; control cells that do not fit come in parts.
    """
    gathering = _Gathering(side, side.means[-1].astype(np.float32), usable_threads(options.threads))
    at_once = max(options.memory // (16 * max(len(side.cells.genes), 1)), 1)
    controls = np.flatnonzero(side.codes == len(side.labels))
    across, within = np.zeros(len(side.counts)), np.zeros(len(side.counts))
    for start, stop in ranges(len(controls), at_once):
        fixed = gathering.cells(controls[start:stop])
        distances = distances_to(fixed, options.device, gathering.threads)
        for rows in _batches(side, at_once):
            across += gathering.add(rows, distances, within if start == 0 else None)
    own = across[-1] / len(controls) ** 2
    counts = side.counts[:-1]
    return np.asarray(2 * across[:-1] / (counts * len(controls)) - within[:-1] / counts.astype(np.float64) ** 2 - own)


def _batches(side: Side, at_once: int) -> Iterator[Rows]:
    """Rows of whole labels, about `at_once` cells together, in the order in which the file has them.

    Control cells, of which no pair is missed when they come apart, come in parts of that size.
    """
    order = np.argsort(side.codes, kind="stable")
    parts = np.split(order, np.cumsum(side.counts)[:-1])
    for start, stop in ranges(len(parts[-1]), at_once):
        yield parts[-1][start:stop]
    batch: list[Rows] = []
    for part in sorted(parts[:-1], key=lambda rows: int(rows[0])):
        if batch and sum(map(len, batch)) + len(part) > at_once:
            yield np.sort(np.concatenate(batch))
            batch = []
        batch.append(part)
    if batch:
        yield np.sort(np.concatenate(batch))


@dataclass(frozen=True, eq=False)
class _Gathering:
    side: Side
    centre: Float32[np.ndarray, " genes"]
    threads: int

    def cells(self, rows: Rows) -> Float32[np.ndarray, "cells genes"]:
        """Rows as dense float32, centred."""
        dense = np.empty((len(rows), len(self.centre)), dtype=np.float32)
        for start, stop in ranges(len(rows), READ_CELLS):
            block = self.side.expression.rows(rows[start:stop])
            dense[start:stop] = block if isinstance(block, np.ndarray) else block.toarray()
            dense[start:stop] -= self.centre
        return dense

    def add(self, rows: Rows, distances: Distances, within: Sums | None) -> Sums:
        """Sums of distances to the control cells at hand; those within each label go into `within` where given."""
        cells, codes = self.cells(rows), self.side.codes[rows]
        if within is not None:
            self._add_within(cells, codes, within)
        return np.bincount(codes, weights=distances.sums(cells), minlength=len(self.side.counts))

    def _add_within(self, cells: Float32[np.ndarray, "cells genes"], codes: Rows, within: Sums) -> None:
        control = len(self.side.labels)

        def work(code: int) -> None:
            within[code] = sum_within(cells[codes == code])

        each(work, [int(code) for code in np.unique(codes) if code != control], self.threads)
