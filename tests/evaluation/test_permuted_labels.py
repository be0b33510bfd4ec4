"""Where labels mean nothing, no baseline may seem to know something."""

from functools import lru_cache

import jaxtyping
import numpy as np
import pytest
from permuted_labels import judged, permuted

from pertura.data.datasets import DATASETS
from pertura.evaluation.detectable import effect_p_values
from pertura.evaluation.effort import Effort
from pertura.evaluation.table import METRICS
from pertura.models.table import BASELINES

GEARS = ("gears-simulation", {})
SCREENS = {
    "norman-500": ("norman-500", GEARS),
    "mcfaline-500": ("mcfaline-500", GEARS),
    "mcfaline-500, a line held out": ("mcfaline-500", ("held-out-context", {"context": "A172"})),
    "simulated-pairs": ("simulated-pairs", GEARS),
}
FEW = ("no-change", "train-mean", "additive")
DISTINCT = ("train-mean", "additive", "linear", "nearest-neighbours")
EVERYWHERE = {one.name for one in METRICS.values() if one.variant_of is None and one.needs != "tests"}
EVERYWHERE -= {"additivity_residual"}
LESS = Effort(bootstrap=100, permutations=50, halves=1, effect_permutations=99)


@pytest.fixture(autouse=True)
def unchecked(request, monkeypatch):
    """Long proofs make the same calls thousands of times; their twins check shapes at each."""
    if request.node.get_closest_marker("slow"):
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@lru_cache
def cells_of(name):
    return DATASETS[name].load()


def assert_all_cover(found):
    missed = [one for one in found if not one.covers]
    assert not missed, missed


def test_permuting_exchanges_labels_within_a_context_only():
    cells = cells_of("mcfaline-500")
    mixed = permuted(cells, 0)
    assert (mixed.codes != cells.codes).mean() > 0.5
    for context in cells.contexts:
        before, after = (np.flatnonzero([o.context == context for o in one.conditions]) for one in (cells, mixed))
        assert np.isin(cells.codes, before).tolist() == np.isin(mixed.codes, after).tolist()
    np.testing.assert_array_equal(np.bincount(mixed.codes), np.bincount(cells.codes))


def test_intervals_cover_chance_on_permuted_labels():
    found = list(judged(cells_of("norman-500"), GEARS, 0, models=FEW, effort=LESS))
    assert {one.metric for one in found} >= EVERYWHERE
    assert_all_cover(found)


@pytest.mark.proof
@pytest.mark.parametrize("screen", SCREENS)
def test_the_interval_of_every_metric_of_every_baseline_covers_chance_on_permuted_labels(screen):
    name, rule = SCREENS[screen]
    found = list(judged(cells_of(name), rule, 0))
    assert {one.model for one in found} == set(BASELINES)
    assert {one.metric for one in found} >= EVERYWHERE
    assert_all_cover(found)


@pytest.mark.proof
@pytest.mark.parametrize("screen", SCREENS)
def test_chance_is_covered_about_as_often_as_the_interval_says(screen):
    """Over permutations, for each metric: 95 % is promised, 90 % is asked for. The other baselines resemble these.

    Sets of significant genes are left out: permuted labels leave one or two genes in a few conditions, if any.
    """
    name, rule = SCREENS[screen]
    asked = {"models": DISTINCT, "effort": LESS, "metrics": sorted(EVERYWHERE)}
    found = [one for seed in range(20) for one in judged(cells_of(name), rule, seed, **asked)]
    for metric in EVERYWHERE:
        covers = [one.covers for one in found if one.metric == metric]
        assert len(covers) == 80
        assert np.mean(covers) >= 0.9, metric


def shared_and_disjoint(name, seed):
    """The train mean's pearson_delta with one pool of controls on both sides, and with two."""
    rows = {}
    for shared in (True, False):
        found = judged(
            cells_of(name), GEARS, seed, models=("train-mean",), shared=shared, effort=LESS, metrics=["pearson_delta"]
        )
        rows[shared] = next(found)
    return rows[True], rows[False]


def test_one_pool_of_controls_for_both_sides_rewards_noise():
    shared, disjoint = shared_and_disjoint("norman-500", 0)
    assert shared.value > 0.4
    assert shared.low > 0
    assert disjoint.covers


@pytest.mark.proof
@pytest.mark.parametrize("name", ["norman-500", "mcfaline-500", "simulated-pairs"])
def test_shared_controls_inflate_in_nearly_all_permutations(name):
    pairs = [shared_and_disjoint(name, seed) for seed in range(12)]
    assert np.mean([shared.low > 0 for shared, _ in pairs]) >= 0.9
    assert np.mean([disjoint.covers for _, disjoint in pairs]) >= 0.75
    assert np.mean([shared.value - disjoint.value for shared, disjoint in pairs]) > 0.2


@pytest.mark.parametrize(
    ("name", "seeds"), [("norman-500", 2), pytest.param("norman-500", 30, marks=pytest.mark.proof)]
)
def test_permuted_labels_have_a_detectable_effect_as_often_as_chance_has(name, seeds):
    cells = cells_of(name)
    p = np.asarray([effect_p_values(permuted(cells, seed), cells.perturbed, 99, seed=seed) for seed in range(seeds)])
    for level in (0.05, 0.5):
        # conditions of one permutation share their controls: the spread between permutations is the error
        share = (p <= level).mean(axis=1)
        error = share.std(ddof=1) / np.sqrt(seeds) if seeds > 5 else 0.1
        assert abs(share.mean() - level) < 4 * error
