"""The ceiling against simulated screens, where the truth and a second experiment can be had."""

from functools import lru_cache

import numpy as np
import pytest
from judged_screens import answer

from pertura.core import ControlPartition, Split
from pertura.data.datasets.simulate import simulate_norman
from pertura.data.datasets.simulation import norman_like
from pertura.data.pseudobulk import mean_of
from pertura.evaluation import nulls
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from pertura.evaluation.table import METRICS

CONTEXT = "line-a"
COMPARED = [name for name, one in METRICS.items() if one.needs == "means" and name != "additivity_residual"]
COMPARED = [name for name in COMPARED if METRICS[name].variant_of is None]
PROFILES = ("mse", "mae", "mean_e_distance", "nir")
EFFORT = Effort(bootstrap=2, permutations=1, halves=10, effect_permutations=1)


@lru_cache(maxsize=4)
def simulated(cells, controls, seed=0):
    """Ten singles with effects of many genes."""
    config = norman_like(
        genes=80,
        targets=10,
        pairs=0,
        effect_share=0.5,
        null_fraction=0.0,
        targets_outside_panel=0.0,
        cells_per_condition=cells,
        controls_per_line=controls,
    )
    return simulate_norman(config, seed=seed)


def part_of(cells, first, last, each, controls):
    """The `first` to `last` share of the cells of each condition: experiments of one truth, with cells of their own."""
    rows = [cells.rows_of(one)[first * each : last * each] for one in cells.perturbed]
    return cells.take(np.concatenate([cells.control_rows(CONTEXT)[first * controls : last * controls], *rows]))


def judged(cells, seed=0):
    """Every condition judged, with the controls in halves."""
    ids = [str(one) for one in cells.ids[cells.control_rows(CONTEXT)]]
    halves = {CONTEXT: ControlPartition.halves(ids, seed, CONTEXT)}
    split = Split("all", frozenset(), frozenset(), frozenset(cells.perturbed), controls=halves)
    return observe(cells, split, seed=seed, effort=EFFORT)


def ceilings(observed, metrics=METRICS):
    return {name: np.mean(nulls.ceiling(METRICS[name], observed)) for name in metrics}


def test_the_ceiling_grows_to_the_best_value_as_cells_grow():
    found = [ceilings(judged(simulated(each, each).cells)) for each in (20, 200, 2000)]
    for metric, rule in METRICS.items():
        values = rule.merit(np.asarray([one[metric] for one in found]))
        known = values[np.isfinite(values)]
        if metric != "additivity_residual":
            assert (np.diff(known) >= -0.02 * abs(known[0])).all() or rule.better == "nearer", metric
            if rule.needs != "means":
                continue  # more cells find more genes to disagree on; of cells in distances there are never more
            # errors have units: what a hundredth of the cells leave is their measure
            assert abs(known[-1] - rule.merit(np.asarray(rule.best))) < max(0.05, 0.05 * abs(known[0])), metric
    assert found[0]["pearson_delta"] < 0.8


def test_the_ceiling_of_the_correlation_is_what_theory_says():
    """Signal over signal and noise: Var d / (Var d + noise of two means), d the true change; close for many cells."""
    simulation = simulated(200, 200)
    cells = simulation.cells
    expected = []
    for one in cells.perturbed:
        signal = simulation.truth.expected_delta(one).var()
        rows, controls = cells.dense(cells.rows_of(one)), cells.dense(cells.control_rows(CONTEXT))
        noise = (rows.var(axis=0) / 200 + controls.var(axis=0) / 100).mean()
        expected.append(signal / (signal + noise))
    assert ceilings(judged(cells))["pearson_delta"] == pytest.approx(np.mean(expected), abs=0.03)


def replicates(cells, each, controls, rounds):
    """For several pairs of experiments: the ceiling of the first, and what the second scores as its prediction."""
    for i in range(rounds):
        first = judged(part_of(cells, 2 * i, 2 * i + 1, each, controls), seed=i)
        second = part_of(cells, 2 * i + 1, 2 * i + 2, each, controls)
        means = np.asarray([mean_of(second.expression, second.rows_of(one)) for one in first.conditions])
        # as many controls as the judge side has
        own = mean_of(second.expression, second.control_rows(CONTEXT)[: controls // 2])
        change = evaluate(answer(first, first.model_controls + means - own), first, metrics=COMPARED)
        profile = evaluate(answer(first, means), first, metrics=COMPARED)
        scores = {name: (profile if name in PROFILES else change).summary(name, "all").value for name in COMPARED}
        yield ceilings(first, COMPARED), scores


def agreement(each, controls, rounds):
    """Mean ceiling, mean score of a replicate, and the standard error of their difference, for each metric."""
    pairs = list(replicates(simulated(2 * rounds * each, 2 * rounds * controls, seed=3).cells, each, controls, rounds))
    for metric in COMPARED:
        gap = np.asarray([ceiling[metric] - score[metric] for ceiling, score in pairs])
        mean = np.mean([score[metric] for _, score in pairs])
        yield metric, mean, gap.mean(), gap.std(ddof=1) / np.sqrt(len(gap))


@pytest.mark.parametrize(("each", "rounds"), [(20, 12), pytest.param(30, 40, marks=pytest.mark.slow)])
def test_the_ceiling_is_what_a_second_experiment_of_the_same_size_scores(each, rounds):
    for metric, mean, gap, error in agreement(each, 2 * each, rounds):
        if METRICS[metric].better == "nearer":
            continue
        if METRICS[metric].from_half is None:
            assert gap < 3 * error + 0.01, metric  # no closed form: half the cells score less than all of them
        else:
            assert abs(gap) < 3 * error + 0.02 * abs(mean), (metric, mean, gap, error)
