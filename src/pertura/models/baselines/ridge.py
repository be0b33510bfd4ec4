"""Ridge: the effect is a linear function of what is known of the perturbed gene."""

import numpy as np
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.embedding import Embedding
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, train_mean


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Ridge(DeltaRule):
    """Ridge regression of the train deltas on the vectors of the perturbed genes (the sum of two for a pair).

    Solved by its kernel: delta(f) = y + k(f) (K + penalty I)^-1 (Y - y), with y the mean train delta and K the inner
    products of the centred vectors, divided by their mean square length. The penalty is thus counted in units of a
    typical perturbation and means the same for every prior: 1 gives noise and signal equal weight.
    """

    components: int = 10
    penalty: float = 1.0

    def learn(self, training: Training) -> Memory:
        """Return the centred vectors of the train conditions and their weights in the answer."""
        embedding = Embedding.learnt(training, self.components)
        usable = np.flatnonzero(embedding.covers(training.bulk.conditions))
        if not len(usable):
            return training.memory(arrays=embedding.arrays, labels=embedding.labels)
        vectors = np.asarray([embedding.of(training.bulk.conditions[i]) for i in usable])
        centre, mean = vectors.mean(axis=0), training.deltas[usable].mean(axis=0)
        centred = vectors - centre
        length = float(np.sqrt((centred**2).sum(axis=1).mean()))
        scaled = centred / length if length > 0 else centred
        kernel = scaled @ scaled.T + self.penalty * np.eye(len(usable))
        weights = np.linalg.solve(kernel, training.deltas[usable] - mean)
        arrays = {"vectors": scaled, "centre": centre, "weights": weights, "mean": mean, "length": np.asarray([length])}
        return training.memory(arrays={**embedding.arrays, **arrays}, labels=embedding.labels)

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the regression's answer at the vector of the condition."""
        embedding = Embedding.kept(memory)
        absent = embedding.without(condition)
        if absent:
            return train_mean(memory, absent)
        if "weights" not in memory.arrays:
            return train_mean(memory, f"no train perturbation can be used: each has a gene {embedding.absent}")
        length = float(memory.arrays["length"][0])
        if length == 0:
            return Delta(memory.arrays["mean"])
        vector = (embedding.of(condition) - memory.arrays["centre"]) / length
        return Delta(memory.arrays["mean"] + (memory.arrays["vectors"] @ vector) @ memory.arrays["weights"])
