"""Principal components by blocks, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from pertura.core.errors import OutOfMemoryError
from pertura.metrics.projection import principal_components


def cells_of(genes, cells=60, rank=6):
    rng = np.random.default_rng(genes)
    return 5 + rng.normal(size=(cells, rank)) * np.arange(rank, 0, -1) @ rng.normal(size=(rank, genes)) / 10


def blocks(cells, size=17):
    return [cells[start : start + size] for start in range(0, len(cells), size)]


@pytest.mark.parametrize("genes", [20, 700])
def test_coordinates_are_those_of_scikit_learn_up_to_sign(genes):
    cells = cells_of(genes)
    found = principal_components(blocks(cells), genes, 5, 1 << 30)
    expected = PCA(5, svd_solver="full").fit(cells)
    coordinates, theirs = found.apply(cells), expected.transform(cells)
    signs = np.sign((coordinates * theirs).sum(axis=0))
    np.testing.assert_allclose(coordinates, theirs * signs, atol=1e-6)
    np.testing.assert_allclose(found.axes.T @ found.axes, np.eye(5), atol=1e-8)


def test_blocks_and_their_order_change_nothing():
    cells = cells_of(30)
    once = principal_components([cells], 30, 4, 1 << 30)
    again = principal_components(blocks(cells[::-1], 7), 30, 4, 1 << 30)
    np.testing.assert_allclose(again.apply(cells), once.apply(cells), atol=1e-8)


def test_no_more_components_than_cells_or_genes_allow():
    assert principal_components([np.eye(3)], 3, 10, 1 << 30).axes.shape == (3, 2)
    assert principal_components([np.ones((1, 3))], 3, 10, 1 << 30).axes.shape == (3, 0)


def test_too_many_genes_for_the_memory_are_refused():
    with pytest.raises(OutOfMemoryError, match="--memory"):
        principal_components([], 20_000, 10, 1 << 30)
