"""Where effects follow a prior the network finds it, on genes that were never perturbed; elsewhere it does not.

Targets lie beside the panel: their flagged tokens and the prior are all the network has to tell them apart.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pertura.core.perturbation import Condition, Perturbation
from pertura.models.scgpt.model import ScGPT
from pertura.models.scgpt.panel import TokenPanel
from pertura.priors.controls import permuted_prior
from planted_networks import LINE, correlations, interval, options, planted, train_mean

torch.set_num_threads(1)


def trained(epochs: int, prior, **changes) -> ScGPT:
    cells, split, _, _ = planted()
    model = ScGPT(replace(options(epochs), **changes), prior)
    model.fit(cells, split, seed=1)
    return model


def better(first: np.ndarray, second: np.ndarray) -> bool:
    low, _ = interval(first - second)
    return low > 0


def check(epochs: int, gain: float, monkeypatch) -> None:
    cells, split, prior, _ = planted()
    model = trained(epochs, prior)
    mine, mean, twin = correlations(model), train_mean(), correlations(trained(epochs, permuted_prior(prior, 1)))
    for stratum in ("unseen_single", "pair_of_seen"):
        assert better(mine[stratum], mean[stratum]), stratum
        assert better(mine[stratum], twin[stratum]), stratum
    assert (mine["unseen_single"] - twin["unseen_single"]).mean() > gain
    one, other = sorted(split.strata["unseen_single"])[:2]
    starts = cells.take(split.model_controls(cells, LINE))
    told = model.predict(starts, [one, other], seed=0)
    assert not set(one.genes) & set(cells.genes)
    assert np.abs(told.mean(one) - told.mean(other)).max() > 0.05
    without_flags(monkeypatch)
    blind = correlations(trained(epochs, prior))
    assert better(mine["unseen_single"], blind["unseen_single"])
    assert abs((blind["unseen_single"] - mean["unseen_single"]).mean()) < 0.15


def without_flags(monkeypatch) -> None:
    """Nobody tells the network any more what is perturbed."""
    told = TokenPanel.marks
    control = Condition(Perturbation(), LINE)
    monkeypatch.setattr(TokenPanel, "marks", lambda panel, conditions: told(panel, [control] * len(conditions)))


@pytest.mark.slow
def test_a_short_training_finds_the_planted_prior(monkeypatch):
    check(4, 0.3, monkeypatch)


@pytest.mark.proof
def test_a_debug_training_finds_the_planted_prior(monkeypatch):
    check(12, 0.5, monkeypatch)


@pytest.mark.proof
@pytest.mark.parametrize("placement", ["token", "scgenept"])
def test_both_placements_and_a_trainable_table_find_it(placement):
    _, _, prior, _ = planted()
    changes = {"placement": placement, "final_norm": placement == "scgenept", "trainable_prior": True}
    mine, twin = (correlations(trained(12, one, **changes)) for one in (prior, permuted_prior(prior, 1)))
    assert better(mine["unseen_single"], twin["unseen_single"])


@pytest.mark.proof
def test_of_two_priors_the_one_that_is_true_is_used():
    _, _, prior, _ = planted()
    both = correlations(trained(12, [permuted_prior(prior, 2), prior]))
    twin = correlations(trained(12, [permuted_prior(prior, 2), permuted_prior(prior, 1)]))
    assert better(both["unseen_single"], twin["unseen_single"])
