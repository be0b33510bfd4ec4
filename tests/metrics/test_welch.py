"""Welch's t and the ranking by it, against scipy."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from pertura.metrics.welch import moments, ranked, t_statistic


def both(first, second):
    return (moments([first[:2], first[2:]], first.shape[1]), moments([second], second.shape[1]))


def test_t_is_that_of_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(3, 1, (9, 20)), rng.normal(3.2, 2, (14, 20))
    expected = ttest_ind(first, second, equal_var=False).statistic
    np.testing.assert_allclose(t_statistic(*both(first, second)), expected, rtol=1e-9)


def test_constant_genes_rank_last_where_equal_and_first_where_not():
    first, second = np.random.default_rng(1).normal(size=(2, 8, 3))
    first[:, :2], second[:, :2] = 0.1, [0.1, 0.3]
    t = t_statistic(*both(first, second))
    assert t[0] == 0.0
    assert t[1] == -np.inf
    assert ranked(t, ("a", "b", "c")).tolist() == [1, 2, 0]


def test_equal_statistics_come_in_the_order_of_names():
    assert ranked(np.asarray([1.0, -1.0, 2.0, 1.0]), ("d", "b", "c", "a")).tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize("cells", [0, 1])
def test_one_cell_has_no_variance(cells):
    found = moments([np.full((cells, 2), 3.0)], 2)
    assert np.isnan(found.variance).all()
    assert np.isnan(found.mean).all() == (cells == 0)
