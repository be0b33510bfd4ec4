"""One label for a cluster: what most of its cells were called, and how many of them."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from pertura.annotation.distance import nearest
from pertura.core.seeds import shuffled
from pertura.metrics.agreement import leiden_clusters

MOST_CELLS = 10_000
"""Cells that are clustered; of more, the others join the cluster of the nearest clustered one."""
FEWEST_CELLS = 10
RESOLUTION = 5.0
"""Fine on purpose: a cluster that holds two types has no majority worth the name."""

Codes = Int[np.ndarray, " cells"]
Ids = Shaped[np.ndarray, " cells"]


@dataclass(frozen=True, eq=False)
class Majority:
    """Of each cell: its cluster, the commonest label there, and the share of the cluster's cells that have it."""

    clusters: Codes
    first: Codes
    share: Float[np.ndarray, " cells"]


def majority(clusters: Codes, labels: Codes, classes: int) -> Majority:
    """Return the commonest label of each cell's cluster; of equally common ones the first in the order of classes."""
    names, place = np.unique(clusters, return_inverse=True)
    counts = np.bincount(place * classes + labels, minlength=len(names) * classes).reshape(len(names), classes)
    first = counts.argmax(axis=1)
    share = counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1)
    return Majority(clusters, first[place], share[place])


@dataclass(frozen=True, eq=False)
class Clustering:
    """Clustered cells; `of` gives any cell the cluster of the nearest of them."""

    space: Float32[np.ndarray, "clustered width"]
    clusters: Int[np.ndarray, " clustered"]

    def of(self, space: Float32[np.ndarray, "cells width"]) -> Codes:
        """Return the cluster of each cell."""
        return self.clusters[nearest(np.nan_to_num(space), self.space, 1).places[:, 0]]


def chosen_for_clustering(ids: Ids, seed: int) -> Int[np.ndarray, " chosen"]:
    """Return the rows that are clustered, in the order of their names."""
    rows = np.arange(len(ids))
    if len(ids) > MOST_CELLS:
        rows = shuffled(ids, seed, "clustered cells")[:MOST_CELLS]
    return rows[np.argsort(ids[rows].astype(str), kind="stable")]


def clustering(space: Float32[np.ndarray, "cells width"]) -> Clustering:
    """Return fine Leiden clusters of cells in a space; a handful of cells are one cluster."""
    there = np.isfinite(space).all(axis=1)
    mine = space[there]
    if len(mine) < FEWEST_CELLS:
        known = mine if len(mine) else np.zeros((1, space.shape[1]), dtype=np.float32)
        return Clustering(known, np.zeros(len(known), dtype=np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries about versions to come; none concerns the reader
        words = leiden_clusters(mine, (RESOLUTION,))[0]
    return Clustering(mine, words.astype(np.int64))
