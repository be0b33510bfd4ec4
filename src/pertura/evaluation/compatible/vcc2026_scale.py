"""The published scale of `vcc2026`: 0 is the screen's mean response, 1 is half of the observed cells for the other.

Cells are drawn by the published seeds and in the order of the file, as cell-eval2 0.20.0 draws them: another order of
the same cells gives other halves, within the spread that the five splits show.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Subset
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.counts import counted
from pertura.evaluation.compatible.pairing import control_rows, listed, present
from pertura.evaluation.compatible.profile import Judged, Options
from pertura.evaluation.compatible.vcc2026 import ERROR, LEVEL, SCORED, Case, judge_fractions, judged
from pertura.metrics.calls import change_gap

CHANGE_ERROR = "de_wilcoxon_lfc_nmae"
SPLITS = 5


@dataclass(frozen=True)
class Scale:
    """What each scored metric gives for the mean response and, per split, for half of the observed cells."""

    baseline: Mapping[str, float]
    replicates: Mapping[str, tuple[float, ...]]

    def replicate(self, metric: str) -> float:
        """Return the mean over the splits; NaN where one of them has no value."""
        return float(np.mean(self.replicates[metric]))


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """An expression whose genes are multiplied by a factor each, in single precision."""

    source: Expression
    factor: Float[np.ndarray, " genes"]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.source.shape

    def rows(self, index: Int[np.ndarray, " cells"]) -> Float[np.ndarray, "cells genes"] | sp.csr_matrix:
        """Return the rows named by `index`, in its order, multiplied."""
        block = self.source.rows(index)
        if isinstance(block, np.ndarray):
            return (block * self.factor).astype(np.float32)
        values = (block.data * self.factor[block.indices]).astype(np.float32)
        return sp.csr_matrix((values, block.indices, block.indptr), shape=block.shape)


def mean_response(observed: Labelled, seed: int = 0) -> Labelled:
    """Return the published baseline: control cells redrawn and scaled, gene by gene, to the mean of all labels.

    The mean leaves out, for each gene, the label named after it. Values are fractions of counts. Labels have as many
    cells as observed; control itself has none.
    """
    labels, controls = present(observed), control_rows(observed)
    sums = counted(observed).sums
    profile = _mean_of_labels(observed, labels, sums)
    level = sums[observed.labels.index(observed.control)] / len(controls)
    factor = np.divide(profile, level, out=np.zeros_like(profile), where=level > 0)
    rng = np.random.default_rng(seed)
    sizes = [len(observed.rows_of(one)) for one in labels]
    rows = np.concatenate([controls[rng.integers(0, len(controls), size=size)] for size in sizes])
    codes = np.repeat([observed.labels.index(one) for one in labels], sizes)
    return replace(
        observed,
        expression=Subset(Scaled(observed.expression, factor), rows),
        ids=np.asarray([f"{observed.labels[code]} {i}" for i, code in enumerate(codes)]),
        codes=codes,
        name="the mean response",
    )


def _mean_of_labels(
    observed: Labelled, labels: tuple[str, ...], sums: Float[np.ndarray, "every genes"]
) -> Float[np.ndarray, " genes"]:
    rows = np.asarray([observed.labels.index(one) for one in labels])
    sizes = np.asarray([len(observed.rows_of(one)) for one in labels])
    means = sums[rows] / sizes[:, None]
    counts_in = np.ones(means.shape, dtype=bool)
    column = {gene: i for i, gene in enumerate(observed.genes)}
    for row, label in enumerate(labels):
        if label in column:
            counts_in[row, column[label]] = False
    contributing = counts_in.sum(axis=0)
    if not contributing.all():
        alone = [observed.genes[i] for i in np.flatnonzero(contributing == 0)]
        raise BadDataError(
            f"every label perturbs {listed(alone)}: its mean response is not defined", file=observed.name
        )
    return np.asarray(np.where(counts_in, means, 0.0).sum(axis=0) / contributing)


def halves(observed: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """Return two disjoint halves of the cells of every label, control included; an odd cell is left out.

    Raise where a label has one cell only: its halves do not exist.
    """
    single = [one for one in observed.labels if len(observed.rows_of(one)) == 1]
    if single:
        raise BadDataError(f"labels of one cell have no halves: {listed(single)}", file=observed.name)
    rng = np.random.default_rng(seed)
    first, second = [], []
    for label in observed.labels:
        order = rng.permutation(observed.rows_of(label))
        half = len(order) // 2
        first.append(order[:half])
        second.append(order[half : 2 * half])
    return observed.take(np.concatenate(first)), observed.take(np.concatenate(second))


def split_seeds() -> tuple[int, ...]:
    """Return the five published seeds of the splits."""
    return tuple(int(one) for one in np.random.SeedSequence(0).generate_state(SPLITS))


def scale(observed: Labelled, options: Options) -> Scale:
    """Return both ends of the scale, measured on the observed cells alone.

    Halves are tested against the control cells of their own half: shared control cells would pass their noise off as
    agreement. The error of fold changes takes its gate and its size from all cells, as half of them call too few genes.
    """
    options = replace(options, skip=frozenset())
    baseline = aggregate(judge_fractions(mean_response(observed), observed, options))
    whole = Case(observed, observed, options)
    splits = list(_splits(whole, options))
    replicates = {name: tuple(one.get(name, np.nan) for one in splits) for name in SCORED}
    return Scale({name: baseline.get(name, np.nan) for name in SCORED}, replicates)


def _splits(whole: Case, options: Options) -> Iterator[dict[str, float]]:
    full = whole.observed_tests
    gate = (full.fdr < LEVEL) & whole.others
    for seed in split_seeds():
        reference, replicate = halves(whole.observed, seed)
        case = Case(replicate, reference, options, own_control=True)
        values = aggregate(judged(case))
        gap = change_gap(
            case.observed_tests.log2_fold_change, case.predicted_tests.log2_fold_change, full.log2_fold_change, gate
        )
        yield values | {CHANGE_ERROR: _mean(gap)}


def aggregate(result: Judged) -> dict[str, float]:
    """Return the mean of each scored column over the labels that have a value; NaN where none has."""
    return {name: _mean(column.values) for name, column in result.columns.items() if name in SCORED}


def scaled(result: Judged, ends: Scale) -> pd.DataFrame:
    """Return one row per scored metric: value, baseline, replicate, scaled score.

    scaled = (value - baseline) / (replicate - baseline). The error is cut off below 0 and above 1, the error of fold
    changes below -6; a metric without a value takes the score of its worst one. NaN where the two ends do not differ in
    the metric's direction: such a scale says nothing. The published total is the mean of the six.
    """
    values = aggregate(result)
    rows = []
    for name in SCORED:
        value, low, high = values.get(name, np.nan), ends.baseline[name], ends.replicate(name)
        rows.append((name, value, low, high, RESCALED.get(name, _higher)(value, low, high)))
    return pd.DataFrame(rows, columns=["metric", "value", "baseline", "replicate", "scaled"])


def _higher(value: float, low: float, high: float) -> float:
    worst = 0.0
    return (_or(value, worst) - low) / (high - low) if high > low else float("nan")


def _error(value: float, low: float, high: float) -> float:
    return float(np.clip((low - _or(value, np.inf)) / (low - high), 0.0, 1.0)) if low > high else float("nan")


def _change_error(value: float, low: float, high: float) -> float:
    return max((low - _or(value, np.inf)) / (low - high), -6.0) if low > high else float("nan")


RESCALED: Mapping[str, Callable[[float, float, float], float]] = {ERROR: _error, CHANGE_ERROR: _change_error}


def _or(value: float, instead: float) -> float:
    return value if np.isfinite(value) else instead


def _mean(values: Float[np.ndarray, " labels"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
