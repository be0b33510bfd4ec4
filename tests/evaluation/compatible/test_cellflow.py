"""CellFlow's metrics: against scikit-learn and scipy on small populations."""

import numpy as np
import pytest
import scipy.sparse as sp
from count_screens import dense_matrix, label_of, labelled
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import rbf_kernel

from pertura.core.errors import BadDataError
from pertura.evaluation.compatible import cellflow
from pertura.evaluation.compatible.profile import Options

CONTROL = "control"


def cells(seed, labels, name, genes=25, size=12, sparse=False):
    rng = np.random.default_rng(seed)
    of_cells = np.repeat([*labels, CONTROL], size)
    matrix = (
        rng.gamma(2.0, 0.5, (len(of_cells), genes)) + (of_cells[:, None] == labels[0]) * rng.normal(size=genes) ** 2
    )
    matrix[matrix < 0.3] = 0
    matrix = matrix.astype(np.float32)
    names = [f"g{i}" for i in range(genes)]
    return labelled(sp.csr_matrix(matrix) if sparse else matrix, of_cells, names, name, CONTROL)


@pytest.fixture(params=[False, True], ids=["dense", "sparse"])
def sides(request):
    made = [cells(seed, ("A", "B", "C"), name, sparse=request.param) for seed, name in enumerate(("p", "o"))]
    return (*made, cells(7, ("D", "E"), "train", size=20, sparse=request.param))


def test_every_column_is_its_definition(sides):
    predicted, observed, train = sides
    found = cellflow.judge(predicted, observed, Options(train=train))
    pca = PCA(10, svd_solver="full").fit(dense_matrix(train).astype(np.float64))
    assert found.labels == ("A", "B", "C")
    for row, label in enumerate(found.labels):
        raw = [dense_matrix(one)[label_of(one) == label].astype(np.float64) for one in (predicted, observed)]
        x, y = (pca.transform(one) for one in raw)
        squared = [cdist(*pair, "sqeuclidean").mean() for pair in ((x, y), (x, x), (y, y))]
        kernels = [
            rbf_kernel(x, x, g).mean() + rbf_kernel(y, y, g).mean() - 2 * rbf_kernel(x, y, g).mean()
            for g in (2, 1, 0.5, 0.1, 0.01, 0.005)
        ]
        expected = {
            "r_squared": r2_score(raw[1].mean(axis=0), raw[0].mean(axis=0)),
            "e_distance": 2 * squared[0] - squared[1] - squared[2],
            "mmd": np.mean(kernels),
        }
        for name, value in expected.items():
            assert found.columns[name].values[row] == pytest.approx(value, abs=1e-8), name


def test_without_train_cells_the_distances_are_left_out_by_name(sides):
    predicted, observed, train = sides
    found = cellflow.judge(predicted, observed, Options())
    assert found.undone == {"e_distance": "needs --train", "mmd": "needs --train"}
    whole = cellflow.judge(predicted, observed, Options(train=train))
    np.testing.assert_array_equal(found.columns["r_squared"].values, whole.columns["r_squared"].values)


def test_a_metric_left_out_changes_no_other(sides):
    predicted, observed, train = sides
    whole = cellflow.judge(predicted, observed, Options(train=train))
    found = cellflow.judge(predicted, observed, Options(train=train, skip=frozenset({"e_distance"})))
    assert found.undone == {"e_distance": "left out on request"}
    np.testing.assert_array_equal(found.columns["mmd"].values, whole.columns["mmd"].values)
    assert cellflow.judge(predicted, observed, Options(skip=frozenset({"mmd"}))).undone["e_distance"] == "needs --train"


def test_the_components_see_train_cells_alone(sides):
    predicted, observed, train = sides
    found = cellflow.judge(predicted, observed, Options(train=train))
    rows = np.flatnonzero(label_of(observed) != "B")
    again = cellflow.judge(predicted, observed.take(rows), Options(train=train))
    for name, column in again.columns.items():
        np.testing.assert_allclose(column.values, found.columns[name].values[[0, 2]], rtol=1e-12, err_msg=name)
    assert "observed only" not in again.warnings[0]
    assert "predicted only, not judged: 1 (B)" in again.warnings


def test_the_observed_cells_as_their_own_prediction_are_perfect(sides):
    _, observed, train = sides
    found = cellflow.judge(observed, observed, Options(train=train))
    for metric in cellflow.METRICS:
        np.testing.assert_allclose(found.columns[metric.name].values, metric.best, atol=1e-10)


def test_one_constant_cell_at_the_mean_deceives_the_e_distance_and_not_the_discrepancy(sides):
    _, observed, train = sides
    matrix, labels = dense_matrix(observed).astype(np.float64), label_of(observed)
    means = np.stack([matrix[labels == one].mean(axis=0) for one in ("A", "B", "C", CONTROL)])
    constant = labelled(means, np.asarray(["A", "B", "C", CONTROL]), observed.genes, "constant", CONTROL)
    found = cellflow.judge(constant, observed, Options(train=train))
    np.testing.assert_allclose(found.columns["e_distance"].values, 0, atol=1e-12)
    assert (found.columns["mmd"].values > 0.05).all()


def test_few_train_cells_span_fewer_components_and_that_is_said(sides):
    predicted, observed, train = sides
    found = cellflow.judge(predicted, observed, Options(train=train.take(np.arange(4))))
    assert any("3 components" in one for one in found.warnings)
    assert np.isfinite(found.columns["e_distance"].values).all()


def test_train_cells_with_other_genes_are_refused(sides):
    predicted, observed, train = sides
    other = labelled(dense_matrix(train)[:, 1:], label_of(train), train.genes[1:], "train", CONTROL)
    with pytest.raises(BadDataError, match="g0"):
        cellflow.judge(predicted, observed, Options(train=other))


def test_cells_of_zeros_give_numbers():
    labels = np.repeat(["A", CONTROL], 5)
    zeros = labelled(np.zeros((10, 6)), labels, list("abcdef"), control=CONTROL)
    train = cells(1, ("D",), "train", genes=6)
    train = labelled(dense_matrix(train), label_of(train), list("abcdef"), control=CONTROL)
    found = cellflow.judge(zeros, zeros, Options(train=train))
    assert [float(column.values[0]) for column in found.columns.values()] == [1.0, 0.0, 0.0]
