"""The contract every model keeps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction
from pertura.core.split import Split


@runtime_checkable
class PerturbationModel(Protocol):
    """Learns from the visible cells of a split, answers what control cells become under conditions.

    The constructor takes a frozen config and does no work. What a model cannot represent it names, with the reason, in
    `Prediction.fallbacks` or by raising; it never answers with something else silently.
    """

    def fit(self, cells: Cells, split: Split, *, seed: int) -> None:
        """Learn from `split.visible(cells)`; nothing else of `cells` may have any influence."""
        ...

    def predict(self, controls: Cells, conditions: Sequence[Condition], *, seed: int) -> Prediction:
        """Return predicted cells (or one mean profile) for each condition from control cells of its context."""
        ...

    def save(self, folder: Path) -> None:
        """Write the fitted model; nothing in it is executable."""
        ...

    @classmethod
    def load(cls, folder: Path) -> "PerturbationModel":
        """Return the model that `save` wrote; it gives the same answers."""
        ...
