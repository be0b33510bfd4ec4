"""Small screens of counts on either side, as another evaluator sees them: labelled cells."""

import dataclasses

import numpy as np
import scipy.sparse as sp

from pertura.core.expression import as_expression
from pertura.data.labelled import Labelled

CONTROL = "non-targeting"


def labelled(matrix, labels, genes, name="cells", control=CONTROL):
    every = tuple(sorted(set(labels)))
    codes = np.searchsorted(every, labels).astype(np.int64)
    ids = np.asarray([f"{name}-{i:05d}" for i in range(len(labels))])
    return Labelled(as_expression(matrix), tuple(genes), ids, every, codes, control, name)


def counts_of(rng, labels, sizes, profiles, depth):
    """Gamma-Poisson cells of each label around its profile, in a shuffled order."""
    names, rows = [], []
    for label in labels:
        size = sizes[label]
        spread = rng.gamma(5.0, 0.2, (size, len(profiles[label])))
        mean = spread * profiles[label] * rng.lognormal(np.log(depth), 0.4, (size, 1))
        rows.append(rng.poisson(mean))
        names += [label] * size
    order = rng.permutation(len(names))
    return np.vstack(rows)[order].astype(np.float32), np.asarray(names)[order]


def count_screen(seed, *, genes=90, targets=9, cells=24, controls=50, depth=800, effect=0.9, accuracy=0.6, sparse=True):
    """Return predicted and observed cells; two labels name no gene, and a prediction has its own control cells."""
    rng = np.random.default_rng(seed)
    names = [f"G{i:03d}" for i in range(genes)]
    base = rng.gamma(0.6, 1.0, genes) + 1e-4
    labels = [*names[: targets - 2], "unmeasured-1", "unmeasured-2"]
    effects = {one: rng.normal(0, effect, genes) * (rng.random(genes) < 0.3) for one in labels}
    sides = []
    for side, strength in (("predicted", accuracy), ("observed", 1.0)):
        profiles = {one: base * np.exp(strength * effects.get(one, 0.0)) for one in [*labels, CONTROL]}
        profiles = {one: profile / profile.sum() for one, profile in profiles.items()}
        sizes = {one: int(rng.integers(min(2, cells), 2 * cells)) for one in labels} | {CONTROL: controls}
        matrix, of_cells = counts_of(rng, [*labels, CONTROL], sizes, profiles, depth)
        sides.append(labelled(sp.csr_matrix(matrix) if sparse else matrix, of_cells, names, side))
    return tuple(sides)


def dense_matrix(cells):
    block = cells.expression.rows(np.arange(len(cells.codes)))
    return np.asarray(block if isinstance(block, np.ndarray) else block.toarray())


def with_values(cells, matrix):
    """The same cells with other values, stored as before."""
    sparse = not isinstance(cells.expression.rows(np.arange(1)), np.ndarray)
    return labelled(sp.csr_matrix(matrix) if sparse else matrix, label_of(cells), cells.genes, cells.name)


def label_of(cells):
    return np.asarray(cells.labels)[cells.codes]


def as_anndata(cells):
    import anndata as ad
    import pandas as pd

    matrix = cells.expression.rows(np.arange(len(cells.codes)))
    obs = pd.DataFrame({"target": label_of(cells).astype(str)}, index=cells.ids.astype(str))
    return ad.AnnData(matrix, obs=obs, var=pd.DataFrame(index=list(cells.genes)))


def rules():
    """The configuration of cell-eval2 for the rules of 2026, on processors."""
    from cell_eval2 import EvalConfig

    config = EvalConfig.from_preset("vcc2026")
    return dataclasses.replace(config, num_threads=1, de=dataclasses.replace(config.de, backend="pdex"))
