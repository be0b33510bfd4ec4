import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from pertura.metrics.rank_correlation import spearman

values = arrays(np.float32, 9, elements=st.sampled_from([-np.inf, -2.0, 0.0, 1.0, np.inf]))
varied = values.filter(lambda some: len(set(some.tolist())) > 1)


@given(first=varied, second=varied)
@settings(max_examples=60, deadline=None)
def test_it_is_that_of_scipy_with_ties_and_infinite_values(first, second):
    # scipy ranks the same; finite stand-ins spare it a warning about infinities
    one, other = (np.clip(side, -9, 9) for side in (first, second))
    assert spearman(first, second) == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [([1.0], [2.0]), ([], []), ([1.0, 1.0], [1.0, 2.0])])
def test_what_has_no_order_is_undefined(first, second):
    assert np.isnan(spearman(np.asarray(first), np.asarray(second)))
