"""One prior from several."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Literal

import numpy as np
from jaxtyping import Float

from pertura.core.errors import BadDataError, UsageError
from pertura.priors.prior import GenePrior, PriorFacts

How = Literal["concat", "mean"]
Genes = Literal["union", "intersection"]


def combine(priors: Sequence[GenePrior], how: str = "concat", *, genes: str = "union") -> GenePrior:
    """Return a prior with the vectors of several side by side (`concat`) or their mean (`mean`).

    With the union of genes, a gene that a prior lacks has zeros for its part in `concat`, and the mean of those that
    have it in `mean`; with the intersection only genes that all priors have are kept. The source that is recorded says
    which, and how many genes each prior lacked. Nothing is scaled. `mean` of unequal widths raises `BadDataError`.
    Genes are in alphabetical order, whatever their order in the priors.
    """
    if len(priors) < 2:
        raise UsageError(f"{len(priors)} prior to combine; give two or more")
    if how not in WAYS or genes not in ("union", "intersection"):
        raise UsageError(f"combine by {how} over the {genes} of genes: concat or mean, union or intersection")
    widths = [one.table.shape[1] for one in priors]
    if how == "mean" and len(set(widths)) > 1:
        listed = ", ".join(f"{one.name} {width}" for one, width in zip(priors, widths))
        raise BadDataError(f"no mean of vectors of different widths: {listed}", remedy="use concat")
    sets = [set(one.genes) for one in priors]
    kept = sorted(set.union(*sets) if genes == "union" else set.intersection(*sets))
    if not kept:
        raise BadDataError(f"no gene is in all of {', '.join(one.name for one in priors)}")
    joined = " + " if how == "concat" else " | "
    return GenePrior(
        joined.join(one.name for one in priors), tuple(kept), WAYS[how](priors, kept), _facts(priors, how, genes, kept)
    )


def lacking(priors: Sequence[GenePrior], genes: Sequence[str]) -> tuple[int, ...]:
    """Return for each prior how many of `genes` it has no vector for."""
    return tuple(sum(gene not in own for gene in genes) for own in (set(one.genes) for one in priors))


def _concatenated(priors: Sequence[GenePrior], genes: list[str]) -> Float[np.ndarray, "genes width"]:
    table = np.zeros((len(genes), sum(one.table.shape[1] for one in priors)), dtype=_kind(priors))
    begin = 0
    for one in priors:
        end = begin + one.table.shape[1]
        table[:, begin:end] = one.aligned_to(genes)[0]
        begin = end
    return table


def _mean(priors: Sequence[GenePrior], genes: list[str]) -> Float[np.ndarray, "genes width"]:
    total = np.zeros((len(genes), priors[0].table.shape[1]), dtype=np.float64)
    count = np.zeros(len(genes))
    for one in priors:
        rows, present = one.aligned_to(genes)
        total += rows
        count += present
    return (total / count[:, None]).astype(_kind(priors))


WAYS: Mapping[str, Callable[[Sequence[GenePrior], list[str]], Float[np.ndarray, "genes width"]]] = {
    "concat": _concatenated,
    "mean": _mean,
}


def _kind(priors: Sequence[GenePrior]) -> np.dtype[np.floating]:
    return np.result_type(*(one.table.dtype for one in priors))


def _facts(priors: Sequence[GenePrior], how: str, genes: str, kept: list[str]) -> PriorFacts:
    """Return what is recorded: every part's own facts, in order, and what each part lacked."""
    joined = {
        one.name: " + ".join(dict.fromkeys(str(getattr(prior.facts, one.name) or "not recorded") for prior in priors))
        for one in fields(PriorFacts)
        if one.name in ("encoder", "licence", "text_sha256")
    }
    missing = ", ".join(f"{one.name} {count}" for one, count in zip(priors, lacking(priors, kept)))
    parts = " + ".join(one.facts.source or one.name for one in priors)
    return PriorFacts(
        source=f"{how} of {parts} over the {genes} of genes; genes without a vector: {missing}",
        kind="combined",
        made_from=tuple(one.name for one in priors),
        **joined,
    )
