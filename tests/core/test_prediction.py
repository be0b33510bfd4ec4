import numpy as np

from pertura.core import Prediction, Provenance
from screens import perturbed


def test_the_mean_is_taken_in_double_precision():
    cells = np.full((10_000, 1), 16_777_217 / 16_777_216, dtype=np.float32)
    cells[0] = 2**24
    prediction = Prediction(("a",), {perturbed("A"): cells}, Provenance("m"))
    assert prediction.mean(perturbed("A"))[0] == cells.astype(np.float64).mean()


def test_conditions_are_sorted_whatever_order_they_were_given_in():
    row = np.zeros((1, 1))
    names = ["C", "A", "B"]
    prediction = Prediction(("a",), {perturbed(name): row for name in names}, Provenance("m"))
    assert [one.label for one in prediction.conditions] == ["A", "B", "C"]


def test_no_cells_have_no_mean():
    prediction = Prediction(("a", "b"), {perturbed("A"): np.empty((0, 2))}, Provenance("m"))
    assert np.isnan(prediction.mean(perturbed("A"))).all()
