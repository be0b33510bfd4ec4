"""Priors that know less: random numbers, rows that belong to other genes, rows taken away.

A prior helps by what it knows only if it beats these. Each depends on the seed and the names of the genes, never on
their order.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from pertura.core.errors import BadDataError, UsageError
from pertura.core.seeds import generator, shuffled
from pertura.priors.prior import GenePrior, PriorKind

MOMENTS = ("row", "global")


def random_prior(prior: GenePrior, seed: int, moments: str = "row") -> GenePrior:
    """Return a prior of normal random numbers for the same genes.

    With `row` each gene's numbers have the mean and standard deviation of its own row, so that a row of zeros stays
    one; with `global` all have those of the whole table, and rows of zeros are filled too.
    """
    if moments not in MOMENTS:
        raise UsageError(f"moments {moments!r}: one of {', '.join(MOMENTS)}")
    means, spreads = _row_moments(prior) if moments == "row" else _global_moments(prior)
    table = np.empty_like(prior.table)
    for row, gene in enumerate(prior.genes):
        drawn = generator(seed, "random prior", gene).standard_normal(prior.table.shape[1])
        table[row] = means[row] + spreads[row] * drawn
    return _control(prior, "random", f"random by {moments}, seed {seed}", prior.genes, table)


def permuted_prior(prior: GenePrior, seed: int) -> GenePrior:
    """Return the prior with its rows exchanged among the genes that have one; no gene keeps its own.

    The genes are put in one random circle and each takes the row of the next. Rows of zeros stay where they are.
    """
    places = np.flatnonzero(_has_row(prior))
    if len(places) < 2:
        raise BadDataError(f"prior {prior.name}: {len(places)} gene has a vector, nothing can be exchanged")
    circle = places[shuffled([prior.genes[place] for place in places], seed, "permuted prior")]
    table = prior.table.copy()
    table[circle] = prior.table[np.roll(circle, -1)]
    return _control(prior, "permuted", f"permuted, seed {seed}", prior.genes, table)


def ablated_prior(prior: GenePrior, seed: int, share: float) -> GenePrior:
    """Return the prior without a share of its genes, chosen at random.

    Of one seed, the genes that a smaller share takes away are among those of a larger one. Genes whose row is zeros
    have nothing to lose and stay.
    """
    places = np.flatnonzero(_has_row(prior))
    count = round(share * len(places))
    if not 0.0 <= share <= 1.0 or count >= len(prior.genes):
        raise UsageError(f"share {share}: from 0 to below 1, and one gene at least has to stay")
    order = places[shuffled([prior.genes[place] for place in places], seed, "ablated prior")]
    kept = np.setdiff1d(np.arange(len(prior.genes)), order[:count])
    genes = tuple(prior.genes[place] for place in kept)
    return _control(prior, "ablated", f"without {share:.0%}, seed {seed}", genes, prior.table[kept])


CONTROLS: Mapping[str, Callable[[GenePrior, int, float], GenePrior]] = {
    "permuted": lambda prior, seed, share: permuted_prior(prior, seed),
    "random": lambda prior, seed, share: random_prior(prior, seed),
    "random-global": lambda prior, seed, share: random_prior(prior, seed, "global"),
    "ablated": ablated_prior,
}
"""Kind of control -> how it is made of a prior, a seed and a share."""


def _control(
    prior: GenePrior, kind: PriorKind, said: str, genes: tuple[str, ...], table: Float[np.ndarray, "kept width"]
) -> GenePrior:
    facts = replace(prior.facts, kind=kind, made_from=(prior.name,))
    return GenePrior(f"{prior.name} ({said})", genes, table, facts)


def _has_row(prior: GenePrior) -> Bool[np.ndarray, " genes"]:
    return np.asarray(prior.table.any(axis=1))


def _row_moments(prior: GenePrior) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    return prior.table.mean(axis=1, dtype=np.float64), prior.table.std(axis=1, dtype=np.float64)


def _global_moments(prior: GenePrior) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """Return mean and spread of the whole table for every gene, summed in an order that is not that of the genes."""
    order = np.argsort(np.asarray(prior.genes, dtype=np.str_), kind="stable")
    means, spreads = _row_moments(prior)
    mean = means[order].mean()
    spread = np.sqrt((spreads[order] ** 2 + (means[order] - mean) ** 2).mean())
    return np.full(len(order), mean), np.full(len(order), spread)
