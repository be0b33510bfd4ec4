"""A target state is read from cells, and refused where it is on another scale or too small."""

import anndata
import numpy as np
import pandas as pd
import pytest

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.core.seeds import generator
from pertura.screening.target import displacement, group_means

GENES = [f"G{i}" for i in range(15)]


@pytest.fixture
def states(tmp_path):
    values = np.abs(generator(0, "states").normal(2, 1, (30, 15))).astype(np.float32)
    obs = pd.DataFrame({"cluster": ["a"] * 20 + ["b"] * 8 + ["c"] * 2}, index=[f"c{i}" for i in range(30)])
    path = tmp_path / "states.h5ad"
    anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=GENES)).write_h5ad(path)
    return str(path), values


def test_the_way_goes_from_the_controls_to_the_cluster(states):
    path, values = states
    panel = (*GENES[::-1], "ELSEWHERE")
    way = displacement(group_means(path, "cluster=a", largest=6.0), panel, np.full(16, 1.0))
    np.testing.assert_allclose(way[:15], values[:20].mean(axis=0)[::-1] - 1.0, rtol=1e-5)
    assert way[15] == 0


def test_a_contrast_goes_from_group_to_group(states):
    path, values = states
    way = displacement(group_means(path, "cluster=a", "cluster=b", largest=6.0), tuple(GENES), np.zeros(15))
    np.testing.assert_allclose(way, values[:20].mean(axis=0) - values[20:28].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("group", "largest", "error", "told"),
    [
        ("cluster=d", 6.0, UsageError, "there are: a, b, c"),
        ("clustr=a", 6.0, UsageError, "it has: cluster"),
        ("cluster=c", 6.0, BadDataError, "needs 5"),
        ("cluster=a", 0.5, BadDataError, "another scale"),
    ],
)
def test_what_is_no_state_is_refused(states, group, largest, error, told):
    with pytest.raises(error, match=told):
        group_means(states[0], group, largest=largest)


def test_a_state_needs_a_file_and_shared_genes(states):
    with pytest.raises(MissingError):
        group_means("absent.h5ad", "", largest=6.0)
    with pytest.raises(BadDataError, match="shares 0 genes"):
        displacement(group_means(states[0], "", largest=6.0), ("X", "Y"), np.zeros(2))
