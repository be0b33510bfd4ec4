"""What the comparison knows of a strategy: it is fitted to train cells, and then answers of any cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from pertura.annotation.view import View
from pertura.core.expression import Rows

Places = Int[np.ndarray, " _"]
Arrays = dict[str, Shaped[np.ndarray, "..."]]


@dataclass(frozen=True, eq=False)
class Answer:
    """Logits of the classes and the place of each cell in the strategy's space; NaN places for cells it cannot read."""

    logits: Float[np.ndarray, "cells classes"]
    space: Float32[np.ndarray, "cells width"]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a strategy learns from: cells, the class of each, which are train and which valid, how many classes."""

    view: View
    codes: Int[np.ndarray, " cells"]
    train: Places
    valid: Places
    classes: int
    seed: int
    key: str = ""

    def whole(self) -> "Lesson":
        """Return the lesson with its valid cells among the train cells, for a strategy that selects nothing."""
        every = np.concatenate([self.train, self.valid])
        order = np.argsort(self.view.ids[every].astype(str), kind="stable")
        none = np.empty(0, dtype=np.int64)
        return Lesson(self.view, self.codes, every[order], none, self.classes, self.seed, self.key)


@runtime_checkable
class Fitted(Protocol):
    """A strategy after fitting."""

    @property
    def trainable_parameters(self) -> int:
        """Numbers that were fitted to labels."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the fit."""
        ...

    def answer(self, view: View, rows: Rows) -> Answer:
        """Return what the strategy makes of some cells; a cell's answer does not depend on the others."""
        ...

    def stored(self) -> tuple[dict[str, Any], Arrays]:
        """Return everything that `restored` needs, as plain values and as arrays."""
        ...


@runtime_checkable
class Strategy(Protocol):
    """One way of labelling cells, with its options."""

    @property
    def name(self) -> str:
        """Its row in tables."""
        ...

    @property
    def selects(self) -> bool:
        """Whether valid cells decide something of the fit, as when to stop; if not, they are learnt from as well."""
        ...

    def fit(self, lesson: Lesson) -> Fitted:
        """Return the strategy fitted to the train cells of a lesson."""
        ...

    def restored(self, facts: Mapping[str, Any], arrays: Arrays) -> Fitted:
        """Return what `Fitted.stored` described."""
        ...
