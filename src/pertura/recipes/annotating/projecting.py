"""Embeddings on two dimensions, to be looked at."""

import warnings
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from pertura.core.seeds import generator, shuffled

FEWEST_FOR_UMAP = 15
MOST_CELLS = 5000
Vectors: TypeAlias = Float32[np.ndarray, "cells width"]
Places: TypeAlias = Float[np.ndarray, "cells 2"]
Ids: TypeAlias = Shaped[np.ndarray, " cells"]


def shown_rows(ids: Ids, seed: int) -> Int[np.ndarray, " shown"]:
    """Return the cells that are drawn, at most 5,000, chosen by name and in the order of names."""
    rows = shuffled(ids, seed, "drawn cells")[:MOST_CELLS] if len(ids) > MOST_CELLS else np.arange(len(ids))
    return rows[np.argsort(ids[rows].astype(str), kind="stable")]


def projected(vectors: Vectors, how: Literal["umap", "pca"], seed: int) -> tuple[Places, str]:
    """Return two dimensions and what they are: UMAP, or principal components where cells are too few for it.

    A cell without a place stays without one (NaN).
    """
    there = np.isfinite(vectors).all(axis=1)
    places = np.full((len(vectors), 2), np.nan)
    mine = vectors[there].astype(np.float64)
    if how == "umap" and len(mine) >= FEWEST_FOR_UMAP:
        places[there] = _umap(mine, seed)
        return places, "UMAP"
    places[there] = _components(mine)
    few = (
        f"principal components ({len(mine)} cells are too few for a UMAP)" if how == "umap" else "principal components"
    )
    return places, few


def _umap(vectors: Float[np.ndarray, "cells width"], seed: int) -> Places:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library about threads and small data; none concerns the reader
        import umap  # type: ignore[import-untyped]

        state = int(generator(seed, "umap").integers(2**31))
        neighbours = min(15, len(vectors) - 1)
        made = umap.UMAP(n_neighbors=neighbours, min_dist=0.5, random_state=state, n_jobs=1).fit_transform(vectors)
    return np.asarray(made, dtype=np.float64)


def _components(vectors: Float[np.ndarray, "cells width"]) -> Places:
    """The first two principal components; zero where there are fewer."""
    places = np.zeros((len(vectors), 2))
    if len(vectors) < 2:
        return places
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    count = min(2, len(values))
    places[:, :count] = left[:, :count] * values[:count]
    return places
