"""Nearest neighbours: similar genes have similar effects."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.embedding import Embedding
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, train_mean

DECIMALS = 9
"""Distances are compared to this many decimals, so that rounding cannot decide between equally near conditions."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NearestNeighbours(DeltaRule):
    """The mean delta of the k train conditions whose vectors are nearest; the vector of a pair is the sum of two.

    Cosine distance by default: it does not ask how long the vectors of a prior are. Among equally near conditions
    those of the same context come first, then the order of the condition names decides.
    """

    neighbours: int = 5
    distance: Literal["cosine", "euclidean"] = "cosine"
    components: int = 10
    with_expression: bool = False
    """Beside a prior, also training PCA; see `Embedding.learnt`."""

    def learn(self, training: Training) -> Memory:
        """Return the deltas of the train conditions that have a vector."""
        embedding = Embedding.learnt(training, self.components, with_expression=self.with_expression)
        usable = embedding.covers(training.bulk.conditions)
        vectors = [embedding.of(training.bulk.conditions[i]) for i in np.flatnonzero(usable)]
        arrays = {**embedding.arrays, "vectors": np.asarray(vectors, dtype=np.float64)}
        return training.memory(keep=usable.tolist(), arrays=arrays, labels=embedding.labels)

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the mean delta of the nearest train conditions."""
        embedding = Embedding.kept(memory)
        absent = embedding.without(condition)
        if absent:
            return train_mean(memory, absent)
        if not memory.conditions:
            return train_mean(memory, f"no train perturbation can be used: each has a gene {embedding.absent}")
        distance = DISTANCES[self.distance](embedding.of(condition), memory.arrays["vectors"])
        away = np.round(distance, DECIMALS)
        order = sorted(
            range(len(away)),
            key=lambda i: (away[i], memory.conditions[i].context != condition.context, memory.conditions[i]),
        )
        mean = memory.deltas[order[: self.neighbours]].mean(axis=0)
        return Delta(mean, note=embedding.incomplete(condition))


def cosine(
    vector: Float[np.ndarray, " width"], others: Float[np.ndarray, "conditions width"]
) -> Float[np.ndarray, " conditions"]:
    """Return 1 - cos of the angle between `vector` and each of the others; 1 where one of them is zero."""
    lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(vector)
    return 1.0 - np.divide(others @ vector, lengths, out=np.zeros(len(others)), where=lengths > 0)


def euclidean(
    vector: Float[np.ndarray, " width"], others: Float[np.ndarray, "conditions width"]
) -> Float[np.ndarray, " conditions"]:
    """Return the distance between `vector` and each of the others, in units of the longest vector."""
    longest = max(float(np.linalg.norm(others, axis=1).max()), float(np.linalg.norm(vector)))
    return np.linalg.norm(others - vector, axis=1) / (longest if longest > 0 else 1.0)


DISTANCES = {"cosine": cosine, "euclidean": euclidean}
