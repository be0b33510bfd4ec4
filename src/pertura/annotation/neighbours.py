"""Labels by the nearest labelled cells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int

from pertura.annotation.distance import nearest
from pertura.annotation.linear import Components, GenePanel, components
from pertura.annotation.strategy import Answer, Arrays, Lesson
from pertura.annotation.view import View
from pertura.core.expression import Rows

NEIGHBOURS = 15
SMOOTHING = 1e-3
"""What a class without a neighbour has, as a share of all neighbours."""
UNDECIDED = 1e-6


@runtime_checkable
class Places(Protocol):
    """Where cells lie in a space that knows nothing of labels."""

    def place(self, view: View, rows: Rows) -> Float32[np.ndarray, "cells width"]:
        """Return the place of each cell; NaN for a cell that has none."""
        ...


def votes(
    distances: Float[np.ndarray, "cells near"], codes: Int[np.ndarray, "cells near"], classes: int
) -> Float[np.ndarray, "cells classes"]:
    """Return the logarithm of each class's share of the neighbours; of equal shares the nearer class comes first."""
    share = np.zeros((len(codes), classes))
    closeness = 1 / (1 + distances)
    for column in range(codes.shape[1]):
        np.add.at(share, (np.arange(len(codes)), codes[:, column]), 1 + UNDECIDED * closeness[:, column])
    return np.log(share / codes.shape[1] + SMOOTHING)


@dataclass(frozen=True, eq=False)
class NeighbourFit:
    """Known cells with their classes, and the space in which they lie."""

    space: Places
    known: Float32[np.ndarray, "known width"]
    codes: Int[np.ndarray, " known"]
    classes: int
    trainable_parameters: int = 0
    notes: tuple[str, ...] = ()

    def answer(self, view: View, rows: Rows) -> Answer:
        """Return logits and place of some cells."""
        space = self.space.place(view, rows)
        found = nearest(np.nan_to_num(space), self.known, NEIGHBOURS)
        return Answer(votes(found.distances, self.codes[found.places], self.classes), space)

    def stored(self) -> tuple[dict[str, Any], Arrays]:
        """Return the fit as plain values and arrays; a frozen network is stored by whoever holds it."""
        arrays: Arrays = {"known": self.known, "codes": self.codes}
        if isinstance(self.space, Components):
            panel = self.space.panel
            arrays |= {"columns": panel.columns, "means": panel.means, "axes": self.space.axes}
        return {"classes": self.classes}, arrays


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The 15 nearest labelled cells vote: on principal components, or in the space of a frozen network."""

    embedding: Places | None = None
    selects: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """The row in tables."""
        return "pca_knn" if self.embedding is None else "scgpt_knn"

    def fit(self, lesson: Lesson) -> NeighbourFit:
        """Return the known cells in their space."""
        space = self.embedding or components(lesson.view, lesson.train, lesson.seed)
        places = space.place(lesson.view, lesson.train)
        there = np.isfinite(places).all(axis=1)
        return NeighbourFit(space, places[there], lesson.codes[lesson.train][there], lesson.classes)

    def restored(self, facts: Mapping[str, Any], arrays: Arrays) -> NeighbourFit:
        """Return the fit that was stored."""
        space = self.embedding
        if space is None:
            space = Components(GenePanel(arrays["columns"], arrays["means"]), arrays["axes"])
        return NeighbourFit(space, arrays["known"], arrays["codes"], int(facts["classes"]))
