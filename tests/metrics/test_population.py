"""Distances between populations: against scipy, scikit-learn and closed forms."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import rbf_kernel

from pertura.metrics.population import (
    CELLFLOW_GAMMAS,
    energy_distance,
    mean_discrepancy,
    mean_e_distance,
    r_squared,
)


@pytest.fixture(params=[(7, 5), (1, 4), (2100, 3)])
def cells(request):
    first, second = request.param
    rng = np.random.default_rng(0)
    return rng.normal(size=(first, 4)), rng.normal(0.4, 1.5, size=(second, 4))


def test_energy_distance_is_its_definition(cells):
    first, second = cells
    expected = 2 * cdist(first, second).mean() - cdist(first, first).mean() - cdist(second, second).mean()
    assert energy_distance(first, second) == pytest.approx(expected, abs=1e-7)


def test_cellflows_distance_is_its_definition_with_squares(cells):
    first, second = cells
    squares = [cdist(*pair, "sqeuclidean").mean() for pair in ((first, second), (first, first), (second, second))]
    assert mean_e_distance(first, second) == pytest.approx(2 * squares[0] - squares[1] - squares[2], abs=1e-9)


def test_the_discrepancy_is_its_definition(cells):
    first, second = cells
    expected = np.mean(
        [
            rbf_kernel(first, first, g).mean()
            + rbf_kernel(second, second, g).mean()
            - 2 * rbf_kernel(first, second, g).mean()
            for g in CELLFLOW_GAMMAS
        ]
    )
    assert mean_discrepancy(first, second) == pytest.approx(expected, abs=1e-9)


def test_two_single_cells_have_closed_forms():
    first, second = np.zeros((1, 2)), np.asarray([[3.0, 4.0]])
    assert energy_distance(first, second) == pytest.approx(10.0)
    assert mean_e_distance(first, second) == pytest.approx(50.0)
    assert mean_discrepancy(first, second, (0.1,)) == pytest.approx(2 - 2 * np.exp(-2.5))


def test_only_the_distance_of_means_is_blind_to_spread():
    rng = np.random.default_rng(1)
    wide = rng.normal(size=(200, 3))
    narrow = np.tile(wide.mean(axis=0), (50, 1))
    assert mean_e_distance(wide, narrow) == pytest.approx(0.0, abs=1e-12)
    assert energy_distance(wide, narrow) > 0.5
    assert mean_discrepancy(wide, narrow) > 0.05


@pytest.mark.parametrize("distance", [energy_distance, mean_e_distance, mean_discrepancy])
def test_a_population_is_at_no_distance_from_itself_and_an_empty_one_at_none_known(distance):
    cells = np.random.default_rng(2).normal(size=(30, 3))
    assert distance(cells, cells) == pytest.approx(0.0, abs=1e-7)
    assert np.isnan(distance(cells, cells[:0]))
    assert np.isnan(distance(cells[:0], cells))


def test_r_squared_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    for _ in range(5):
        observed, predicted = rng.normal(size=(2, 30))
        assert r_squared(predicted, observed) == pytest.approx(r2_score(observed, predicted))
    constant = np.full(30, 2.0)
    assert r_squared(predicted, constant) == r2_score(constant, predicted) == 0.0
    assert r_squared(constant, constant) == r2_score(constant, constant) == 1.0
    assert np.isnan(r_squared(np.ones(1), np.ones(1)))
