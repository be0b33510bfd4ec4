import numpy as np
import pytest

from pertura.metrics.agreement import clustering_agreement

pytestmark = pytest.mark.slow


def groups(seed, size=8):
    """Three groups of profiles far from one another."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(10 * rng.normal(size=(3, 20)), size, axis=0)
    return centres + 0.1 * rng.normal(size=centres.shape)


def test_the_same_groups_agree_fully_whatever_they_are_like():
    assert clustering_agreement(groups(0), groups(1)) == pytest.approx(1.0)


def test_profiles_without_groups_agree_little_and_never_below_zero():
    rng = np.random.default_rng(2)
    values = [clustering_agreement(rng.normal(size=(24, 20)), groups(3)) for _ in range(5)]
    assert min(values) >= 0
    assert np.mean(values) < 0.5
