import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pertura.metrics.delta import mean_absolute_error, mean_squared_error, pearson

quick = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)
METRICS = (pearson, mean_squared_error, mean_absolute_error)


def pair(seed, shape=(7, 30)):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape), rng.standard_normal(shape)


@given(seed=seeds, size=st.integers(2, 60), scale=st.floats(1e-6, 1e6))
@quick
def test_correlation_is_that_of_scipy(seed, size, scale):
    first, second = pair(seed, (size,))
    expected = (
        stats.pearsonr(first * scale, second).statistic if size > 2 else np.sign(np.diff(first) * np.diff(second))
    )
    np.testing.assert_allclose(pearson(first * scale, second), np.ravel(expected)[0], atol=1e-12)


@given(seed=seeds, scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
@quick
def test_correlation_knows_no_unit_and_no_offset(seed, scale, shift):
    first, second = pair(seed)
    np.testing.assert_allclose(pearson(scale * first + shift, second), pearson(first, second), atol=1e-8)
    np.testing.assert_allclose(pearson(-scale * first + shift, second), -pearson(first, second), atol=1e-8)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e6, 1e-9])
@pytest.mark.parametrize("size", [1, 7, 500])
def test_a_constant_change_has_no_direction(value, size):
    # the mean of 0.1 taken 500 times is not 0.1: the rounding that is left must not be correlated
    flat, other = np.full((3, size), value), pair(0, (3, size))[0]
    assert np.isnan(pearson(flat, other)).all()
    assert np.isnan(pearson(other, flat)).all()
    assert np.isnan(pearson(flat, flat)).all()


def test_a_small_change_on_top_of_a_large_offset_still_has_a_direction():
    first, second = pair(1)
    np.testing.assert_allclose(pearson(1e3 + 1e-6 * first, second), pearson(first, second), atol=1e-5)


def test_a_correlation_never_exceeds_one():
    first, _ = pair(2, (1000, 3))
    assert np.abs(pearson(first, 3 * first)).max() <= 1
    np.testing.assert_allclose(pearson(first, 3 * first), 1)


@given(seed=seeds)
@quick
def test_errors_are_those_of_numpy(seed):
    first, second = pair(seed)
    np.testing.assert_allclose(mean_squared_error(first, second), ((first - second) ** 2).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(mean_absolute_error(first, second), abs(first - second).mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_leading_axes_are_kept_and_rows_are_judged_alone(metric):
    first, second = pair(3, (4, 5, 20))
    whole = metric(first, second)
    assert whole.shape == (4, 5)
    assert whole[2, 3] == pytest.approx(float(metric(first[2, 3], second[2, 3])), abs=1e-14)


@pytest.mark.parametrize("metric", METRICS)
def test_sides_and_the_order_of_genes_do_not_matter(metric):
    first, second = pair(4)
    order = np.random.default_rng(0).permutation(first.shape[1])
    np.testing.assert_allclose(metric(second, first), metric(first, second), rtol=1e-12)
    np.testing.assert_allclose(metric(first[:, order], second[:, order]), metric(first, second), rtol=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_an_unknown_value_makes_its_own_score_unknown_and_no_other(metric):
    first, second = pair(5)
    first[2, 0] = np.nan
    assert np.flatnonzero(np.isnan(metric(first, second))).tolist() == [2]
