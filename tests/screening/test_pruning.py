"""The pruned search finds the best pairs, says what it evaluated, and how many it may have missed."""

import numpy as np
import pytest

from pertura.core import Condition, Perturbation
from pertura.core.errors import UsageError
from pertura.core.seeds import generator
from pertura.data.datasets.effects import Plan
from pertura.data.datasets.simulate import _Screen
from pertura.data.datasets.simulation import norman_like
from pertura.screening import pruning
from pertura.screening.goal import Goal


def world(seed: int, singles: int, *, strength: float = 0.3) -> tuple[np.ndarray, Goal, np.ndarray]:
    """Sparse single effects, three pairs in ten with an interaction of their own; gains of all pairs, by position."""
    rng = generator(seed, "world")
    genes = 120
    deltas = rng.normal(0, 0.6, (singles, genes)) * (rng.random((singles, genes)) < 0.15)
    weights = np.zeros(genes)
    weights[rng.choice(genes, 20, replace=False)] = 1.0
    goal = Goal("g", tuple(f"G{i}" for i in range(genes)), weights)
    first, second = np.triu_indices(singles, 1)
    chance = rng.random(len(first)) < 0.3
    own = rng.normal(0, strength, (len(first), 20)) * (rng.random((len(first), 20)) < 0.15)
    gains = np.full((singles, singles), np.nan)
    gains[first, second] = goal.gains(deltas)[first] + goal.gains(deltas)[second] + chance * own.mean(axis=1)
    return deltas, goal, gains


def search(seed: int, singles: int, **changes: float) -> tuple[pruning.Found, np.ndarray]:
    deltas, goal, gains = world(seed, singles, **changes)
    found = pruning.prune_pairs(deltas, goal, lambda pairs: gains[pairs[:, 0], pairs[:, 1]], seed=seed)
    return found, gains


def best(gains: np.ndarray, count: int = 10) -> set[tuple[int, int]]:
    flat = np.argsort(-np.nan_to_num(gains.ravel(), nan=-np.inf))[:count]
    return {(int(i) // len(gains), int(i) % len(gains)) for i in flat}


def test_the_true_best_ten_of_all_pairs_of_200_genes_are_found():
    hits = 0
    for seed in range(10):
        found, gains = search(seed, 200)
        assert found.evaluated <= 0.05 * 200 * 199 / 2
        hits += {tuple(one) for one in found.pairs[:10].tolist()} == best(gains)
    assert hits >= 9


@pytest.mark.proof
def test_the_same_in_the_simulator_of_screens():
    """Counts of 450 genes, 200 activated targets, interactions half as strong as single effects in 3 of 10 pairs."""
    hits = sum(_found_in_simulation(seed) for seed in range(10))
    assert hits >= 9


def _found_in_simulation(seed: int) -> bool:
    config = norman_like(targets=200, pairs=0, targets_outside_panel=1.0, interaction_sd=0.3)
    screen = _Screen(Plan(config, seed))
    plan, line = screen.plan, "line-a"
    targets = sorted(plan.targets)
    columns = np.sort(generator(seed, "programme").choice(450, 20, replace=False))
    weights = np.zeros(450)
    weights[columns] = 1.0
    goal = Goal("g", plan.panel, weights)
    base = screen.law.expected_logs(plan.shares(line))

    def condition(*genes: str) -> Condition:
        return Condition(Perturbation.of(*genes, mode=plan.config.mode), line)

    effects = np.asarray([plan.effect(condition(gene)) for gene in targets])
    deltas = np.asarray([screen.law.expected_logs(plan.shares(line) * np.exp(one)) - base for one in effects])
    gains = np.full((200, 200), np.nan)
    for a, b in np.stack(np.triu_indices(200, 1), axis=1):
        effect = effects[a][columns] + effects[b][columns]
        pair = condition(targets[a], targets[b])
        if plan.is_interacting(pair):
            effect = effect + 0.3 * plan._sparse(pair.perturbation.label, line)[columns]
        rates = plan.shares(line)[columns] * np.exp(effect)
        gains[a, b] = (screen.law.expected_logs(rates) - base[columns]).mean()
    found = pruning.prune_pairs(deltas, goal, lambda pairs: gains[pairs[:, 0], pairs[:, 1]], seed=seed)
    assert found.evaluated <= 995
    return {tuple(one) for one in found.pairs[:10].tolist()} == best(gains)


def test_what_was_missed_is_estimated():
    """Where interactions are as strong as effects some of the best are missed: their number is foretold."""
    missed, expected = [], []
    for seed in range(12):
        found, gains = search(seed, 80, strength=1.5)
        bar = found.gains[9]
        missed.append(np.nansum(gains > bar) - (found.gains > bar).sum())
        expected.append(found.missed)
    assert np.mean(missed) > 1
    assert np.median(missed) / 4 < np.median(expected) < np.median(missed) * 4


def test_all_pairs_are_evaluated_where_all_are_allowed():
    deltas, goal, gains = world(0, 20)
    found = pruning.prune_pairs(deltas, goal, lambda pairs: gains[pairs[:, 0], pairs[:, 1]], share=1.0)
    assert found.evaluated == found.every == 190
    assert found.missed == 0
    assert "100.0%" in found.told


def test_too_few_evaluations_to_draw_some_at_random_are_told():
    deltas, goal, gains = world(0, 5)
    found = pruning.prune_pairs(deltas, goal, lambda pairs: gains[pairs[:, 0], pairs[:, 1]], share=0.5)
    assert np.isnan(found.missed)
    assert "cannot be told" in found.told
    assert "nan" not in found.told


def test_the_surrogate_of_a_nonlinear_statistic_scores_the_summed_change():
    deltas, goal, _ = world(0, 12)
    for statistic in ("enrichment", "distance"):
        one = Goal("g", goal.genes, goal.weights, statistic)
        pairs = np.asarray([[0, 3], [4, 11]])
        expected = one.gains(deltas[pairs[:, 0]] + deltas[pairs[:, 1]])
        np.testing.assert_allclose(pruning.additive_gains(deltas, one, pairs), expected)


def test_weak_singles_are_left_out_of_long_lists_and_counted():
    deltas, goal, _ = world(0, 30)
    asked = pruning.candidates(deltas, goal, most_singles=10, share=1.0)
    kept = set(np.argsort(-goal.gains(deltas))[:10].tolist())
    assert set(asked.pairs.ravel().tolist()) <= kept
    assert asked.left_out == 20


def test_one_gene_has_no_pairs():
    deltas, goal, _ = world(0, 2)
    with pytest.raises(UsageError):
        pruning.candidates(deltas[:1], goal)
