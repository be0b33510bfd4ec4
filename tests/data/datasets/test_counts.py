import numpy as np
import pytest
from scipy.stats import nbinom

from pertura.core.seeds import generator
from pertura.data.datasets.counts import CountLaw, law_of_density

RATES = np.asarray([1e-7, 1e-5, 3e-4, 2e-3, 3e-2])


def summed(law, rate):
    """E[log1p(1e4 K / L)] by summing the negative binomial over counts at the law's own library nodes."""
    total = 0.0
    for library, weight in zip(*law._nodes()):
        mean = rate * library
        counts = np.arange(int(mean * 40) + 200)
        chances = nbinom.pmf(counts, 1 / law.dispersion, 1 / (1 + law.dispersion * mean))
        total += weight * float(chances @ np.log1p(1e4 * counts / library))
    return total


@pytest.mark.parametrize(("library_sd", "dispersion"), [(0.35, 0.3), (0.0, 0.05), (0.6, 1.0)])
def test_the_expectation_is_the_sum_over_counts(library_sd, dispersion):
    law = CountLaw(4000.0, library_sd, dispersion)
    reference = [summed(law, rate) for rate in RATES]
    np.testing.assert_allclose(law.expected_logs(RATES), reference, atol=1e-6)


def test_the_expectation_is_the_mean_of_many_draws():
    law = CountLaw(3000.0, 0.35, 0.3)
    rng = generator(1, "draws")
    libraries = law.libraries(rng, 60_000)
    logs = np.log1p(law.draw(rng, libraries, RATES[None]) * 1e4 / libraries[:, None])
    error = logs.std(axis=0) / np.sqrt(len(libraries))
    assert (np.abs(logs.mean(axis=0) - law.expected_logs(RATES)) < 4.5 * error + 1e-9).all()


def test_draws_have_the_variance_of_the_law():
    law = CountLaw(1000.0, 0.0, 0.4)
    counts = law.draw(generator(2, "draws"), np.full(100_000, 1000.0), np.asarray([[0.005]]))
    assert counts.mean() == pytest.approx(5.0, rel=0.02)
    assert counts.var() == pytest.approx(5.0 + 0.4 * 25.0, rel=0.04)


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 0.9])
def test_the_depth_solves_for_the_density(density):
    shares = np.exp(generator(3, "shares").standard_normal(300))
    law = law_of_density(shares / shares.sum(), density, 0.35, 0.3)
    assert law.density(shares / shares.sum()) == pytest.approx(density, abs=1e-4)
