"""Probabilities that mean what they say: one temperature, fitted on valid cells."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar

LARGEST = 4.0
"""The logarithm of a temperature lies within this of 0."""
FEWEST = 5
LEAST = 1e-12

Logits = Float[np.ndarray, "cells classes"]


def probabilities(logits: Logits, temperature: float = 1.0) -> Float[np.ndarray, "cells classes"]:
    """Return the softmax of logits over a temperature; a class at minus infinity has 0."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    raised = np.exp(scaled)
    return raised / raised.sum(axis=1, keepdims=True)


def log_likelihood(logits: Logits, codes: Int[np.ndarray, " cells"], temperature: float = 1.0) -> float:
    """Return the mean log probability of the observed classes; NaN without cells."""
    if not len(codes):
        return float("nan")
    mine = probabilities(logits, temperature)[np.arange(len(codes)), codes]
    return float(np.log(np.maximum(mine, LEAST)).mean())


def temperature(logits: Logits, codes: Int[np.ndarray, " cells"]) -> float:
    """Return the temperature under which the observed classes are likeliest; 1 for fewer than five cells.

    It never changes which class comes first (Guo et al., ICML 2017).
    """
    if len(codes) < FEWEST:
        return 1.0
    found = minimize_scalar(
        lambda one: -log_likelihood(logits, codes, float(np.exp(one))), bounds=(-LARGEST, LARGEST), method="bounded"
    )
    return float(np.exp(found.x))
