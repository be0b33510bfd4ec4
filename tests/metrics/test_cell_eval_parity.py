"""The same numbers as cell-eval 0.8.2 on two screens (tests/reference/cell_eval)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pertura.metrics import delta
from pertura.metrics.discrimination import discrimination_cell_eval

FOLDER = Path(__file__).parents[1] / "reference" / "cell_eval"
CONTROL = "non-targeting"


class Case:
    """Means of predicted and observed perturbations and of control, and what cell-eval made of them."""

    def __init__(self, name):
        self.expected = pd.read_csv(FOLDER / f"{name}.csv").set_index("perturbation")
        with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
            labels, self.genes = arrays["labels"].tolist(), arrays["genes"].tolist()
            sides = [arrays[side].astype(np.float64) for side in ("predicted", "observed")]
        rows = [labels.index(one) for one in self.expected.index]
        assert sorted([*self.expected.index, CONTROL]) == labels
        self.predicted, self.observed = (side[rows] for side in sides)
        self.predicted_delta, self.observed_delta = (side[rows] - side[labels.index(CONTROL)] for side in sides)

    @property
    def target_columns(self):
        return np.asarray([self.genes.index(one) if one in self.genes else -1 for one in self.expected.index])


@pytest.fixture(params=["a", "b"], scope="module")
def case(request):
    return Case(request.param)


@pytest.mark.parametrize(
    ("column", "metric", "of_delta"),
    [
        ("pearson_delta", delta.pearson, True),
        ("mse", delta.mean_squared_error, False),
        ("mae", delta.mean_absolute_error, False),
        ("mse_delta", delta.mean_squared_error, True),
        ("mae_delta", delta.mean_absolute_error, True),
    ],
)
def test_correlation_and_errors(case, column, metric, of_delta):
    sides = (case.predicted_delta, case.observed_delta) if of_delta else (case.predicted, case.observed)
    np.testing.assert_allclose(metric(*sides), case.expected[column], atol=1e-6)


@pytest.mark.parametrize("kind", ["l1", "l2", "cosine"])
def test_ranks(case, kind):
    scores = discrimination_cell_eval(case.predicted_delta, case.observed_delta, case.target_columns, kind)
    np.testing.assert_allclose(scores, case.expected[f"discrimination_score_{kind}"], atol=1e-12)
    assert len(set(scores.tolist())) > 1
