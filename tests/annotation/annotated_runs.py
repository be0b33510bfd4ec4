"""Quick annotations and their labels, for tests that compare them."""

import warnings

import numpy as np

from pertura import annotate
from pertura.recipes.annotating.querying import labelled_anndata
from pertura.recipes.annotating.wish import Wish
from pertura.recipes.foreign.in_python import PerturaWarning

QUICK = {"folds": 3, "repeats": 1, "unseen": False, "projection": "pca", "cached": False}
CLUSTERS = "cell_type"
"""Clusters that are given spare the libraries that would find them; one slow test finds its own."""


def quietly(*args, **flags):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerturaWarning)
        return annotate(*args, **{**QUICK, **flags})


def told(*args, **flags):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PerturaWarning)
        made = annotate(*args, **{**QUICK, **flags})
    return made, [str(one.message) for one in caught]


def same_labels(one, other):
    assert one["pertura_raw_label"].tolist() == other.loc[one.index, "pertura_raw_label"].tolist()
    for name in ("pertura_probability", "pertura_distance"):
        np.testing.assert_allclose(one[name], other.loc[one.index, name], rtol=1e-3, atol=1e-5)


def labels(made, adata):
    found, _ = labelled_anndata(adata, made.annotator, Wish("cell_type", clusters=CLUSTERS), lambda *_: None)
    return found.columns.set_index(adata.obs_names)
