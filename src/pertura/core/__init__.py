"""The types everything else speaks in. Needs numpy and scipy, no file format and no torch."""

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
