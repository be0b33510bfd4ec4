"""Do two sets of profiles fall into the same clusters?"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

if TYPE_CHECKING:
    from anndata import AnnData

NEIGHBOURS = 15
OBSERVED_RESOLUTION = 1.0
PREDICTED_RESOLUTIONS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)
Profiles = Float[np.ndarray, "profiles genes"]
Clusters = Shaped[np.ndarray, " profiles"]


def clustering_agreement(predicted: Profiles, observed: Profiles) -> float:
    """Return the best adjusted mutual information of clusters of predicted with clusters of observed profiles.

    Leiden clusters of a graph of 15 nearest neighbours; the observed side at resolution 1, the predicted one at seven
    resolutions of which the best counts, at least 0. Row i of both is the same perturbation. What the libraries refuse
    (fewer than three profiles) raises as they raise.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about small data and versions to come; none concerns the reader
        own = leiden_clusters(observed, (OBSERVED_RESOLUTION,))[0]
        others = leiden_clusters(predicted, PREDICTED_RESOLUTIONS)
    return max(0.0, *(float(adjusted_mutual_info_score(own, other)) for other in others))


def leiden_clusters(profiles: Profiles, resolutions: Sequence[float]) -> list[Clusters]:
    """Return the cluster of each profile at each resolution, from one graph of nearest neighbours."""
    import scanpy

    cells = _as_cells(profiles)
    scanpy.pp.neighbors(cells, n_neighbors=min(NEIGHBOURS, cells.n_obs - 1), use_rep="X")
    found = []
    for resolution in resolutions:
        scanpy.tl.leiden(cells, resolution=resolution, key_added="cluster", flavor="igraph", n_iterations=2)
        found.append(cells.obs["cluster"].to_numpy())
    return found


def _as_cells(profiles: Profiles) -> "AnnData":
    from anndata import AnnData

    return AnnData(X=np.asarray(profiles, dtype=np.float64))
