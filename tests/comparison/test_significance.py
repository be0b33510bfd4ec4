from dataclasses import replace
from functools import lru_cache

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.comparison.significance import Difference, difference
from pertura.core import ControlPartition, Prediction, Provenance, Split
from pertura.core.errors import BadDataError
from pertura.data.datasets.simulate import simulate_norman
from pertura.data.datasets.simulation import norman_like
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from pertura.evaluation.table import METRICS
from screens import pairs_screen

OF_MEANS = [name for name, one in METRICS.items() if one.needs == "means" and one.family != "pairs"]
QUICK = Effort(bootstrap=100, permutations=5, halves=1, effect_permutations=39)


@pytest.fixture(scope="module")
def observed():
    screen = pairs_screen(noise=1.0)
    return observe(screen.cells, screen.split, effort=QUICK)


@lru_cache(maxsize=16)
def scored(observed, size, seed=0, name=None):
    """The right change with noise of some size on it."""
    right = observed.model_controls + observed.means - observed.controls
    noise = size * np.random.default_rng(seed).standard_normal(right.shape)
    return evaluate(answer(observed, right + noise, name or f"noise-{size}-{seed}"), observed)


def answer(observed, means, name):
    cells = {one: row[None] for one, row in zip(observed.conditions, means)}
    return Prediction(observed.genes, cells, Provenance(name))


@pytest.mark.parametrize("metric", OF_MEANS)
@pytest.mark.parametrize("subset", ["all", "detectable", "pairs"])
def test_a_model_ties_with_itself_exactly(observed, metric, subset):
    one = scored(observed, 0.5)
    gap = difference(one, replace(one, model="twin"), metric, subset)
    assert (gap.value, gap.low, gap.high) == (0.0, 0.0, 0.0)
    assert gap.verdict == "ties with"
    assert gap.conditions == int(one.among(subset).sum())


@pytest.mark.parametrize("metric", OF_MEANS)
def test_swapping_the_models_turns_the_sign(observed, metric):
    first, second = scored(observed, 0.2), scored(observed, 0.6)
    gap, back = difference(first, second, metric, "all"), difference(second, first, metric, "all")
    np.testing.assert_allclose([back.value, back.low, back.high], [-gap.value, -gap.high, -gap.low], atol=1e-12)
    opposite = {"beats": "loses to", "loses to": "beats", "ties with": "ties with"}
    assert back.verdict == opposite[gap.verdict]


@pytest.mark.parametrize("metric", [name for name in OF_MEANS if METRICS[name].link in ("fisher", "log")])
def test_better_by_construction_beats(observed, metric):
    gap = difference(scored(observed, 0.05), scored(observed, 3.0), metric, "all")
    assert gap.value > 0
    assert gap.verdict == "beats"


@pytest.mark.parametrize("metric", OF_MEANS)
def test_the_difference_is_the_mean_of_paired_differences_oriented_so_that_more_is_better(observed, metric):
    first, second = scored(observed, 0.2), scored(observed, 0.6)
    row, merit = first.row(metric), METRICS[metric].merit
    for subset in ("all", "detectable", "pairs"):
        mine = first.among(subset)
        expected = (merit(first.values[row]) - merit(second.values[row]))[mine].mean()
        gap = difference(first, second, metric, subset)
        assert gap.value == pytest.approx(expected)
        assert gap.low <= gap.value <= gap.high


def test_pairing_is_narrower_than_two_intervals_apart(observed):
    """What both models share, the noise of the observed cells and hard conditions, cancels."""
    first, second = scored(observed, 0.3), scored(observed, 0.31)
    for metric in ("pearson_delta", "mse", "mae_delta"):
        gap, alone = difference(first, second, metric, "all"), first.summary(metric, "all")
        assert gap.high - gap.low < 0.3 * (alone.high - alone.low)


def test_an_undefined_score_counts_as_stated_on_both_sides(observed):
    first = scored(observed, 0.2)
    values, bootstrap = first.values.copy(), first.bootstrap.copy()
    values[0], bootstrap[0] = np.nan, np.nan
    nothing = replace(first, model="nothing", values=values, bootstrap=bootstrap)
    gap = difference(first, nothing, "pearson_delta", "all")
    assert gap.conditions == len(first.conditions)
    assert gap.value == pytest.approx(first.summary("pearson_delta", "all").value)


def test_a_rank_that_either_lacks_is_left_out(observed):
    first = scored(observed, 0.2)
    row = first.row("discrimination_score_l2")
    values, bootstrap = first.values.copy(), first.bootstrap.copy()
    values[row, :3], bootstrap[row][:, :3] = np.nan, np.nan
    fewer = replace(first, model="fewer", values=values, bootstrap=bootstrap)
    assert difference(first, fewer, "discrimination_score_l2", "all").conditions == len(first.conditions) - 3
    values[row] = np.nan
    nowhere = difference(first, replace(fewer, values=values), "discrimination_score_l2", "all")
    assert nowhere.conditions == 0
    assert nowhere.verdict == "ties with"
    assert np.isnan([nowhere.value, nowhere.low, nowhere.high]).all()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"split": "another"}, "split"),
        ({"seed": 7}, "seed"),
        ({"preset": "pertura/0"}, "preset"),
        ({"conditions": ()}, "conditions"),
    ],
)
def test_what_was_judged_differently_is_not_compared(observed, change, what):
    first, second = scored(observed, 0.2, name="a"), scored(observed, 0.3, name="b")
    with pytest.raises(BadDataError, match=f"a and b were judged with different {what}"):
        difference(first, replace(second, **change), "mse", "all")


@given(low=st.floats(-2, 2), high=st.floats(-2, 2))
@settings(max_examples=60, deadline=None)
def test_an_interval_that_holds_zero_is_a_tie(low, high):
    low, high = sorted((low, high))
    verdict = Difference("a", "b", "mse", (low + high) / 2, low, high, 9).verdict
    assert verdict == ("beats" if low > 0 else "loses to" if high < 0 else "ties with")


@pytest.mark.proof
def test_equal_models_tie_about_as_often_as_the_interval_says(monkeypatch):
    """Two predictions that are off the truth by independent noise of one size."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # thousands of calls of one kind
    config = norman_like(genes=60, targets=20, pairs=0, cells_per_condition=40, controls_per_line=100)
    simulation = simulate_norman(config)
    cells = simulation.cells
    ids = [str(one) for one in cells.ids[cells.control_rows("line-a")]]
    halves = {"line-a": ControlPartition.halves(ids, 0, "line-a")}
    split = Split("all", frozenset(), frozenset(), frozenset(cells.perturbed), controls=halves)
    judged = observe(cells, split, effort=replace(QUICK, bootstrap=200))
    truth = judged.model_controls + np.asarray([simulation.truth.expected_delta(one) for one in judged.conditions])
    hits = []
    for seed in range(80):
        rng, again = np.random.default_rng(seed), replace(judged, seed=seed)
        off = [truth + (truth - judged.model_controls).std() * rng.standard_normal(truth.shape) for _ in range(2)]
        pair = [evaluate(answer(judged, means, str(place)), again) for place, means in enumerate(off)]
        gaps = {metric: difference(*pair, metric, "all") for metric in METRICS}
        hits.append({metric: gap.low <= 0 <= gap.high for metric, gap in gaps.items() if np.isfinite(gap.low)})
    shares = {metric: np.mean([one[metric] for one in hits if metric in one]) for metric in set().union(*hits)}
    assert len(shares) > 8
    assert min(shares.values()) >= 0.9
