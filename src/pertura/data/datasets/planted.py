"""Screens whose condition means are exact: for the laws that a simple model must fulfil to the last digit."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells, Scale
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.core.seeds import generator, shuffled
from pertura.data.datasets.simulation import Simulation, Truth

CONTEXT = "line-a"
LOWEST_BASE = 4.0


def simulate_additive(
    seed: int = 0, *, genes: int = 60, targets: int = 8, pairs: int = 12, cells: int = 20, noise: float = 0.1
) -> Simulation:
    """Return singles and pairs whose means add exactly: delta(A+B) = delta(A) + delta(B).

    Expression is dense float64, log-normalised by name. The noise of the cells of a condition sums to zero; control
    cells carry none, so that every part of them has the same mean.
    """
    names = _names(genes)
    own = {gene: 0.3 * generator(seed, "additive", gene).standard_normal(genes) for gene in names[:targets]}
    every = [(a, b) for i, a in enumerate(names[:targets]) for b in names[i + 1 : targets]]
    order = shuffled(["+".join(pair) for pair in every], seed, "pairs")[:pairs]
    deltas = {_perturbed(gene): delta for gene, delta in own.items()}
    deltas |= {_perturbed(*every[i]): own[every[i][0]] + own[every[i][1]] for i in order}
    return _screen("simulated-additive", names, deltas, seed, cells, noise)


def simulate_low_rank(
    seed: int = 0, *, genes: int = 80, targets: int = 40, rank: int = 3, cells: int = 10, noise: float = 0.0
) -> Simulation:
    """Return singles with delta of gene p = G K P[p] + b, where P[p] is the row of gene p in G.

    G (genes x rank) has orthogonal columns of length sqrt(genes), K (rank x rank) is orthogonal times 0.5, b has one
    value for each gene. All targets are measured. Expression is dense float64; control cells carry no noise.
    """
    names = _names(genes)
    raw = generator(seed, "low rank", "G").standard_normal((genes, rank))
    G = np.linalg.qr(raw)[0] * np.sqrt(genes)
    K = 0.5 * np.linalg.qr(generator(seed, "low rank", "K").standard_normal((rank, rank)))[0]
    b = 0.2 * generator(seed, "low rank", "b").standard_normal(genes)
    deltas = {_perturbed(names[p]): G @ K @ G[p] * 0.2 + b for p in range(targets)}
    return _screen("simulated-low-rank", names, deltas, seed, cells, noise)


def _screen(
    name: str,
    genes: tuple[str, ...],
    deltas: Mapping[Condition, Float[np.ndarray, " genes"]],
    seed: int,
    cells: int,
    noise: float,
) -> Simulation:
    control = Condition(Perturbation(), CONTEXT)
    base = generator(seed, "base").uniform(0.0, 2.0, len(genes))
    base += LOWEST_BASE + max(0.0, -min(float(delta.min()) for delta in deltas.values()))
    means = {control: base} | {one: base + delta for one, delta in deltas.items()}
    found = [_cells_around(mean, cells, 0.0 if one.is_control else noise, seed, one) for one, mean in means.items()]
    measured = Cells(
        expression=InMemory(np.concatenate(found)),
        genes=genes,
        ids=np.asarray([f"{one.label}-{i:04d}" for one in means for i in range(cells)]),
        conditions=tuple(means),
        codes=np.repeat(np.arange(len(means)), cells),
        scale=Scale("lognormalised", 1e4, math.e, whole_transcriptome=True, evidence="simulated"),
        name=name,
    )
    return Simulation(measured, Truth(genes, dict(deltas), means.__getitem__, "expression"))


def _cells_around(
    mean: Float[np.ndarray, " genes"], cells: int, noise: float, seed: int, condition: Condition
) -> Float[np.ndarray, "cells genes"]:
    """Cells whose mean is `mean` to rounding."""
    drawn = noise * generator(seed, "noise", condition.label).standard_normal((cells, len(mean)))
    return mean + drawn - drawn.mean(axis=0)


def _perturbed(*genes: str) -> Condition:
    return Condition(Perturbation.of(*genes, mode=Mode.ACTIVATION), CONTEXT)


def _names(genes: int) -> tuple[str, ...]:
    return tuple(f"G{i:05d}" for i in range(genes))
