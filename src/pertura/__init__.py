"""Predict what a transcriptome does when genes are perturbed, and say how far to trust it.

The names below are looked up on first use; `import pertura` itself loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pertura.core.cells import Cells
    from pertura.core.model import PerturbationModel
    from pertura.core.perturbation import Condition, Perturbation
    from pertura.core.prediction import Prediction, Provenance
    from pertura.core.split import Split
    from pertura.data.anndata_io import cells_from_anndata, open_cells
    from pertura.data.pseudobulk import training_pseudobulk
    from pertura.data.whole_file import to_anndata
    from pertura.evaluation.observed import observe
    from pertura.recipes.annotating.in_python import Annotation, annotate
    from pertura.recipes.foreign.in_python import Evaluation, PerturaWarning, evaluate
    from pertura.recipes.predicting.in_python import Predicted, predict
    from pertura.recipes.screening_run.in_python import Screening, screen

__version__ = "0.1.0"

_HOMES = {
    "core.cells": ("Cells",),
    "core.model": ("PerturbationModel",),
    "core.perturbation": ("Condition", "Perturbation"),
    "core.prediction": ("Prediction", "Provenance"),
    "core.split": ("Split",),
    "data.anndata_io": ("cells_from_anndata", "open_cells"),
    "data.pseudobulk": ("training_pseudobulk",),
    "data.whole_file": ("to_anndata",),
    "evaluation.observed": ("observe",),
    "recipes.annotating.in_python": ("Annotation", "annotate"),
    "recipes.foreign.in_python": ("Evaluation", "PerturaWarning", "evaluate"),
    "recipes.screening_run.in_python": ("Screening", "screen"),
    "recipes.predicting.in_python": ("Predicted", "predict"),
}

__all__ = [
    "Annotation",
    "Cells",
    "Condition",
    "Evaluation",
    "PerturaWarning",
    "Perturbation",
    "PerturbationModel",
    "Predicted",
    "Prediction",
    "Provenance",
    "Screening",
    "Split",
    "annotate",
    "cells_from_anndata",
    "evaluate",
    "observe",
    "open_cells",
    "predict",
    "screen",
    "to_anndata",
    "training_pseudobulk",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"pertura.{home}"), name)
    raise AttributeError(f"module 'pertura' has no attribute {name!r}")
