"""Genes called significant in a prediction against genes called significant in the observed cells.

All functions take perturbations x genes; `significant` is a mask, changes are log2 fold changes. Genes that must not
count, such as the perturbed gene itself, are to be masked out of both calls beforehand.
"""

import numpy as np
from jaxtyping import Bool, Float

Mask = Bool[np.ndarray, "conditions genes"]
Table = Float[np.ndarray, "conditions genes"]
Values = Float[np.ndarray, " conditions"]


def fidelity_yield(predicted: Mask, observed: Mask, predicted_change: Table, observed_change: Table) -> Values:
    """Return k / max(n predicted, n observed), k being predicted calls whose direction is right.

    Predicted calls count only where the observed change has a direction. It is the smaller of precision and recall:
    calling too many genes and too few both cost. NaN where neither side calls a gene.
    """
    judged = predicted & _directed(observed_change)
    right = (judged & agreeing(predicted_change, observed_change)).sum(axis=1)
    larger = np.maximum(judged.sum(axis=1), observed.sum(axis=1))
    return np.divide(right, larger, out=np.full(len(larger), np.nan), where=larger > 0)


def reach(order: Table, observed: Mask, right: Mask, judged: Mask, purity: float = 0.9) -> Values:
    """Return how deep into the observed calls a prediction's own ranking stays right, as a share of them.

    `order` is the rank of each gene in the prediction's confidence (0 first). Among the observed calls in that order,
    the longest prefix in which at least `purity` of the `judged` genes are `right`; its judged genes over all observed
    calls. NaN where no gene is called in the observed cells.
    """
    return np.asarray([_reach(*row, purity) for row in zip(order, observed, right, judged, strict=True)])


def change_gap(first: Table, second: Table, observed: Table, gate: Mask, smallest: int = 10) -> Values:
    """Return the summed absolute difference of two tables of changes over the summed observed ones, within `gate`.

    With a prediction and the observed changes it is their error, and 1 what a prediction of no change scores; with two
    halves of the observed cells, how far these agree. A change that is not finite counts as none; a gene whose observed
    change is not, leaves the gate. NaN where the gate holds fewer than `smallest` genes or no observed change.
    """
    within = gate & np.isfinite(observed)
    first, second = (np.where(np.isfinite(one), one, 0.0) for one in (first, second))
    gap = np.where(within, np.abs(first - second), 0.0).sum(axis=1)
    size = np.where(within, np.abs(observed), 0.0).sum(axis=1)
    known = (within.sum(axis=1) >= smallest) & (size > 0)
    return np.divide(gap, size, out=np.full(len(size), np.nan), where=known)


def agreeing(predicted_change: Table, observed_change: Table) -> Mask:
    """Return where both changes have a direction, and the same."""
    directed = _directed(predicted_change) & _directed(observed_change)
    return np.asarray(directed & (np.sign(predicted_change) == np.sign(observed_change)))


def confidence_order(
    called: Mask, fdr: Table, p_value: Table, change: Table, names: tuple[str, ...]
) -> Float[np.ndarray, "conditions genes"]:
    """Return the rank of each gene by a prediction's confidence: called, fdr, p, size of change, name.

    A p that is not known comes last. Names break what ties are left, so that the order of genes changes nothing.
    """
    alphabetic = np.empty(len(names))
    alphabetic[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    size = np.where(np.isnan(change), -np.inf, np.abs(change))
    keys = (np.broadcast_to(alphabetic, fdr.shape), -size, _last(p_value), _last(fdr), ~called)
    ranks = np.empty(fdr.shape)
    for row in range(len(fdr)):
        ranks[row, np.lexsort([key[row] for key in keys])] = np.arange(len(names))
    return ranks


def _reach(
    order: Float[np.ndarray, " genes"],
    observed: Bool[np.ndarray, " genes"],
    right: Bool[np.ndarray, " genes"],
    judged: Bool[np.ndarray, " genes"],
    purity: float,
) -> float:
    if not observed.any():
        return float("nan")
    called = np.flatnonzero(observed)
    called = called[np.argsort(order[called])]
    depth, hits = np.cumsum(judged[called]), np.cumsum((right & judged)[called])
    pure = (depth > 0) & (np.divide(hits, depth, out=np.zeros(len(depth)), where=depth > 0) >= purity)
    return float(depth[pure].max() / len(called)) if pure.any() else 0.0


def _directed(change: Table) -> Mask:
    return ~np.isnan(change) & (change != 0)


def _last(values: Table) -> Table:
    return np.where(np.isnan(values), np.inf, values)


def shared(
    predicted: Bool[np.ndarray, "targets genes"], observed: Bool[np.ndarray, "targets genes"]
) -> Float[np.ndarray, " targets"]:
    """Return shared calls over all calls of either side; 1 where neither side calls any gene."""
    both, either = (predicted & observed).sum(axis=1), (predicted | observed).sum(axis=1)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)
