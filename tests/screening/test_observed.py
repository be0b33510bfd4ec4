"""Measured scores of the goal: errors, bias, null, and departures of pairs, against screens of known truth."""

from functools import cache

import numpy as np
import pytest

from pertura.core import Cells, Condition
from pertura.core.seeds import generator
from pertura.data.datasets.planted import simulate_additive
from pertura.data.datasets.simulate import simulate
from pertura.data.datasets.simulation import Simulation, norman_like
from pertura.screening.departures import observed_departures
from pertura.screening.goal import Goal, without_targets
from pertura.screening.interactions import observed_calls
from pertura.screening.observed import means_of, observed_scores
from screens import measured, perturbed, split_of

SHAPE = {"genes": 80, "cells_per_condition": 40, "controls_per_line": 240, "targets_outside_panel": 0.5}


@cache
def screen(seed: int, **changes: float) -> Simulation:
    return simulate(norman_like(**{**SHAPE, "targets": 20, "pairs": 20, **changes}), seed)


def goal(genes: tuple[str, ...], statistic: str = "weighted-mean", direction: str = "up") -> Goal:
    weights = np.zeros(len(genes))
    weights[generator(0, "goal").choice(len(genes), 12, replace=False)] = 1.0
    return Goal("g", genes, weights, statistic, direction)


def true_scores(made: Simulation, one: Goal, conditions: tuple[Condition, ...]) -> np.ndarray:
    deltas = np.asarray([made.truth.expected_delta(c) for c in conditions])
    return one.scores(without_targets(deltas, conditions, one.genes))


@pytest.mark.parametrize("statistic", ["weighted-mean", "distance"])
def test_measured_scores_are_off_the_truth_by_their_standard_errors(statistic):
    z = []
    for seed in range(2):
        made = screen(seed)
        split = split_of(made.cells, [])
        means = means_of(made.cells, split)
        one = goal(means.genes, statistic)
        found = observed_scores(made.cells, means, split, one, draws=60)
        z += ((found.scores - true_scores(made, one, means.conditions)) / found.errors).tolist()
    assert np.std(z) == pytest.approx(1.0, abs=0.4)
    assert abs(np.mean(z)) < 0.5


def test_where_nothing_is_done_little_moves():
    moving = []
    for seed in range(3):
        made = screen(seed, null_fraction=1.0, pairs=0, target_effect=0.0)
        split = split_of(made.cells, [])
        found = observed_scores(made.cells, means_of(made.cells, split), split, goal(made.cells.genes), draws=60)
        moving.append(found.moving().any())
    assert sum(moving) <= 1


def test_the_order_of_cells_has_no_influence():
    made = screen(0)
    cells, split = made.cells, split_of(made.cells, [])
    turned = cells.take(generator(0, "order").permutation(len(cells)))
    first, second = (
        observed_scores(one, means_of(one, split), split, goal(one.genes), draws=20) for one in (cells, turned)
    )
    assert first.conditions == second.conditions
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-12)
    np.testing.assert_allclose(first.errors, second.errors, atol=1e-12)


def test_pairs_that_add_up_depart_by_nothing():
    made = simulate_additive(0)
    split = split_of(made.cells, [])
    found = observed_departures(made.cells, means_of(made.cells, split), split, goal(made.cells.genes), draws=20)
    assert len(found.pairs) == 12
    assert found.lacking == ()
    np.testing.assert_allclose(found.values, 0, atol=1e-6)


def additive_screen(seed: int, pairs: int) -> tuple[Cells, set[Condition]]:
    """Effects that add exactly in expression, but for three pairs in ten; and which pairs these are."""
    rng = generator(seed, "additive")
    genes, targets = [f"G{i:02d}" for i in range(30)], [f"T{i:02d}" for i in range(16)]
    single = {gene: rng.normal(0, 0.4, 30) for gene in targets}
    every = [(a, b) for i, a in enumerate(targets) for b in targets[i + 1 :]]
    deltas = {perturbed(gene): delta for gene, delta in single.items()}
    interacting = set()
    for i in rng.permutation(len(every))[:pairs]:
        a, b = every[i]
        pair = perturbed(f"{a}+{b}")
        deltas[pair] = single[a] + single[b]
        if rng.random() < 0.3:
            interacting.add(pair)
            deltas[pair] = deltas[pair] + rng.normal(0, 0.8, 30)
    # another number of cells draws other noise
    return measured(genes, {"": np.full(30, 8.0)}, deltas, cells=24 + seed, noise=0.6), interacting


def called(seed: int, pairs: int) -> tuple[int, int]:
    """False and all calls of one screen."""
    cells, interacting = additive_screen(seed, pairs)
    split = split_of(cells, [])
    means, one = means_of(cells, split), goal(cells.genes)
    found = observed_departures(cells, means, split, one, draws=100)
    calls = observed_calls(found.values, found.errors, fdr=0.1, direction=1, draws=100)
    mine = [pair for pair, is_called in zip(found.pairs, calls.called) if is_called]
    return sum(pair not in interacting for pair in mine), len(mine)


@pytest.mark.slow
def test_measured_interactions_are_called_at_their_rate():
    false, every = np.sum([called(seed, 60) for seed in range(8)], axis=0)
    assert every > 40
    assert false / every <= 0.1 + 2 * np.sqrt(0.09 / every)


def test_measured_interactions_of_a_few_screens_are_called_at_about_their_rate():
    false, every = np.sum([called(seed, 40) for seed in range(3)], axis=0)
    assert every >= 8
    assert false / every <= 0.25
