"""Observed cells and predictions of them, as AnnData in the State convention, for tests of foreign predictions."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

CONTROL = "non-targeting"
LABELS = ("GENE00", "GENE01", "GENE02", "GENE03", "GENE04")
GENES = 40
PART = 0.25
"""The panel holds this part of what was normalised, so that no cell adds up to the same."""


def screen(labels=LABELS, *, cells=12, controls=30, seed=0, right=1.0, scale="log", contexts=(), whole=False):
    """Cells of each label around an effect, `right` of it; counts per cell are drawn, then normalised to 1e4."""
    rng = np.random.default_rng(seed)
    genes = GENES if whole else int(GENES / PART)
    rates = np.random.default_rng(1).gamma(2.0, 3.0, genes)
    effects = {one: np.random.default_rng(i + 2).normal(0, 0.6, genes) for i, one in enumerate(LABELS)}
    places = contexts or ("",)
    named = [(label, place) for place in places for label in (*labels, CONTROL)]
    rows = [(label, place) for label, place in named for _ in range(controls if label == CONTROL else cells)]
    depth = rng.uniform(0.7, 1.4, len(rows))[:, None]
    means = np.asarray([rates * np.exp(right * effects.get(label, 0.0)) for label, _ in rows])
    counts = rng.poisson(means * depth).astype(np.float64)
    panel = counts[:, :GENES]
    values = panel if scale == "counts" else np.log1p(panel / counts.sum(axis=1, keepdims=True) * 1e4)
    obs = pd.DataFrame(
        {"target_gene": pd.Categorical([label for label, _ in rows])}, index=[f"s{seed}-{i}" for i in range(len(rows))]
    )
    if contexts:
        obs["cell_line"] = pd.Categorical([place for _, place in rows])
    var = pd.DataFrame(index=[f"GENE{i:02d}" for i in range(GENES)])
    return anndata.AnnData(sp.csr_matrix(values.astype(np.float32)), obs=obs, var=var)


def prediction(observed, *, right=0.8, seed=7, dense=False, **options):
    """A prediction that knows part of each effect, with the observed control cells."""
    contexts = tuple(observed.obs["cell_line"].cat.categories) if "cell_line" in observed.obs else ()
    labels = [one for one in observed.obs["target_gene"].cat.categories if one != CONTROL]
    made = screen(labels, right=right, seed=seed, contexts=contexts, **options)
    own = made[(made.obs["target_gene"] != CONTROL).to_numpy()]
    controls = observed[(observed.obs["target_gene"] == CONTROL).to_numpy()]
    both = anndata.concat([own, controls])
    both.obs["target_gene"] = both.obs["target_gene"].astype("category")
    if contexts:
        both.obs["cell_line"] = both.obs["cell_line"].astype("category")
    if dense:
        both.X = both.X.toarray()
    return both


def means_frame(cells):
    """Mean expression, genes x labels."""
    return cells.to_df().groupby(cells.obs["target_gene"].astype(str).to_numpy()).mean().T
