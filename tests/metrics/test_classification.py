import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from pertura.metrics.classification import average_precision, roc_area

quick = settings(max_examples=60, deadline=None)
scores = arrays(np.float32, 20, elements=st.sampled_from([-0.0, 0.25, 0.5, 3.0]))
marks = arrays(np.bool_, 20).filter(lambda marked: 0 < marked.sum() < 20)


@given(marked=marks, values=scores)
@quick
def test_areas_are_those_of_scikit_learn_with_many_ties(marked, values):
    assert average_precision(marked, values) == pytest.approx(average_precision_score(marked, values), abs=1e-12)
    assert roc_area(marked, values) == pytest.approx(roc_auc_score(marked, values), abs=1e-12)


@given(marked=marks, values=scores)
@quick
def test_turning_the_scores_round_turns_the_area_round(marked, values):
    assert roc_area(marked, -values) == pytest.approx(1 - roc_area(marked, values))


def test_scores_that_say_nothing():
    marked = np.arange(10) < 3
    assert roc_area(marked, np.zeros(10)) == 0.5
    assert average_precision(marked, np.zeros(10)) == pytest.approx(0.3)


@pytest.mark.parametrize("area", [average_precision, roc_area])
@pytest.mark.parametrize("marked", [np.zeros(4, dtype=bool), np.ones(4, dtype=bool)])
def test_nothing_to_separate_is_undefined(area, marked):
    assert np.isnan(area(marked, np.arange(4.0)))
