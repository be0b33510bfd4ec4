"""Linear: effect = G K P + b (Ahlmann-Eltze, Huber and Anders 2025)."""

import numpy as np
from jaxtyping import Float
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.embedding import Embedding
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, train_mean


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Linear(DeltaRule):
    """Y = G K P + b, with Y the train deltas (genes x conditions), the controls among them as columns of zeros.

    G holds the scores of the genes on the first principal components of the training pseudobulk, a column of P the
    row of G of the perturbed gene (the sum of the rows for a pair, zeros for control), b the row means of Y, and

        K = (G'G + ridge I)^-1 G' (Y - b) P' (P P' + ridge I)^-1.

    Conditions with a gene outside the panel have no column: they are left out of the fit and answered with the train
    mean.
    """

    components: int = 10
    ridge: float = 0.1

    def learn(self, training: Training) -> Memory:
        """Return G, K and b."""
        measured = Training(training.genes, training.bulk)
        embedding = Embedding.learnt(measured, self.components)
        usable = np.flatnonzero(embedding.covers(training.bulk.conditions))
        if not len(usable) or not embedding.table.shape[1]:
            return training.memory(arrays=embedding.arrays, labels=embedding.labels)
        contexts = len(training.controls)
        changes = np.concatenate([training.deltas[usable], np.zeros((contexts, len(training.genes)))]).T
        columns = [embedding.of(training.bulk.conditions[i]) for i in usable]
        perturbed = np.concatenate([columns, np.zeros((contexts, embedding.table.shape[1]))]).T
        centre = changes.mean(axis=1)
        core = self._core(embedding.table, changes - centre[:, None], perturbed)
        return training.memory(arrays={**embedding.arrays, "core": core, "centre": centre}, labels=embedding.labels)

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return G K p + b."""
        embedding = Embedding.kept(memory)
        absent = embedding.without(condition)
        if absent:
            return train_mean(memory, absent)
        if "core" not in memory.arrays:
            return train_mean(memory, "every train perturbation has a gene outside the panel")
        weights = memory.arrays["core"] @ embedding.of(condition)
        return Delta(embedding.table @ weights + memory.arrays["centre"])

    def _core(
        self,
        scores: Float[np.ndarray, "genes width"],
        changes: Float[np.ndarray, "genes conditions"],
        perturbed: Float[np.ndarray, "width conditions"],
    ) -> Float[np.ndarray, "width width"]:
        penalty = self.ridge * np.eye(scores.shape[1])
        projected = np.linalg.solve(scores.T @ scores + penalty, scores.T @ changes) @ perturbed.T
        return np.linalg.solve(perturbed @ perturbed.T + penalty, projected.T).T
