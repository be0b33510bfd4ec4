"""Intervals and back-tests of whole screens against what the screens were made from."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pertura.core import Cells, Condition
from pertura.core.seeds import generator
from pertura.core.split import Outline
from pertura.data.datasets.simulate import simulate
from pertura.data.datasets.simulation import GeneTable, norman_like
from pertura.data.splits import SPLITS
from pertura.models.table import MODELS
from pertura.priors.prior import GenePrior
from pertura.recipes.screening_run.asked import Asked
from pertura.recipes.screening_run.runs import Member
from pertura.recipes.screening_run.setting import Setting, setting_of
from pertura.recipes.screening_run.trust import Trust, trust_of
from pertura.screening.backtest import recall_at
from pertura.screening.goal import without_targets

TARGETS, NEW = 60, 20


@cache
def world(seed: int) -> tuple[Setting, tuple[Condition, ...], np.ndarray, np.ndarray]:
    """A screen whose effects follow a prior; perturbations kept from it, their measured and their true scores."""
    rng = generator(seed, "table")
    names = tuple(f"T{i:03d}" for i in range(120))
    table = GeneTable(names, rng.normal(size=(120, 4)))
    config = norman_like(genes=45, targets=TARGETS, pairs=0, targets_outside_panel=1.0, table_noise=0.2)
    config = replace(config, cells_per_condition=40, controls_per_line=300, effect_share=0.4, null_fraction=0.0)
    made = simulate(config, seed, table)
    cells, truth = made.cells, made.truth
    new = tuple(cells.perturbed[i] for i in sorted(rng.permutation(len(cells.perturbed))[:NEW].tolist()))
    kept = without(cells, new)
    split = SPLITS["folds"](Outline.of(kept), seed=seed, folds=8)
    prior = GenePrior("table", names, table.table)

    def fresh() -> object:
        return MODELS["ridge"].build(prior)

    model = MODELS["ridge"].build(prior)
    model.fit(kept, split, seed=0)
    programme = dict.fromkeys(cells.genes[:12], 1.0)
    asked = Asked(models=("made",), programme=programme, members=1, folds=4, seed=seed, level=0.8)
    setting = setting_of(asked, (Member("ridge", model, fresh, prior),), (kept, split))
    from pertura.data.pseudobulk import pseudobulk

    measured = pseudobulk(cells, new, {new[0].context: split.judge_controls(cells, new[0].context)}).deltas
    true = np.asarray([truth.expected_delta(one) for one in new])
    goal = setting.goal
    scores = [goal.scores(without_targets(one, new, goal.genes)) for one in (measured, true)]
    return setting, new, scores[0], scores[1]


def without(cells: Cells, conditions: tuple[Condition, ...]) -> Cells:
    gone = np.concatenate([cells.rows_of(one) for one in conditions])
    return cells.take(np.setdiff1d(np.arange(len(cells)), gone))


@cache
def trusted(seed: int) -> Trust:
    return trust_of(world(seed)[0])


def coverage(seeds: range) -> tuple[float, float, int]:
    """Share of new perturbations whose measured, and whose true, score lies in the interval; and how many."""
    from pertura.recipes.screening_run.answers import every_answer

    measured, true = [], []
    for seed in seeds:
        setting, new, scores, exact = world(seed)
        found = every_answer(setting, new)
        calibrations = trusted(seed).calibrations
        assert calibrations is not None
        low, high = calibrations.intervals(found.scores, found.spread, ["single"] * NEW)
        measured += ((low <= scores) & (scores <= high)).tolist()
        true += ((low <= exact) & (exact <= high)).tolist()
    return float(np.mean(measured)), float(np.mean(true)), len(measured)


def recalls(seeds: range) -> list[bool]:
    """Whether each back-test's interval has the recall that the true scores of the hidden conditions give."""
    inside = []
    for seed in seeds:
        setting, _, _, _ = world(seed)
        trust, goal = trusted(seed), setting.goal
        assert trust.held_out is not None
        hidden = trust.held_out.conditions
        made = true_scores(seed, hidden)
        verdict = next(one for one in trust.verdicts if one.model == "ridge")
        at = verdict.at[2]
        exact = recall_at(goal.sign * trust.held_out.rivals["ridge"][None], goal.sign * made[None], at.places)[0]
        inside.append(bool(at.recall.low <= exact <= at.recall.high))
    return inside


def true_scores(seed: int, conditions: tuple[Condition, ...]) -> np.ndarray:
    setting = world(seed)[0]
    rng = generator(seed, "table")
    table = GeneTable(tuple(f"T{i:03d}" for i in range(120)), rng.normal(size=(120, 4)))
    config = norman_like(genes=45, targets=TARGETS, pairs=0, targets_outside_panel=1.0, table_noise=0.2)
    config = replace(config, cells_per_condition=40, controls_per_line=300, effect_share=0.4, null_fraction=0.0)
    truth = simulate(replace(config, cells_per_condition=1, controls_per_line=2), seed, table).truth
    deltas = np.asarray([truth.expected_delta(one) for one in conditions])
    return setting.goal.scores(without_targets(deltas, conditions, setting.goal.genes))


@pytest.mark.slow
def test_a_learnt_prior_ranks_better_than_chance_and_its_intervals_hold():
    trust = trusted(0)
    verdict = next(one for one in trust.verdicts if one.model == "ridge")
    assert verdict.spearman.low > 0
    measured, _, count = coverage(range(1))
    assert measured >= 0.8 - 3 * np.sqrt(0.16 / count)


@pytest.mark.slow
def test_coverage_and_recall_match_the_truth_within_their_error():
    measured, true, count = coverage(range(4))
    # the errors of calibration and of counting, three standard deviations of both
    error = 3 * np.sqrt(0.16 / count + 0.16 / (4 * (TARGETS - NEW)))
    assert measured == pytest.approx(0.8, abs=error)
    assert true >= 0.8 - error
    assert sum(recalls(range(4))) >= 3
