"""cell-eval 0.8's numbers (checked against 0.8.2), profile by profile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from pertura.core.errors import PerturaError, UsageError
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.cell_eval_cells import energy_column
from pertura.evaluation.compatible.cell_eval_means import means_column
from pertura.evaluation.compatible.cell_eval_sides import Side, sides_of
from pertura.evaluation.compatible.cell_eval_tests import TOPS, Comparison, tests_column
from pertura.evaluation.compatible.profile import Column, CompatibleMetric, CompatiblePreset, Judged, Options
from pertura.evaluation.device import checked_device
from pertura.metrics.differential import DifferentialExpression, Tests, differential_expression

VERSION = "cell-eval 0.8.2"
COUNTS = "de_nsig_counts"
"""How cell-eval calls the two columns of counts together."""
FLOODED = 3.0
"""More predicted than observed significant genes by this factor void what depends on them."""


def _metric(name: str, summary: str, best: float | None, needs: str) -> CompatibleMetric:
    return CompatibleMetric(name, summary, best, needs)


def _top(name: str) -> CompatibleMetric:
    kind, depth = name.split("_at_")
    size = f"the first {depth}" if depth != "N" else "all"
    side = "observed" if kind == "overlap" else "predicted"
    return _metric(name, f"largest changes shared by both sides, among {size} {side} significant genes", 1.0, "tests")


MAY_FAIL: Mapping[str, type[Exception]] = {
    "pearson_delta": ValueError,  # one gene
    "pearson_edistance": ValueError,  # one label
    "clustering_agreement": Exception,  # too few labels, each library in its own words
}
OF_TESTS = (
    *(_top(name) for name in TOPS),
    _metric("de_spearman_sig", "rank correlation over labels of the numbers of significant genes", 1.0, "tests"),
    _metric("de_direction_match", "share of observed significant genes whose change has the same sign", 1.0, "tests"),
    _metric("de_spearman_lfc_sig", "rank correlation of changes of observed significant genes", 1.0, "tests"),
    _metric("de_sig_genes_recall", "share of observed significant genes that are predicted significant", 1.0, "tests"),
    _metric("de_nsig_counts_real", "number of observed significant genes", None, "tests"),
    _metric("de_nsig_counts_pred", "number of predicted significant genes", None, "tests"),
    _metric("pr_auc", "average precision of the predicted false discovery rate", 1.0, "tests"),
    _metric("roc_auc", "area under the ROC curve of the predicted false discovery rate", 1.0, "tests"),
)
OF_CELLS = (
    _metric("pearson_delta", "correlation over genes of predicted with observed change from control", 1.0, "means"),
    _metric("mse", "mean squared error of the mean profile", 0.0, "means"),
    _metric("mae", "mean absolute error of the mean profile", 0.0, "means"),
    _metric("mse_delta", "mean squared error of the change from control", 0.0, "means"),
    _metric("mae_delta", "mean absolute error of the change from control", 0.0, "means"),
    _metric("discrimination_score_l1", "1 - rank / N of the own perturbation by Manhattan distance", 1.0, "means"),
    _metric("discrimination_score_l2", "1 - rank / N of the own perturbation by Euclidean distance", 1.0, "means"),
    _metric("discrimination_score_cosine", "1 - rank / N of the own perturbation by cosine distance", 1.0, "means"),
    _metric("pearson_edistance", "correlation over labels of energy distances from control", 1.0, "cells"),
    _metric("clustering_agreement", "adjusted mutual information of clusters of mean profiles", 1.0, "means"),
)
METRICS = {one.name: one for one in (*OF_TESTS, *OF_CELLS)}
MINIMAL = (
    "overlap_at_N",
    "precision_at_N",
    "de_nsig_counts_real",
    "de_nsig_counts_pred",
    "pearson_delta",
    "mse",
    "mae",
    "discrimination_score_l1",
)
PROFILES: Mapping[str, tuple[str, ...]] = {
    "": tuple(METRICS),
    "minimal": MINIMAL,
    "vcc": ("overlap_at_N", "mae", "discrimination_score_l1"),
    "de": tuple(one.name for one in OF_TESTS),
    "anndata": tuple(one.name for one in OF_CELLS),
    "pds": ("discrimination_score_l1",),
    "fast": tuple(name for name in METRICS if name != "pearson_edistance"),
}


def judge(predicted: Labelled, observed: Labelled, options: Options, names: tuple[str, ...]) -> Judged:
    """Return cell-eval's columns `names`, without those that `options.skip` names.

    Raises `BadDataError` where cell-eval refuses the input, and where it would go on with NaN or negative values. A
    column that cell-eval leaves out, since it failed or has no entry at all, is named in `undone`.
    """
    wanted = _wanted(names, options.skip)
    if any(METRICS[name].needs == "cells" for name in wanted):
        checked_device(options.device)  # before minutes of other work
    work = _Work(*sides_of(predicted, observed), options)
    columns: dict[str, Column] = {}
    undone: dict[str, str] = {}
    for name in wanted:
        column = _attempt(name, partial(work.column, name))
        if isinstance(column, str):
            undone[name] = column
        elif column.absent is not None and column.absent.all():
            undone[name] = "no label has a significant observed gene"
        else:
            columns[name] = column
    return Judged(work.observed.labels, columns, work.done, undone, work.warnings)


def _attempt(name: str, compute: Callable[[], Column]) -> Column | str:
    """The column, or why there is none: cell-eval leaves out what cannot be computed and goes on."""
    try:
        return compute()
    except (PerturaError, MemoryError):
        raise
    except MAY_FAIL.get(name, ()) as error:
        return f"{type(error).__name__}: {error}"


def _wanted(names: tuple[str, ...], skip: frozenset[str]) -> tuple[str, ...]:
    unknown = sorted(skip - {*METRICS, COUNTS})
    if unknown:
        raise UsageError(f"no such metric to skip: {', '.join(unknown)}; there are {', '.join(METRICS)}")
    return tuple(one for one in names if one not in skip and not (COUNTS in skip and one.startswith(COUNTS)))


@dataclass(eq=False)
class _Work:
    """Both sides and what several columns share, made when first needed."""

    predicted: Side
    observed: Side
    options: Options

    def column(self, name: str) -> Column:
        needs = METRICS[name].needs
        if needs == "tests":
            return tests_column(name, self.comparison)
        if needs == "cells":
            return energy_column(self.predicted, self.observed, self.options)
        return means_column(name, self.predicted, self.observed)

    @cached_property
    def comparison(self) -> Comparison:
        return Comparison(self._tested(self.predicted), self._tested(self.observed))

    def _tested(self, side: Side) -> DifferentialExpression:
        options = Tests(memory=self.options.memory, threads=self.options.threads)
        return differential_expression(side.expression, side.codes, len(side.labels), options=options)

    @property
    def done(self) -> dict[str, DifferentialExpression]:
        """The tests, where a column needed them."""
        if "comparison" not in self.__dict__:
            return {}
        return {"observed": self.comparison.observed, "predicted": self.comparison.predicted}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader of the numbers should know."""
        said = [
            f"{side.cells.name}: whole numbers, taken as counts: each cell scaled to the median total, then log1p"
            for side in (self.predicted, self.observed)
            if side.from_counts
        ]
        if self.predicted.from_counts != self.observed.from_counts:
            said.append("one side came as counts, the other as logarithms: they may be scaled differently")
        return (*said, *(self._flood() if self.done else ()))

    def _flood(self) -> tuple[str, ...]:
        observed, predicted = self.comparison.called.sum(), self.comparison.predicted_called.sum()
        if predicted <= FLOODED * observed:
            return ()
        return (
            f"{predicted:,} significant genes predicted, {observed:,} observed: predictions with little spread make "
            "every gene significant, and metrics of significant genes mean little",
        )


def _preset(profile: str) -> CompatiblePreset:
    names = PROFILES[profile]
    headline = next(one for one in ("pearson_delta", "overlap_at_N", "discrimination_score_l1") if one in names)
    return CompatiblePreset(
        name=f"cell-eval-0.8/{profile}" if profile else "cell-eval-0.8",
        version=VERSION,
        metrics=tuple(METRICS[name] for name in names),
        headline=headline,
        judge=partial(judge, names=names),
    )


PRESETS = tuple(_preset(profile) for profile in PROFILES)
