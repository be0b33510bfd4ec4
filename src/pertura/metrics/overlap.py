"""Do two ranked lists of genes share their tops?"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Int

NOWHERE = np.iinfo(np.int64).max


def ranks_among(values: Float[np.ndarray, " genes"], among: Bool[np.ndarray, " genes"]) -> Int[np.ndarray, " genes"]:
    """Return the place of each gene among the marked ones by descending value, 0 first; others get `NOWHERE`.

    Equal values keep the order of genes.
    """
    places = np.full(len(values), NOWHERE)
    marked = np.flatnonzero(among)
    order = marked[np.argsort(-values[marked], kind="stable")]
    places[order] = np.arange(len(order))
    return places


def shared_tops(
    first: Int[np.ndarray, " genes"], second: Int[np.ndarray, " genes"], depths: Iterable[int]
) -> list[float]:
    """Return for each depth k the share of the first k genes of one list that are among the first k of the other.

    Both lists come from `ranks_among`. A list may be shorter than k, which then cannot be shared whole. 0 for k = 0.
    """
    reached = np.sort(np.maximum(first, second))
    return [int(np.searchsorted(reached, depth)) / depth if depth else 0.0 for depth in depths]
