"""The rules of the Virtual Cell Challenge 2026 as cell-eval2 0.20.0 computes them (preset `vcc2026`).

Both sides are counts. A prediction is compared with the observed cells in three spaces: log1p of the counts of a label
summed over its cells and scaled to 50,000 (discrimination, error), rank tests of counts per million against the
*observed* control cells on either side (calls and fold changes), and the noise of sampling cells by the jackknife.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Subset
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.counts import (
    Counted,
    LogPerMillion,
    Stacked,
    cell_blocks,
    counted,
    mean_per_million,
)
from pertura.evaluation.compatible.from_log import counts_from_log
from pertura.evaluation.compatible.pairing import control_rows, listed, same_genes, same_labels
from pertura.evaluation.compatible.profile import Column, CompatibleMetric, CompatiblePreset, Judged, Options
from pertura.metrics import calls
from pertura.metrics.differential import DifferentialExpression, Tests, differential_expression
from pertura.metrics.ranking import distances
from pertura.metrics.unbiased import Noisy, allowed_noise, corrected_error, jackknife_noise, log_profile

VERSION = "cell-eval2 0.20.0"
SUMMED_TO = 5e4
"""Counts of a label are scaled to this total before the logarithm."""
LOWEST_CONTROL = 5.0
"""A gene is tested where its mean counts per million in control cells exceed this."""
LEVEL = 0.05
"""A gene is called at a false discovery rate below this."""
SAME = 1e-12
"""Cosine distances nearer than this are a tie."""
ERROR = "expr_mse_unbiased_capped_norm"


@dataclass(frozen=True, eq=False)
class Case:
    """One pair of files under the rules. `own_control`: each side's tests use its own control cells, as halves do."""

    predicted: Labelled
    observed: Labelled
    options: Options
    own_control: bool = False
    fractions: bool = False
    """Let values of the prediction through that are no whole numbers, as the published baseline has them."""

    def __post_init__(self) -> None:
        same_genes(self.predicted, self.observed)
        if len(set(self.observed.genes)) != len(self.observed.genes):
            raise BadDataError("two genes have one name", remedy="the preset leaves genes out by name")

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of either side, sorted, without control."""
        return same_labels(self.predicted, self.observed)

    @cached_property
    def own(self) -> Int[np.ndarray, " labels"]:
        """The column of the gene a label is named after, -1 where none is."""
        column = {gene: i for i, gene in enumerate(self.observed.genes)}
        return np.asarray([column.get(one, -1) for one in self.labels], dtype=np.int64)

    @cached_property
    def counts(self) -> tuple[Counted, Counted]:
        """Totals and sums of the predicted and of the observed side."""
        return counted(self.predicted, self.fractions), counted(self.observed)

    @cached_property
    def summed(self) -> tuple[Noisy, Noisy]:
        """Profiles of the labels, then control, of either side."""
        return self._summed(self.predicted, self.counts[0]), self._summed(self.observed, self.counts[1])

    def _summed(self, cells: Labelled, counts: Counted) -> Noisy:
        rows = [cells.labels.index(one) for one in (*self.labels, cells.control)]
        noise = [
            jackknife_noise(
                cell_blocks(cells, cells.labels[row], self.options.memory),
                counts.sums[row],
                len(cells.rows_of(cells.labels[row])),
                SUMMED_TO,
            )
            for row in rows
        ]
        return Noisy(log_profile(counts.sums[rows], SUMMED_TO), np.asarray(noise))

    @cached_property
    def kept(self) -> tuple[Int[np.ndarray, " predicted"], Int[np.ndarray, " observed"]]:
        """The genes tested on either side: those that its control cells express."""
        on_observed = self._kept(self.observed, self.counts[1])
        return (self._kept(self.predicted, self.counts[0]) if self.own_control else on_observed), on_observed

    def _kept(self, cells: Labelled, counts: Counted) -> Int[np.ndarray, " kept"]:
        kept = np.flatnonzero(mean_per_million(cells, control_rows(cells), counts.totals) > LOWEST_CONTROL)
        if not len(kept):
            raise BadDataError(
                f"no gene has more than {LOWEST_CONTROL:g} counts per million in control cells", file=cells.name
            )
        return kept

    @cached_property
    def observed_tests(self) -> DifferentialExpression:
        """Rank tests of the observed labels against control; a gene that is not tested has NaN throughout."""
        scaled = LogPerMillion(self.observed.expression, self.counts[1].totals)
        return self._test(scaled, self._codes(self.observed), 1)

    @cached_property
    def predicted_tests(self) -> DifferentialExpression:
        """Rank tests of the predicted labels against the observed control cells, or their own where asked."""
        scaled = LogPerMillion(self.predicted.expression, self.counts[0].totals)
        codes = self._codes(self.predicted)
        if self.own_control:
            return self._test(scaled, codes, 0)
        cells = np.flatnonzero((codes >= 0) & (codes < len(self.labels)))
        controls = control_rows(self.observed)
        reference = LogPerMillion(self.observed.expression, self.counts[1].totals)
        both = Stacked(Subset(scaled, cells), Subset(reference, controls))
        return self._test(both, np.concatenate([codes[cells], np.full(len(controls), len(self.labels))]), 0)

    def _codes(self, cells: Labelled) -> Int[np.ndarray, " cells"]:
        place = {one: i for i, one in enumerate((*self.labels, cells.control))}
        return np.asarray([place.get(one, -1) for one in cells.labels], dtype=np.int64)[cells.codes]

    def _test(self, expression: Expression, codes: Int[np.ndarray, " cells"], side: int) -> DifferentialExpression:
        kept = self.kept[side]
        rows = np.arange(expression.shape[0])
        how = Tests(
            means="arithmetic", epsilon=1e-9, memory=self.options.memory, threads=self.options.threads, logged=True
        )
        tests = differential_expression(Subset(expression, rows, kept), codes, len(self.labels), options=how)
        return _over_all_genes(tests, kept, expression.shape[1])

    @cached_property
    def others(self) -> Bool[np.ndarray, "labels genes"]:
        """The genes that count for a label: all but its own."""
        mask = np.ones((len(self.labels), len(self.observed.genes)), dtype=bool)
        known = np.flatnonzero(self.own >= 0)
        mask[known, self.own[known]] = False
        return mask

    @cached_property
    def calls(self) -> "Calls":
        """Genes called on either side and their changes, a label's own gene left out."""
        predicted, observed = self.predicted_tests, self.observed_tests
        return Calls(
            (predicted.fdr < LEVEL) & self.others,
            (observed.fdr < LEVEL) & self.others,
            predicted.log2_fold_change,
            observed.log2_fold_change,
        )

    @cached_property
    def error_parts(self) -> tuple[Float[np.ndarray, " labels"], Float[np.ndarray, " labels"]]:
        """Squared error and squared effect of each label, both freed of noise: numerator and denominator."""
        rows = np.arange(len(self.labels))
        predicted, observed = (side.at(rows) for side in self.summed)
        control = self.summed[1].at(np.full(len(rows), len(rows)))
        capped = Noisy(predicted.profile, allowed_noise(predicted, observed, self.own))
        return corrected_error(capped, observed, self.own), corrected_error(observed, control, self.own)


@dataclass(frozen=True, eq=False)
class Calls:
    """Genes called on either side and their log2 fold changes: labels x genes."""

    predicted: Bool[np.ndarray, "labels genes"]
    observed: Bool[np.ndarray, "labels genes"]
    predicted_change: Float[np.ndarray, "labels genes"]
    observed_change: Float[np.ndarray, "labels genes"]


class Undone(Exception):  # noqa: N818 (a verdict on the observed cells, not a mistake)
    """Why a column cannot be computed from these cells."""


def discrimination(case: Case) -> Column:
    """Rank of a label's own observed change among all by cosine; genes that any label is named after left out."""
    predicted, observed = (side.profile for side in case.summed)
    control = observed[-1]
    genes = np.ones(observed.shape[1], dtype=bool)
    genes[case.own[case.own >= 0]] = False
    if not genes.any():
        raise Undone("every gene is named by a label: none is left to rank by")
    far = distances(predicted[:-1, genes] - control[genes], observed[:-1, genes] - control[genes], "cosine")
    own = np.diag(far)[:, None]
    nearer = (far < own - SAME).sum(axis=1)
    ties = (np.abs(far - own) <= SAME).sum(axis=1) - 1
    return Column(1.0 - (nearer + ties / 2) / max(len(far) - 1, 1))


def uncapped_error(case: Case) -> Column:
    """Return the squared error less all the noise that either side's jackknife finds."""
    rows = np.arange(len(case.labels))
    predicted, observed = (side.at(rows) for side in case.summed)
    return Column(corrected_error(predicted, observed, case.own))


def relative_error(case: Case) -> Column:
    """One value for the screen: summed error over summed effect."""
    error, effect = case.error_parts
    known = np.isfinite(error) & np.isfinite(effect)
    if not effect[known].sum() > 0:
        raise Undone(
            "the observed labels differ from control by no more than noise: their summed effect is not positive"
        )
    return Column(np.full(len(error), error[known].sum() / effect[known].sum()), whole_screen=True)


def mass(case: Case) -> Column:
    """Return the total of the observed profile over what it was scaled to: 1, or 0 for a label without counts."""
    return Column(np.expm1(case.summed[1].profile[:-1]).sum(axis=1) / SUMMED_TO)


def change_error(case: Case) -> Column:
    """Return the error of fold changes over the observed calls; no entry where there are fewer than ten."""
    found = case.calls
    values = calls.change_gap(found.predicted_change, found.observed_change, found.observed_change, found.observed)
    return Column(values, absent=np.isnan(values))


def direction_reach(case: Case) -> Column:
    """Return how deep into the observed calls the prediction's own ranking keeps nine signs in ten right."""
    found, tests = case.calls, case.predicted_tests
    order = calls.confidence_order(
        tests.fdr < LEVEL, tests.fdr, tests.p_value, found.predicted_change, case.observed.genes
    )
    right = calls.agreeing(found.predicted_change, found.observed_change)
    # a gene that the prediction did not test has no place in its ranking
    ranked = found.observed & np.isfinite(tests.fdr)
    judged = ranked & ~np.isnan(found.observed_change) & (found.observed_change != 0)
    return Column(calls.reach(order, found.observed, right & ranked, judged))


MEASURES: Mapping[str, Callable[[Case], Column]] = {
    "pds_cosine": discrimination,
    "expr_mse_unbiased": uncapped_error,
    "expr_mse_unbiased_capped": lambda case: Column(case.error_parts[0]),
    "expr_distance_unbiased": lambda case: Column(case.error_parts[1]),
    "expr_real_mass_ratio": mass,
    ERROR: relative_error,
    "de_wilcoxon_lfc_nmae": change_error,
    "de_wilcoxon_direction_fidelity_yield_raw": lambda case: Column(
        calls.fidelity_yield(
            case.calls.predicted, case.calls.observed, case.calls.predicted_change, case.calls.observed_change
        )
    ),
    "de_wilcoxon_direction_reach_raw": direction_reach,
    "de_wilcoxon_sig_jaccard": lambda case: Column(
        calls.shared(case.calls.predicted.astype(bool), case.calls.observed.astype(bool))
    ),
}


def judge(predicted: Labelled, observed: Labelled, options: Options) -> Judged:
    """Return the numbers of the published rules; raise where either side is not counts.

    Predicted control cells are checked and otherwise left alone: observed control cells are the reference of both.
    """
    return judged(Case(predicted, observed, options))


def judge_fractions(predicted: Labelled, observed: Labelled, options: Options) -> Judged:
    """Return the same numbers for a reference prediction whose values are fractions of counts, such as scaled cells."""
    return judged(Case(predicted, observed, options, fractions=True))


def judge_from_log(predicted: Labelled, observed: Labelled, options: Options) -> Judged:
    """Return the same numbers for a prediction in log1p space, drawn into counts first; its warnings say how."""
    drawn, how = counts_from_log(predicted, observed)
    result = judge(drawn, observed, options)
    return replace(result, warnings=(how, *result.warnings))


def judged(case: Case) -> Judged:
    """Return every column of a case, in the published order."""
    columns, undone = {}, {}
    for name, measure in MEASURES.items():
        if name in case.options.skip:
            undone[name] = "left out on request"
            continue
        try:
            columns[name] = measure(case)
        except Undone as why:
            undone[name] = str(why)
    computed = case.__dict__  # only what a column needed
    sides = {"predicted": "predicted_tests", "observed": "observed_tests"}
    tables = {side: computed[name] for side, name in sides.items() if name in computed}
    return Judged(case.labels, columns, tables, undone, _warnings(case))


def _warnings(case: Case) -> tuple[str, ...]:
    unnamed = [one for one, column in zip(case.labels, case.own, strict=True) if column < 0]
    found = []
    if len(unnamed) == len(case.labels):
        found.append(
            f"no label is the name of a gene of the panel ({listed(unnamed)}): no perturbed gene is left out. "
            f"{VERSION} stops here unless it is told that there is none to leave out"
        )
    elif unnamed:
        found.append(f"labels that name no gene of the panel keep all genes: {listed(unnamed)}")
    if "kept" in case.__dict__:
        tested, genes = len(case.kept[1]), len(case.observed.genes)
        found.append(f"{tested:,} of {genes:,} genes are tested: above {LOWEST_CONTROL:g} per million in control")
    return tuple(found)


def _over_all_genes(
    tests: DifferentialExpression, kept: Int[np.ndarray, " kept"], genes: int
) -> DifferentialExpression:
    def spread(values: Float[np.ndarray, "*lead kept"]) -> Float[np.ndarray, "*lead genes"]:
        full = np.full((*values.shape[:-1], genes), np.nan)
        full[..., kept] = values
        return full

    return DifferentialExpression(
        target_mean=spread(tests.target_mean),
        reference_mean=spread(tests.reference_mean),
        log2_fold_change=spread(tests.log2_fold_change),
        percent_change=spread(tests.percent_change),
        p_value=spread(tests.p_value),
        statistic=spread(tests.statistic),
        fdr=spread(tests.fdr),
        target_counts=tests.target_counts,
        reference_count=tests.reference_count,
    )


METRICS = (
    CompatibleMetric(
        "pds_cosine",
        "1 - rank / (n - 1) of the own observed change by cosine distance, ties shared; genes named by labels left out",
        1.0,
        "means",
    ),
    CompatibleMetric(
        "expr_mse_unbiased", "squared error per gene less the noise of both sides (jackknife)", None, "cells"
    ),
    CompatibleMetric(
        "expr_mse_unbiased_capped",
        "the same; a prediction subtracts no more noise than the observed side has and its own spread allows",
        None,
        "cells",
    ),
    CompatibleMetric(
        "expr_distance_unbiased",
        "squared observed effect per gene less noise; of the observed side only",
        None,
        "cells",
    ),
    CompatibleMetric("expr_real_mass_ratio", "total of the observed profile over its target: 1", None, "means"),
    CompatibleMetric(ERROR, "summed capped error over summed effect: 1 is predicting control", 0.0, "cells"),
    CompatibleMetric(
        "de_wilcoxon_lfc_nmae",
        "absolute error of log2 fold changes over their size, among observed calls (at least 10)",
        0.0,
        "tests",
    ),
    CompatibleMetric(
        "de_wilcoxon_direction_fidelity_yield_raw",
        "calls of the right direction over the larger of predicted and observed calls",
        1.0,
        "tests",
    ),
    CompatibleMetric(
        "de_wilcoxon_direction_reach_raw",
        "share of observed calls that the prediction's ranking covers at 90 % right directions",
        1.0,
        "tests",
    ),
    CompatibleMetric(
        "de_wilcoxon_sig_jaccard", "shared calls over all calls; 1 where neither side has any", 1.0, "tests"
    ),
)
SCORED = tuple(metric.name for metric in METRICS if metric.best is not None)
"""The six metrics that the published score averages."""

PRESETS = (
    CompatiblePreset("vcc2026", VERSION, METRICS, "pds_cosine", judge),
    CompatiblePreset("vcc2026/from-log", VERSION, METRICS, "pds_cosine", judge_from_log),
)
