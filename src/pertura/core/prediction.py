"""A model's cells for each condition, with where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Scale
from pertura.core.perturbation import Condition, Mode


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a prediction: enough to make it again, and to refuse comparing what cannot be compared."""

    model: str
    modes: tuple[Mode, ...] = ()
    scale: Scale | None = None
    checkpoint: str = ""
    split: str = ""
    seed: int = 0
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted cells for each condition, on `genes`.

    `cells[condition]` is a cells x genes array, perhaps read only when asked for. A single row is a mean profile; the
    emitters of `pertura.prediction` turn it into cells. `fallbacks` names each condition that the model could not
    represent, with what it answered instead and why.
    """

    genes: tuple[str, ...]
    cells: Mapping[Condition, Float[np.ndarray, "cells genes"]]
    provenance: Provenance
    fallbacks: Mapping[Condition, str] = field(default_factory=dict)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The predicted conditions, sorted."""
        return tuple(sorted(self.cells))

    def mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Return the mean of a condition's predicted cells, in float64; NaN where there are none."""
        rows = np.asarray(self.cells[condition], dtype=np.float64)
        return rows.mean(axis=0) if len(rows) else np.full(rows.shape[1], np.nan)
