"""The bar that every network has to clear: logistic regression on principal components, and on all genes."""

import hashlib
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, Float32, Int
from threadpoolctl import threadpool_limits

from pertura.annotation.strategy import Answer, Arrays, Lesson
from pertura.annotation.view import View
from pertura.core.expression import BLOCK_CELLS, Rows

COMPONENTS = 32
MOST_VALUES = 400_000_000
"""Values of the train cells that are held in memory; with more, the genes that vary most are taken."""
MOST_STEPS = 1000
SMALL_PRODUCTS = 1_000_000_000
"""Multiplications below which a second thread costs more than it does."""

MOST_KEPT = 4
_KEPT: "WeakKeyDictionary[View, dict[tuple[str, int, int], Components]]" = WeakKeyDictionary()

Weighting = Literal["none", "balanced"]


@dataclass(frozen=True, eq=False)
class Readout:
    """A fitted logistic regression: logits of the classes that train cells had, minus infinity for the others."""

    weights: Float[np.ndarray, "classes features"]
    bias: Float[np.ndarray, " classes"]
    converged: bool = True

    @property
    def parameters(self) -> int:
        """Numbers that were fitted; a class without train cells has none."""
        return int(np.isfinite(self.bias).sum()) * (self.weights.shape[1] + 1)

    def logits(self, features: Float[np.ndarray, "cells features"]) -> Float[np.ndarray, "cells classes"]:
        """Return the logits of each cell."""
        return features.astype(np.float64) @ self.weights.T + self.bias


def threads_for(products: int) -> AbstractContextManager[object]:
    """Small products on one thread: hundreds of them in turn, and more threads only wait for one another."""
    return threadpool_limits(1, "blas") if products < SMALL_PRODUCTS else nullcontext()


def logistic(
    features: Float[np.ndarray, "cells features"],
    codes: Int[np.ndarray, " cells"],
    classes: int,
    *,
    strength: float,
    weighting: Weighting = "none",
) -> Readout:
    """Return a multinomial logistic regression; `strength` is the inverse of its L2 penalty (scikit-learn's C)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    there = np.unique(codes)
    weights, bias = np.zeros((classes, features.shape[1])), np.full(classes, -np.inf)
    if len(there) == 1:
        bias[there] = 0.0
        return Readout(weights, bias)
    if features.shape[1] > len(features):
        # The penalty does not change under rotation: the optimum lies in the span of the train cells.
        with threads_for(features.size * len(features)):
            turn = np.linalg.qr(features.T.astype(np.float64))[0]
        inner = logistic(features @ turn, codes, classes, strength=strength, weighting=weighting)
        return Readout(inner.weights @ turn.T, inner.bias, inner.converged)
    balance = "balanced" if weighting == "balanced" else None
    fit = LogisticRegression(C=strength, max_iter=MOST_STEPS, class_weight=balance)
    with warnings.catch_warnings(record=True) as caught, threads_for(features.size * classes):
        warnings.simplefilter("always", ConvergenceWarning)
        fit.fit(features.astype(np.float64), codes)
    whole = np.vstack([-fit.coef_ / 2, fit.coef_ / 2]) if len(there) == 2 else fit.coef_
    level = np.concatenate([-fit.intercept_ / 2, fit.intercept_ / 2]) if len(there) == 2 else fit.intercept_
    weights[there], bias[there] = whole, level
    return Readout(weights, bias, not caught)


@dataclass(frozen=True, eq=False)
class GenePanel:
    """Which genes of the panel a fit uses, and their train means, which stand for genes that were not measured."""

    columns: Int[np.ndarray, " used"]
    means: Float32[np.ndarray, " used"]

    def centred(self, view: View, rows: Rows) -> Float32[np.ndarray, "cells used"]:
        """Return values minus train means; 0 for a gene that was not measured."""
        values = view.panel(rows)[:, self.columns] - self.means
        return np.nan_to_num(values, nan=0.0)


def gene_panel(view: View, rows: Rows) -> GenePanel:
    """Return the genes to learn from: all of them, or those that vary most where memory does not hold all."""
    total, squares = np.zeros(len(view.columns)), np.zeros(len(view.columns))
    for start in range(0, len(rows), BLOCK_CELLS):
        block = view.panel(rows[start : start + BLOCK_CELLS]).astype(np.float64)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    means = total / len(rows)
    most = max(MOST_VALUES // max(len(rows), 1), COMPONENTS)
    columns = np.arange(len(means))
    if most < len(columns):
        columns = np.sort(np.argsort(-(squares / len(rows) - means**2), kind="stable")[:most])
    return GenePanel(columns, means[columns].astype(np.float32))


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of train cells."""

    panel: GenePanel
    axes: Float32[np.ndarray, "components genes"]

    def place(self, view: View, rows: Rows) -> Float32[np.ndarray, "cells components"]:
        """Return the place of each cell on the components."""
        return self.panel.centred(view, rows) @ self.axes.T


def components(view: View, rows: Rows, seed: int, most: int = COMPONENTS) -> Components:
    """Return up to `most` principal components of some cells; several strategies of one fold share them."""
    kept = _KEPT.setdefault(view, {})
    key = (hashlib.sha256(rows.tobytes()).hexdigest(), seed, most)
    if key not in kept:
        if len(kept) >= MOST_KEPT:
            kept.pop(next(iter(kept)))
        kept[key] = _fitted_components(view, rows, seed, most)
    return kept[key]


def _fitted_components(view: View, rows: Rows, seed: int, most: int) -> Components:
    from sklearn.decomposition import PCA

    panel = gene_panel(view, rows)
    values = panel.centred(view, rows)
    count = max(1, min(most, len(rows) - 1, values.shape[1]))
    with warnings.catch_warnings(), threads_for(values.size * count):
        warnings.simplefilter("ignore", RuntimeWarning)  # cells that are all alike have no variance to share out
        fit = PCA(n_components=count, random_state=seed).fit(values)
    return Components(panel, fit.components_.astype(np.float32))


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A fitted linear strategy: components for distances, and a readout from them or from all genes."""

    components: Components
    readout: Readout
    all_genes: bool

    @property
    def trainable_parameters(self) -> int:
        """Weights and biases of the regression."""
        return self.readout.parameters

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the fit."""
        return () if self.readout.converged else (f"the regression did not converge within {MOST_STEPS} steps",)

    def answer(self, view: View, rows: Rows) -> Answer:
        """Return logits and place of some cells."""
        values = self.components.panel.centred(view, rows)
        space = values @ self.components.axes.T
        return Answer(self.readout.logits(values if self.all_genes else space), space)

    def stored(self) -> tuple[dict[str, Any], Arrays]:
        """Return the fit as plain values and arrays."""
        panel, readout = self.components.panel, self.readout
        arrays: Arrays = {"columns": panel.columns, "means": panel.means, "axes": self.components.axes}
        arrays |= {"weights": readout.weights, "bias": readout.bias}
        return {"all_genes": self.all_genes, "converged": readout.converged}, arrays


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Logistic regression on 32 principal components, or on all genes with a strong penalty."""

    all_genes: bool = False
    strength: float | None = None
    weighting: Weighting = "none"
    selects: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """The row in tables."""
        return "logistic_all_genes" if self.all_genes else "pca_logistic_annotation"

    def fit(self, lesson: Lesson) -> LinearFit:
        """Return the regression fitted to the train cells."""
        view, rows = lesson.view, lesson.train
        found = components(view, rows, lesson.seed)
        values = found.panel.centred(view, rows)
        features = values if self.all_genes else values @ found.axes.T
        strength = self.strength or (0.05 if self.all_genes else 1.0)
        readout = logistic(features, lesson.codes[rows], lesson.classes, strength=strength, weighting=self.weighting)
        return LinearFit(found, readout, self.all_genes)

    def restored(self, facts: Mapping[str, Any], arrays: Arrays) -> LinearFit:
        """Return the fit that was stored."""
        found = Components(GenePanel(arrays["columns"], arrays["means"]), arrays["axes"])
        readout = Readout(arrays["weights"], arrays["bias"], bool(facts["converged"]))
        return LinearFit(found, readout, bool(facts["all_genes"]))
