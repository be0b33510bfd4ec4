from dataclasses import replace

import numpy as np
import pytest

from pertura.comparison.saturation import STRATA, saturation
from pertura.core import Prediction, Provenance
from pertura.core.errors import BadDataError, UsageError
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from pertura.evaluation.table import METRICS
from screens import pairs_screen

METRIC = "mse_delta"


@pytest.fixture(scope="module")
def observed():
    screen = pairs_screen(noise=0.3)
    return observe(screen.cells, screen.split, effort=Effort(2, 1, 4, 19))


def scored(observed, share, name):
    """A share of the observed change."""
    means = observed.model_controls + share * (observed.means - observed.controls)
    cells = {one: row[None] for one, row in zip(observed.conditions, means)}
    return evaluate(Prediction(observed.genes, cells, Provenance(name)), observed)


def test_the_share_lies_between_floor_and_ceiling(observed):
    nothing, everything, some = (scored(observed, share, f"s{share}") for share in (0.0, 1.0, 0.5))
    np.testing.assert_allclose(saturation([nothing], METRIC).share, 0.0, atol=1e-9)
    assert (saturation([everything], METRIC).share >= 1.0).all()
    row = some.row(METRIC)
    expected = (some.floor[row] - some.values[row]) / (some.floor[row] - some.ceiling[row])
    np.testing.assert_allclose(saturation([some], METRIC).share, expected)


def test_the_best_baseline_counts_in_each_condition(observed):
    half, most = scored(observed, 0.5, "half"), scored(observed, 0.9, "most")
    both = saturation([half, most], METRIC)
    np.testing.assert_array_equal(both.share, saturation([most], METRIC).share)
    assert both.baselines == ("half", "most")


@pytest.mark.parametrize(("share", "stratum"), [(0.0, 2), (0.4, 1), (1.0, 0)])
def test_every_condition_is_in_one_stratum(observed, share, stratum):
    strata = saturation([scored(observed, share, "x")], METRIC).strata
    assert sum(len(members) for members in strata.values()) == len(observed.conditions)
    assert len(strata[STRATA[stratum]]) > len(observed.conditions) / 2


def test_where_the_ceiling_is_no_better_than_the_floor_nothing_can_be_told(observed):
    one = scored(observed, 0.5, "half")
    row, ceiling = one.row(METRIC), one.ceiling.copy()
    ceiling[row, :2] = one.floor[row, :2]
    ceiling[row, 2] = np.nan
    found = saturation([replace(one, ceiling=ceiling)], METRIC)
    assert np.isnan(found.share[:3]).all()
    assert len(found.strata["no range"]) == 3


def test_an_undefined_score_counts_as_the_metric_states(observed):
    nothing = scored(observed, 0.0, "nothing")
    assert METRICS["pearson_delta"].undefined_as == 0.0
    np.testing.assert_allclose(saturation([nothing], "pearson_delta").share, 0.0)


def test_scores_of_different_screens_and_no_scores_are_refused(observed):
    one = scored(observed, 0.5, "half")
    with pytest.raises(BadDataError, match="different seed"):
        saturation([one, replace(one, seed=9)], METRIC)
    with pytest.raises(UsageError, match="needs the scores of a baseline"):
        saturation([], METRIC)
