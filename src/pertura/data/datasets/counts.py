"""Counts of a cell: gamma-Poisson around rate x library size; their expectation after normalisation, exactly."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

TARGET_SUM = 1e4
LIBRARY_NODES = 24
LOG_RATES = (-30.0, 4.0)
KNOTS_PER_UNIT = 12


@dataclass(frozen=True)
class CountLaw:
    """K ~ Poisson(Gamma) with mean rate * L and variance mean + dispersion * mean**2; L lognormal with mean `depth`."""

    depth: float
    library_sd: float
    dispersion: float

    def libraries(self, rng: np.random.Generator, cells: int) -> Float[np.ndarray, " cells"]:
        """Draw library sizes: whole numbers of at least one."""
        logs = rng.normal(-0.5 * self.library_sd**2, self.library_sd, cells)
        return np.maximum(np.rint(self.depth * np.exp(logs)), 1.0)

    def draw(
        self,
        rng: np.random.Generator,
        libraries: Float[np.ndarray, " cells"],
        rates: Float[np.ndarray, "#cells genes"],
    ) -> Float[np.ndarray, "cells genes"]:
        """Draw counts of cells with these library sizes; one row of rates serves all, or each has its own."""
        means = libraries[:, None] * rates
        shape = 1.0 / self.dispersion
        return rng.poisson(rng.standard_gamma(shape, means.shape) * (means / shape)).astype(np.float64)

    def density(self, rates: Float[np.ndarray, " genes"]) -> float:
        """Return the expected share of counts above zero, averaged over genes and library sizes."""
        libraries, weights = self._nodes()
        absent = (1.0 + self.dispersion * libraries[:, None] * rates) ** (-1.0 / self.dispersion)
        return float(weights @ (1.0 - absent.mean(axis=1)))

    def expected_counts(self, rates: Float[np.ndarray, " genes"]) -> Float[np.ndarray, " genes"]:
        """Return the mean count of each gene."""
        return self.depth * rates

    def expected_logs(self, rates: Float[np.ndarray, " genes"]) -> Float[np.ndarray, " genes"]:
        """Return E[log1p(1e4 K / L)] of each gene, to about 1e-8."""
        return np.asarray(self._spline(np.clip(np.log(rates), *LOG_RATES)), dtype=np.float64)

    @cached_property
    def _spline(self) -> CubicSpline:
        """The expectation is a smooth function of the log rate alone: integrated at knots, cubic between."""
        knots = np.linspace(*LOG_RATES, int((LOG_RATES[1] - LOG_RATES[0]) * KNOTS_PER_UNIT) + 1)
        return CubicSpline(knots, self._expected_log(np.exp(knots)))

    def _expected_log(self, rates: Float[np.ndarray, " knots"]) -> Float[np.ndarray, " knots"]:
        """Integrate log(1 + x) = int_0^inf (1 - exp(-t x)) exp(-t) / t dt over the count's law.

        E[exp(-s K)] = (1 + dispersion * mean * (1 - exp(-s)))**(-1 / dispersion) is known, so neither a sum over counts
        nor its cut-off is needed. With t = exp(u) the integrand vanishes fast at both ends and the trapezoid rule
        converges exponentially.
        """
        libraries, weights = self._nodes()
        largest = TARGET_SUM * rates.max()
        u = np.linspace(-np.log1p(largest) - 36.0, 4.0, 600)
        total = np.zeros(len(rates))
        for library, weight in zip(libraries, weights):
            shrink = -np.expm1(-np.exp(u) * TARGET_SUM / library)
            inner = self.dispersion * library * rates[:, None] * shrink
            survived = -np.expm1(-np.log1p(inner) / self.dispersion)
            total += weight * np.trapezoid(survived * np.exp(-np.exp(u)), u, axis=1)
        return total

    def _nodes(self) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
        """Gauss-Hermite nodes and weights of the library size."""
        x, weights = np.polynomial.hermite_e.hermegauss(LIBRARY_NODES)
        logs = -0.5 * self.library_sd**2 + self.library_sd * x
        return self.depth * np.exp(logs), weights / weights.sum()


def law_of_density(
    shares: Float[np.ndarray, " genes"], density: float, library_sd: float, dispersion: float
) -> CountLaw:
    """Return the law whose depth gives the wanted density to genes of these shares of a cell's molecules."""

    def excess(log_depth: float) -> float:
        return CountLaw(float(np.exp(log_depth)), library_sd, dispersion).density(shares) - density

    return CountLaw(float(np.exp(brentq(excess, -10.0, 40.0, xtol=1e-6))), library_sd, dispersion)
