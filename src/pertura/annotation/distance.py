"""How far a cell lies from the cells that were learnt from: what is far away is of no known type."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

NEIGHBOURS = 10
BLOCK = 1024

Space = Float32[np.ndarray, "cells width"]
Known = Float32[np.ndarray, "known width"]


@dataclass(frozen=True, eq=False)
class Nearest:
    """Distances to the nearest known cells, nearest first, and which they are."""

    distances: Float[np.ndarray, "cells near"]
    places: Int[np.ndarray, "cells near"]


def nearest(space: Space, known: Known, count: int) -> Nearest:
    """Return the `count` nearest known cells of each cell (all where there are fewer), by Euclidean distance."""
    most = min(count, len(known))
    squares = (known.astype(np.float64) ** 2).sum(axis=1)
    distances, places = np.empty((len(space), most)), np.empty((len(space), most), dtype=np.int64)
    for start in range(0, len(space), BLOCK):
        block = space[start : start + BLOCK].astype(np.float64)
        gaps = (block**2).sum(axis=1)[:, None] + squares - 2 * block @ known.T.astype(np.float64)
        chosen = np.argpartition(gaps, most - 1, axis=1)[:, :most] if most < len(known) else np.argsort(gaps, axis=1)
        near = np.take_along_axis(gaps, chosen, axis=1)
        order = np.argsort(near, axis=1, kind="stable")
        distances[start : start + BLOCK] = np.sqrt(np.maximum(np.take_along_axis(near, order, axis=1), 0))
        places[start : start + BLOCK] = np.take_along_axis(chosen, order, axis=1)
    return Nearest(distances, places)


def mean_distance(space: Space, known: Known) -> Float[np.ndarray, " cells"]:
    """Return the mean distance of each cell to its ten nearest known cells; NaN for a cell without a place."""
    lost = ~np.isfinite(space).all(axis=1)
    found = nearest(np.where(lost[:, None], np.float32(0), space), known, NEIGHBOURS).distances.mean(axis=1)
    return np.where(lost, np.nan, found)


def quantile(distances: Float[np.ndarray, " cells"], share: float) -> float:
    """Return the distance that `share` of the valid cells do not exceed; infinity where there are none."""
    finite = distances[np.isfinite(distances)]
    return float(np.quantile(finite, share)) if len(finite) else float("inf")
