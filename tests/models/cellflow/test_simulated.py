"""On a screen whose effects follow known vectors, CellFlow beats the train mean on conditions that train never saw."""

from dataclasses import replace

import numpy as np
import pytest

from pertura.comparison.significance import difference
from pertura.core import ControlPartition, Split
from pertura.core.seeds import generator, shuffled
from pertura.data.datasets.simulate import simulate
from pertura.data.datasets.simulation import GeneTable, norman_like
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import Effort, observe
from pertura.models.cellflow.model import CellFlow
from pertura.models.cellflow.options import debug
from pertura.models.table import MODELS
from pertura.prediction.predict import predict
from pertura.priors.prior import GenePrior

LESS = Effort(bootstrap=100, permutations=2, halves=1, effect_permutations=39)
CLEAR = {
    "null_fraction": 0.0,
    "table_noise": 0.05,
    "effect_sd": 0.8,
    "effect_share": 0.3,
    "interacting_fraction": 0.0,
    "density": 0.5,
    "panel_share": 0.5,
    "target_effect": 0.0,
    "targets_outside_panel": 0.0,
}


def planted(seed, *, targets, pairs, cells):
    """A screen, the vectors its effects follow, and a split: a fifth of the genes, half of the other pairs held out."""
    names = tuple(f"P{i:03d}" for i in range(targets))
    rows = generator(seed, "planted rows").standard_normal((targets, 3))
    config = norman_like(
        genes=80, targets=targets, pairs=pairs, cells_per_condition=cells, controls_per_line=8 * cells, **CLEAR
    )
    screen = simulate(config, seed, GeneTable(names, rows)).cells
    held = {names[i] for i in shuffled(names, seed, "held out")[: targets // 5]}
    singles = frozenset(one for one in screen.perturbed if one.perturbation.is_single and held & set(one.genes))
    seen = [one for one in screen.perturbed if one.perturbation.is_pair and not held & set(one.genes)]
    order = shuffled([one.label for one in seen], seed, "held out pairs")
    both = frozenset(seen[i] for i in order[: len(seen) // 2])
    half_seen = frozenset(one for one in screen.perturbed if one.perturbation.is_pair and held & set(one.genes))
    ids = [str(one) for one in screen.ids[screen.control_rows("line-a")]]
    split = Split(
        "planted",
        frozenset(screen.perturbed) - singles - both - half_seen,
        frozenset(),
        singles | both,
        {"unseen_single": singles, "unseen_pair": both},
        {"line-a": ControlPartition.halves(ids, seed, "line-a")},
        seed=seed,
    )
    return screen, split, GenePrior("planted", names, rows.astype(np.float32))


def judged(seed, options, **size):
    """The scores of the train mean and of CellFlow."""
    screen, split, prior = planted(seed, **size)
    observed = observe(screen, split, sorted(split.test), seed=seed, effort=LESS)
    found = []
    for model in (MODELS["train-mean"].build(None), CellFlow(options, prior)):
        model.fit(screen, split, seed=seed)
        answer = predict(model, screen, split, sorted(split.test), seed=seed)
        found.append(evaluate(answer, observed, metrics=["energy_distance"]))
    return found


def test_a_short_training_is_already_nearer_than_the_train_mean():
    short = replace(debug(), updates=30, cells=64)
    mean, flow = judged(0, short, targets=40, pairs=20, cells=20)
    assert not flow.fallbacks
    for stratum in ("unseen_single", "unseen_pair"):
        assert difference(flow, mean, "energy_distance", stratum).value > 0


@pytest.mark.proof
def test_unseen_pairs_and_unseen_singles_are_nearer_than_the_train_mean_beyond_chance():
    mean, flow = judged(0, debug(), targets=60, pairs=50, cells=40)
    assert not flow.fallbacks
    for stratum in ("unseen_single", "unseen_pair"):
        gain = difference(flow, mean, "energy_distance", stratum)
        assert gain.low > 0, (stratum, gain)
