import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from pertura.metrics.discrimination import add_absolute_differences, discrimination_cell_eval

KINDS = ("l1", "l2", "cosine")


def by_definition(predicted, observed, columns, kind):
    """cell-eval's loop: each row without its target gene, the place of the own perturbation in the sorted distances."""
    scores = []
    for i, column in enumerate(columns):
        kept = np.flatnonzero(np.arange(predicted.shape[1]) != column)
        row = pairwise_distances(observed[:, kept], predicted[i, kept].reshape(1, -1), metric=kind).flatten()
        scores.append(1 - np.flatnonzero(np.argsort(row) == i)[0] / len(predicted))
    return np.asarray(scores)


def deltas(seed, size=60, genes=90):
    rng = np.random.default_rng(seed)
    observed = rng.normal(size=(size, genes))
    return 0.2 * observed + rng.normal(size=(size, genes)), observed, rng.integers(-1, genes, size)


def rounded(predicted, observed):
    """Many equal distances."""
    return np.round(predicted), np.round(observed)


def repeated(predicted, observed):
    """Twins among observed perturbations, one prediction for all."""
    observed[1::2] = observed[::2]
    predicted[:] = predicted[0]
    return predicted, observed


def vanishing(predicted, observed):
    """Perturbations without any change."""
    predicted[::3] = 0
    observed[::4] = 0
    return predicted, observed


def nearly_tied(predicted, observed):
    """Distances that differ by less than float32 can tell."""
    observed[1::2] = observed[::2] * (1 + 1e-8)
    return predicted, observed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("change", [None, rounded, repeated, vanishing, nearly_tied])
def test_it_is_the_rank_that_cell_eval_finds_even_among_ties(kind, precision, change):
    predicted, observed, columns = deltas(3)
    if change is not None:
        predicted, observed = change(predicted, observed)
    predicted, observed = predicted.astype(precision), observed.astype(precision)
    expected = by_definition(predicted, observed, columns, kind)
    np.testing.assert_array_equal(discrimination_cell_eval(predicted, observed, columns, kind), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gene_that_carries_all_of_a_change_leaves_no_digits_and_is_done_again(kind):
    predicted, observed, columns = deltas(4, size=8, genes=12)
    columns = np.arange(8)
    for table in (predicted, observed):
        table[np.arange(8), columns] = 1e9
    expected = by_definition(predicted, observed, columns, kind)
    np.testing.assert_array_equal(discrimination_cell_eval(predicted, observed, columns, kind), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_own_target_gene_has_no_influence(kind):
    predicted, observed, columns = deltas(5)
    before = discrimination_cell_eval(predicted, observed, columns, kind)
    named = np.flatnonzero(columns >= 0)
    predicted[named, columns[named]] += 50.0
    np.testing.assert_array_equal(discrimination_cell_eval(predicted, observed, columns, kind), before)


@pytest.mark.parametrize("kind", KINDS)
def test_one_perturbation_is_always_the_nearest(kind):
    predicted, observed, columns = deltas(6, size=1)
    assert discrimination_cell_eval(predicted, observed, columns, kind).tolist() == [1.0]


def test_sums_of_absolute_differences_over_more_genes_than_a_stretch():
    predicted, observed, _ = deltas(7, size=4, genes=2500)
    total = np.zeros((4, 4))
    add_absolute_differences(predicted, observed, total)
    np.testing.assert_allclose(total, np.abs(predicted[:, None] - observed).sum(axis=2))
