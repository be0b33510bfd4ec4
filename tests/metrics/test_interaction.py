import numpy as np
import pytest

from pertura.metrics.interaction import additivity_residual


@pytest.fixture
def pair():
    """An additive expectation, an observed change that departs from it, no noise."""
    rng = np.random.default_rng(0)
    additive, departure = rng.standard_normal((2, 5, 40))
    return additive, additive + departure, np.zeros((5, 40))


def test_the_exact_sum_knows_of_no_interaction_and_the_observed_change_of_all(pair):
    additive, observed, noise = pair
    np.testing.assert_allclose(additivity_residual(additive, observed, additive, noise), 0.0, atol=1e-12)
    np.testing.assert_allclose(additivity_residual(observed, observed, additive, noise), 1.0)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_a_share_of_the_departure_explains_its_square(pair, share):
    additive, observed, noise = pair
    predicted = additive + share * (observed - additive)
    np.testing.assert_allclose(additivity_residual(predicted, observed, additive, noise), 1 - (1 - share) ** 2)


def test_a_smoother_sum_of_the_singles_gains_nothing_on_average():
    """Singles seen with noise: the true sum, which no noisy one can match, must not seem to know the interaction."""
    rng = np.random.default_rng(1)
    truth, departure = rng.standard_normal((2, 1, 200))
    sd, found, naive = 0.8, [], []
    for _ in range(400):
        additive = truth + sd * rng.standard_normal((1, 200))
        observed = truth + departure
        found.append(additivity_residual(truth, observed, additive, np.full((1, 200), sd**2))[0])
        naive.append(additivity_residual(truth, observed, additive, np.zeros((1, 200)))[0])
    assert abs(np.mean(found)) < 0.03
    assert np.mean(naive) > 0.2


def test_where_no_departure_is_left_nothing_can_be_predicted(pair):
    additive, observed, _ = pair
    loud = np.full((5, 40), 100.0)
    assert np.isnan(additivity_residual(observed, observed, additive, loud)).all()
    assert np.isnan(additivity_residual(observed, observed, np.full((5, 40), np.nan), loud)).all()
