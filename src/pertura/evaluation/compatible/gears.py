"""GEARS' metrics (preset `gears`), which scGPT and scGenePT report as well: errors and correlations of means.

Differential genes of a label come from the observed cells: Welch's t against control, largest |t| first, as
`scanpy.tl.rank_genes_groups` ranks them for the original. A correlation that is not defined counts as 0, as it does
there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from pertura.core.expression import Subset, blocks
from pertura.data.labelled import Labelled
from pertura.data.pseudobulk import mean_of
from pertura.evaluation.compatible.pairing import control_rows, listed, same_genes, shared
from pertura.evaluation.compatible.profile import Column, CompatibleMetric, CompatiblePreset, Judged, Options
from pertura.metrics import delta
from pertura.metrics.welch import Moments, moments, ranked, t_statistic

VERSION = "GEARS 0.1.2"
TOP = 20
SINGLE = 1e-6
Genes = Float[np.ndarray, " genes"]
Places = Int[np.ndarray, " chosen"]


@dataclass(frozen=True, eq=False)
class Case:
    """One label: means of either side and of the observed control cells, and the observed cells."""

    label: str
    observed_cells: Labelled
    predicted: Genes
    observed: Moments
    control: Moments

    @cached_property
    def order(self) -> Int[np.ndarray, " genes"]:
        """All genes, the most differential first."""
        return ranked(t_statistic(self.observed, self.control), self.observed_cells.genes)

    @cached_property
    def top(self) -> Places:
        """The most differential genes."""
        return self.order[:TOP]

    @cached_property
    def expressed(self) -> Bool[np.ndarray, " genes"]:
        """Genes that some observed cell of the label has."""
        return np.asarray(self.observed.mean != 0)

    @cached_property
    def no_dropout(self) -> Bool[np.ndarray, " genes"]:
        """Those, and genes that no control cell has either: a zero that says something."""
        return self.expressed | (self.control.mean == 0)

    @cached_property
    def top_no_dropout(self) -> Places:
        """The most differential genes among those without dropouts."""
        return self.order[self.no_dropout[self.order]][:TOP]

    @cached_property
    def changes(self) -> tuple[Genes, Genes]:
        """Predicted and observed change from control."""
        return _change(self.predicted, self.control.mean), _change(self.observed.mean, self.control.mean)

    @cached_property
    def top_cells(self) -> Float[np.ndarray, "cells chosen"]:
        """The observed cells, over the top genes without dropouts."""
        rows = self.observed_cells.rows_of(self.label)
        chosen = Subset(self.observed_cells.expression, rows, self.top_no_dropout)
        return np.concatenate(list(blocks(chosen, np.arange(len(rows)))))


def _change(mean: Genes, control: Genes) -> Genes:
    """A difference that single precision cannot hold, in which the original works, is none: it has no direction."""
    change = mean - control
    return np.where(np.abs(change) <= SINGLE * np.maximum(np.abs(mean), np.abs(control)), 0.0, change)


def _all(case: Case) -> Places:
    return np.arange(len(case.predicted))


def _top(case: Case) -> Places:
    return case.top


def _top_no_dropout(case: Case) -> Places:
    return case.top_no_dropout


Choice = Callable[[Case], Places]
Measure = Callable[[Case], float]


def _mse(of: Choice) -> Measure:
    return lambda case: float(delta.mean_squared_error(case.predicted[of(case)], case.observed.mean[of(case)]))


def _pearson(of: Choice, change: bool = False) -> Measure:
    def measure(case: Case) -> float:
        chosen = of(case)
        sides = case.changes if change else (case.predicted, case.observed.mean)
        return float(np.nan_to_num(delta.pearson(*(side[chosen] for side in sides))))

    return measure


def _directions(of: Choice, apart: int, over: int | None = None) -> Measure:
    """Share of genes whose signs of change differ by `apart`: 0 the same, 1 one of them none, 2 opposite."""

    def measure(case: Case) -> float:
        chosen = of(case)
        signs = [np.sign(side[chosen]) for side in case.changes]
        size = over or len(chosen)
        return float((np.abs(signs[0] - signs[1]) == apart).sum() / size) if size else float("nan")

    return measure


def _within(low: float, high: float) -> Measure:
    """Share of top genes, not all zero, whose predicted mean lies between two quantiles of the observed cells."""

    def measure(case: Case) -> float:
        cells = case.top_cells
        some = (cells != 0).any(axis=0)
        if not some.any():
            return float("nan")
        bottom, top = np.quantile(cells[:, some], [low, high], axis=0)
        mean = case.predicted[case.top_no_dropout][some]
        return float(((mean >= bottom) & (mean <= top)).mean())

    return measure


def _sigma(summary: Callable[[Float[np.ndarray, " genes"]], float]) -> Measure:
    """Summary of how many standard deviations of the observed cells the predicted mean is off, over the top genes."""

    def measure(case: Case) -> float:
        spread = case.top_cells.std(axis=0)
        varies = spread > 0
        if not varies.any():
            return float("nan")
        off = np.abs(case.predicted - case.observed.mean)[case.top_no_dropout]
        return float(summary(off[varies] / spread[varies]))

    return measure


OF_CONTROL: Mapping[str, Measure] = {"mse": _mse(_all), "pearson": _pearson(_all)}
"""The metrics that the original also takes of control where its cells are among the predictions."""
MEASURES: Mapping[str, Measure] = {
    **OF_CONTROL,
    "mse_de": _mse(_top),
    "pearson_de": _pearson(_top),
    "pearson_delta": _pearson(_all, change=True),
    "pearson_delta_de": _pearson(_top, change=True),
    "frac_correct_direction_all": _directions(_all, 0),
    "frac_correct_direction_20": _directions(_top, 0, over=TOP),
    "mse_top20_de_non_dropout": _mse(_top_no_dropout),
    "pearson_top20_de_non_dropout": _pearson(_top_no_dropout),
    "pearson_delta_top20_de_non_dropout": _pearson(_top_no_dropout, change=True),
    "frac_correct_direction_top20_non_dropout": _directions(_top_no_dropout, 0),
    "frac_opposite_direction_top20_non_dropout": _directions(_top_no_dropout, 2),
    "frac_0/1_direction_top20_non_dropout": _directions(_top_no_dropout, 1),
    "frac_correct_direction_non_zero": _directions(lambda case: np.flatnonzero(case.expressed), 0),
    "frac_correct_direction_non_dropout": _directions(lambda case: np.flatnonzero(case.no_dropout), 0),
    "frac_in_range_non_dropout": _within(0.0, 1.0),
    "frac_in_range_45_55_non_dropout": _within(0.45, 0.55),
    "frac_in_range_40_60_non_dropout": _within(0.4, 0.6),
    "frac_in_range_25_75_non_dropout": _within(0.25, 0.75),
    "mean_sigma_non_dropout": _sigma(np.mean),
    "std_sigma_non_dropout": _sigma(np.std),
    "frac_sigma_below_1_non_dropout": _sigma(lambda off: 1.0 - float((off > 1).mean())),
    "frac_sigma_below_2_non_dropout": _sigma(lambda off: 1.0 - float((off > 2).mean())),
}
UNRANKED = frozenset(
    {"mse", "pearson", "pearson_delta", "frac_correct_direction_all", "frac_correct_direction_non_zero"}
    | {"frac_correct_direction_non_dropout"}
)
"""The metrics that need no ranking of genes: a label of one cell has these."""


def judge(predicted: Labelled, observed: Labelled, options: Options) -> Judged:
    """Return GEARS' numbers per label. Where control is predicted it is one more row of `mse` and `pearson`.

    Control is the mean of the observed control cells on both sides.
    """
    return _judge(predicted, observed, options, of_control=True)


def judge_without_control(predicted: Labelled, observed: Labelled, options: Options) -> Judged:
    """Return GEARS' numbers of the perturbed labels alone, as its own test sets, which hold no control, give them."""
    return _judge(predicted, observed, options, of_control=False)


def by_stratum(judged: Judged, strata: Mapping[str, frozenset[str]]) -> pd.DataFrame:
    """Return one row per stratum: its labels, how many of them have no row, and the mean of each column.

    Labels without a value in a column are left out of its mean. Strata may overlap; NaN where nothing is left.
    """
    place = {label: i for i, label in enumerate(judged.labels)}
    rows = []
    for name, labels in strata.items():
        inside = np.asarray(sorted(place[one] for one in labels if one in place), dtype=np.int64)
        means = {column: _mean(judged.columns[column].values[inside]) for column in judged.columns}
        rows.append({"stratum": name, "labels": len(inside), "missing": len(labels) - len(inside), **means})
    return pd.DataFrame(rows, columns=["stratum", "labels", "missing", *judged.columns])


def _judge(predicted: Labelled, observed: Labelled, options: Options, *, of_control: bool) -> Judged:
    same_genes(predicted, observed)
    labels, warnings = shared(predicted, observed)
    control = _moments(observed, control_rows(observed))
    with_control = of_control and len(predicted.rows_of(predicted.control)) > 0
    rows = sorted([*labels, predicted.control]) if with_control else list(labels)
    wanted = [name for name in MEASURES if name not in options.skip]
    values = np.asarray([_row(case, wanted) for case in _cases(predicted, observed, rows, control)])
    columns = {name: Column(values[:, i], np.isnan(values[:, i])) for i, name in enumerate(wanted)}
    undone = {name: "left out on request" for name in MEASURES if name in options.skip}
    single = [one for one in labels if min(control.cells, len(observed.rows_of(one))) == 1]
    if single:
        told = "against a single cell no gene is differential; labels without what depends on these genes"
        warnings += (f"{told}: {listed(single)}",)
    result = Judged(tuple(rows), columns, undone=undone, warnings=warnings)
    return _with_control_told(result, predicted.control) if with_control else result


def _with_control_told(result: Judged, control: str) -> Judged:
    """Say what the row of control does to the means: it is easy to predict."""
    others = np.asarray([one != control for one in result.labels])
    told = [
        f"{name} {_mean(column.values):.6g} with, {_mean(column.values[others]):.6g} without"
        for name, column in result.columns.items()
        if name in OF_CONTROL
    ]
    if not told:
        return result
    warning = f"control is predicted and counts as one more row, as in the original: mean {'; '.join(told)} it"
    return Judged(result.labels, result.columns, undone=result.undone, warnings=(*result.warnings, warning))


def _cases(predicted: Labelled, observed: Labelled, labels: list[str], control: Moments) -> Iterator[Case]:
    for label in labels:
        mean = mean_of(predicted.expression, predicted.rows_of(label))
        yield Case(label, observed, mean, _moments(observed, observed.rows_of(label)), control)


def _moments(cells: Labelled, rows: Int[np.ndarray, " cells"]) -> Moments:
    return moments(blocks(cells.expression, rows), len(cells.genes))


def _row(case: Case, wanted: list[str]) -> list[float]:
    if case.label == case.observed_cells.control:
        possible = frozenset(OF_CONTROL)
    else:
        possible = frozenset(MEASURES) if min(case.observed.cells, case.control.cells) > 1 else UNRANKED
    return [MEASURES[name](case) if name in possible else float("nan") for name in wanted]


def _mean(values: Float[np.ndarray, " labels"]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


_WORDS: Mapping[str, tuple[str, float | None, str]] = {
    "mse": ("squared error of the mean over all genes; control is one more row where it is predicted", 0.0, "means"),
    "pearson": ("correlation of the means over all genes, 0 where undefined; control is one more row", 1.0, "means"),
    "mse_de": ("squared error over the top 20 differential genes", 0.0, "cells"),
    "pearson_de": ("correlation over the top 20 differential genes, 0 where undefined", 1.0, "cells"),
    "pearson_delta": ("correlation of changes from control over all genes, 0 where undefined", 1.0, "means"),
    "pearson_delta_de": ("correlation of changes over the top 20 differential genes, 0 where undefined", 1.0, "cells"),
    "frac_correct_direction_all": ("share of all genes whose change has the right sign", 1.0, "means"),
    "frac_correct_direction_20": ("top 20 genes whose change has the right sign, over 20 in any case", 1.0, "cells"),
    "mse_top20_de_non_dropout": ("squared error over the top 20 genes without dropouts", 0.0, "cells"),
    "pearson_top20_de_non_dropout": ("correlation over the top 20 genes without dropouts", 1.0, "cells"),
    "pearson_delta_top20_de_non_dropout": ("correlation of changes over the top 20 without dropouts", 1.0, "cells"),
    "frac_correct_direction_top20_non_dropout": (
        "share of the top 20 without dropouts of the right sign",
        1.0,
        "cells",
    ),
    "frac_opposite_direction_top20_non_dropout": ("share of these of the opposite sign", 0.0, "cells"),
    "frac_0/1_direction_top20_non_dropout": ("share of these where one side does not change", 0.0, "cells"),
    "frac_correct_direction_non_zero": ("share of the label's expressed genes of the right sign", 1.0, "means"),
    "frac_correct_direction_non_dropout": ("share of the genes without dropouts of the right sign", 1.0, "means"),
    "frac_in_range_non_dropout": ("top genes whose predicted mean lies within the observed cells", 1.0, "cells"),
    "frac_in_range_45_55_non_dropout": ("the same, within their 45th to 55th percentile", None, "cells"),
    "frac_in_range_40_60_non_dropout": ("the same, within their 40th to 60th percentile", None, "cells"),
    "frac_in_range_25_75_non_dropout": ("the same, within their 25th to 75th percentile", None, "cells"),
    "mean_sigma_non_dropout": (
        "standard deviations of the cells that the mean is off, over the top genes",
        0.0,
        "cells",
    ),
    "std_sigma_non_dropout": ("spread of that over the top genes", 0.0, "cells"),
    "frac_sigma_below_1_non_dropout": ("top genes whose mean is off by one deviation at most", 1.0, "cells"),
    "frac_sigma_below_2_non_dropout": ("top genes whose mean is off by two deviations at most", 1.0, "cells"),
}
METRICS = tuple(CompatibleMetric(name, *_WORDS[name]) for name in MEASURES)
PRESETS = (
    CompatiblePreset("gears", VERSION, METRICS, "pearson_delta", judge),
    CompatiblePreset("gears/no-control", VERSION, METRICS, "pearson_delta", judge_without_control),
)
