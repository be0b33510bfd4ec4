"""The types everything else speaks in. Needs numpy and scipy, no file format and no torch.

Names are looked up on first use, so that the command line can have the errors without the arrays.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pertura.core.cells import Cells, Scale
    from pertura.core.errors import PerturaError
    from pertura.core.expression import Expression
    from pertura.core.model import PerturbationModel
    from pertura.core.perturbation import Condition, Mode, Perturbation, Target
    from pertura.core.prediction import Prediction, Provenance
    from pertura.core.scope import Scope
    from pertura.core.split import ControlPartition, Outline, Split

__all__ = [
    "Cells",
    "Condition",
    "ControlPartition",
    "Expression",
    "Mode",
    "Outline",
    "PerturaError",
    "Perturbation",
    "PerturbationModel",
    "Prediction",
    "Provenance",
    "Scale",
    "Scope",
    "Split",
    "Target",
]

_HOMES = {
    "cells": ("Cells", "Scale"),
    "errors": ("PerturaError",),
    "expression": ("Expression",),
    "model": ("PerturbationModel",),
    "perturbation": ("Condition", "Mode", "Perturbation", "Target"),
    "prediction": ("Prediction", "Provenance"),
    "scope": ("Scope",),
    "split": ("ControlPartition", "Outline", "Split"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"pertura.core.{home}"), name)
    raise AttributeError(f"module 'pertura.core' has no attribute {name!r}")
