"""How far one population of cells is from another, in a space of a few coordinates, and how well a mean is predicted.

Two distances go by the name "energy" or "E-distance"; only one sees more than the means.
"""

import numpy as np
from jaxtyping import Float

from pertura.metrics.distance import euclidean

Cells = Float[np.ndarray, "cells axes"]
Others = Float[np.ndarray, "others axes"]
CELLFLOW_GAMMAS = (2.0, 1.0, 0.5, 0.1, 0.01, 0.005)
"""Widths of the Gaussian kernels over which CellFlow averages its discrepancy."""
BLOCK = 2048


def r_squared(predicted: Float[np.ndarray, " genes"], observed: Float[np.ndarray, " genes"]) -> float:
    """Return the share of the variance of the observed profile over genes that the predicted one explains.

    Not symmetric, at most 1, without lower bound. Over the genes of a cell even the control profile explains nearly
    everything. An observed profile that is constant gives 1 where it is met exactly and 0 else; NaN below two genes.
    """
    if len(observed) < 2:
        return float("nan")
    error = float(np.square(observed - predicted).sum())
    variance = float(np.square(observed - observed.mean()).sum())
    return 1.0 - error / variance if variance > 0 else float(error == 0)


def energy_distance(first: Cells, second: Others) -> float:
    """Return the energy distance 2 E|x - y| - E|x - x'| - E|y - y'| of two populations, self pairs included.

    Euclidean, not squared: zero only where the two distributions are the same. NaN where a side has no cell.
    """
    if not len(first) or not len(second):
        return float("nan")
    return 2 * _mean_distance(first, second) - _mean_distance(first, first) - _mean_distance(second, second)


def mean_e_distance(first: Cells, second: Others) -> float:
    """Return CellFlow's "E-distance", twice the squared distance of the two means.

    With squared Euclidean distances the terms between cells of one side cancel, so that spread and shape have no
    influence: a prediction of one constant cell at the right mean scores 0. NaN where a side has no cell.
    """
    if not len(first) or not len(second):
        return float("nan")
    return float(2 * np.square(first.mean(axis=0) - second.mean(axis=0)).sum())


def mean_discrepancy(first: Cells, second: Others, gammas: tuple[float, ...] = CELLFLOW_GAMMAS) -> float:
    """Return the squared maximum mean discrepancy with kernels exp(-gamma |x - y|^2), averaged over `gammas`.

    Self pairs are included (the biased estimate): small populations lie apart even where they are drawn alike, and the
    value is never negative but for rounding. NaN where a side has no cell.
    """
    if not len(first) or not len(second):
        return float("nan")
    within = _mean_kernel(first, first, gammas) + _mean_kernel(second, second, gammas)
    return within - 2 * _mean_kernel(first, second, gammas)


def _mean_distance(first: Cells, second: Others) -> float:
    total = sum(euclidean(first[start : start + BLOCK], second).sum() for start in range(0, len(first), BLOCK))
    return float(total) / (len(first) * len(second))


def _mean_kernel(first: Cells, second: Others, gammas: tuple[float, ...]) -> float:
    total = 0.0
    for start in range(0, len(first), BLOCK):
        squares = np.square(euclidean(first[start : start + BLOCK], second))
        total += sum(float(np.exp(-gamma * squares).sum()) for gamma in gammas)
    return total / (len(gammas) * len(first) * len(second))
