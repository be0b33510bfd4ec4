"""Random screens in cell-eval's form, its own answers on them, and its files compared with ours cell by cell."""

import csv
import io
import os
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from pertura.core.expression import as_expression
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.cell_eval_files import write_files
from pertura.evaluation.compatible.profile import Options
from pertura.evaluation.compatible.table import COMPATIBLE

CONTROL = "non-targeting"
REFERENCE = Path(__file__).parents[1] / "reference" / "cell_eval" / "screens"
EXACT = ("overlap", "precision", "nsig", "discrimination", "recall", "direction", "count")


def labelled(cells, name="cells"):
    """AnnData with labels in obs `target_gene` as `Labelled`."""
    labels, codes = np.unique(cells.obs["target_gene"].to_numpy(str), return_inverse=True)
    ids = cells.obs_names.to_numpy(str)
    matrix = as_expression(cells.X)
    return Labelled(matrix, tuple(cells.var_names), ids, tuple(map(str, labels)), codes.astype(np.int64), CONTROL, name)


def judged(predicted, observed, preset="cell-eval-0.8", **options):
    """What pertura makes of two AnnData or `Labelled`."""
    sides = [
        one if isinstance(one, Labelled) else labelled(one, name)
        for one, name in ((predicted, "predicted"), (observed, "observed"))
    ]
    return COMPATIBLE[preset].judge(*sides, Options(**{"threads": 1} | options))


def random_counts(seed, *, perturbations=10, cells=30, genes=150, controls=90, effect=1.0):
    """Counts and labels of an observed and a predicted screen, cells shuffled: `[(counts, labels), ...], genes`."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(0.5, 1, genes) + 1e-3
    names = [f"G{i:04d}" for i in rng.choice(genes, perturbations, replace=False)]
    changes = [np.where(rng.random(genes) < 0.15, rng.normal(0, effect, genes), 0) for _ in names]
    sides = []
    for share, noise in ((1.0, 0.0), (0.6, 0.1)):
        blocks, labels = [_draw(rng, base, controls)], [CONTROL] * controls
        for name, change in zip(names, changes, strict=True):
            size = max(2, int(rng.normal(cells, cells * 0.2)))
            blocks.append(_draw(rng, base * np.exp(share * change + noise * rng.normal(size=genes)), size))
            labels += [name] * size
        order = rng.permutation(len(labels))
        sides.append((np.vstack(blocks)[order], np.asarray(labels)[order]))
    return sides, [f"G{i:04d}" for i in range(genes)]


def _draw(rng, mean, size):
    depth = rng.lognormal(np.log(800), 0.3, size)
    spread = rng.gamma(3, 1 / 3, (size, len(mean)))
    return rng.poisson(spread * np.outer(depth, mean / mean.sum())).astype(np.float32)


def logged(counts):
    """log1p of counts per ten thousand."""
    return np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4).astype(np.float32)


def annotated(values, labels, genes):
    """AnnData as cell-eval takes it."""
    obs = pd.DataFrame({"target_gene": pd.Categorical(labels)}, index=[f"c{i}" for i in range(len(labels))])
    return ad.AnnData(X=values, obs=obs, var=pd.DataFrame(index=genes))


def random_pair(seed, change=lambda values, labels, rng: values, **sizes):
    """A predicted and an observed AnnData of logarithms; `change` alters the predicted values."""
    (observed, predicted), genes = random_counts(seed, **sizes)
    values = change(logged(predicted[0]), predicted[1], np.random.default_rng(seed))
    return annotated(values, predicted[1], genes), annotated(logged(observed[0]), observed[1], genes)


def peer_files(predicted, observed, folder, profile="full", skip=None):
    """What cell-eval itself writes of two AnnData, which it may change."""
    os.environ["TQDM_DISABLE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cell_eval import MetricsEvaluator

        evaluator = MetricsEvaluator(
            adata_pred=predicted.copy(),
            adata_real=observed.copy(),
            control_pert=CONTROL,
            pert_col="target_gene",
            num_threads=1,
            outdir=str(folder),
            skip_de=profile == "pds",
        )
        evaluator.compute(profile=profile, skip_metrics=skip)
    return folder


def own_files(predicted, observed, folder, preset="cell-eval-0.8", **options):
    """The files that pertura writes of the same."""
    result = judged(predicted, observed, preset, **options)
    genes = predicted.genes if isinstance(predicted, Labelled) else list(predicted.var_names)
    write_files(result, genes, folder)
    return result


def differences(own, other, without=()):
    """Cells in which results.csv and agg_results.csv of two folders differ: counts at all, other numbers by 1e-6.

    Columns named in `without` are not looked at in the second folder.
    """
    found = []
    for name in ("results.csv", "agg_results.csv"):
        mine, theirs = table(own / name), table(other / name, without)
        assert mine[0] == theirs[0]
        assert [row[0] for row in mine] == [row[0] for row in theirs]
        for row, expected in zip(mine[1:], theirs[1:], strict=True):
            cells = zip(mine[0], row, expected, strict=True)
            found += [(name, row[0], *cell) for cell in cells if not agree(*cell)]
    return found


def table(path, without=()):
    rows = list(csv.reader(io.StringIO(path.read_text())))
    kept = [place for place, column in enumerate(rows[0]) if column not in without]
    return [[row[place] for place in kept] for row in rows]


def agree(column, one, other):
    if one == other:
        return True
    if "" in (one, other) or "NaN" in (one, other):
        return False
    exact = any(part in column for part in EXACT)
    return abs(float(one) - float(other)) <= (1e-12 if exact else 1e-6)


def table_agrees(own, other, rows=None):
    """Assert that two tables of differential expression have the same rows, and numbers as exact as asked."""
    mine, theirs = pd.read_csv(own, nrows=rows), pd.read_csv(other, nrows=rows)
    assert list(mine) == list(theirs)
    for column in ("target", "feature", "target_membership", "ref_membership"):
        assert (mine[column] == theirs[column]).all(), column
    np.testing.assert_array_equal(mine["statistic"], theirs["statistic"])
    for column in ("p_value", "fdr"):
        np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-9, atol=0)
    for column in ("target_mean", "ref_mean", "log2_fold_change", "percent_change"):
        np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-6)
