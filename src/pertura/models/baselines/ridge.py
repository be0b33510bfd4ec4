"""Ridge: the effect is a linear function of what is known of the perturbed gene."""

import numpy as np
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.embedding import Embedding
from pertura.models.baselines.left_out_genes import best_penalty
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, train_mean


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Ridge(DeltaRule):
    """Ridge regression of the train deltas on the vectors of the perturbed genes (the sum of two for a pair).

    Solved by its kernel: delta(f) = y + k(f) (K + penalty I)^-1 (Y - y), with y the train mean and K the inner products
    of the centred vectors, divided by their mean square length. A train condition with a gene that has no vector counts
    as average: it takes part in y alone. Without any knowledge of a gene, and with a large penalty, the answer thus is
    the train mean.

    The penalty is counted in units of a typical perturbation and means the same for every prior: 1 gives noise and
    signal equal weight. Without one given, the train conditions choose it: what predicts best the conditions of a train
    gene when that gene is left out. So each prior has the penalty it deserves.
    """

    components: int = 10
    penalty: float | None = None
    with_expression: bool = False
    """Beside a prior, also training PCA; see `Embedding.learnt`."""

    def learn(self, training: Training) -> Memory:
        """Return the centred vectors of the train conditions and their weights in the answer."""
        embedding = Embedding.learnt(training, self.components, with_expression=self.with_expression)
        usable = np.flatnonzero(embedding.covers(training.bulk.conditions))
        if not len(usable):
            return training.memory(arrays=embedding.arrays, labels=embedding.labels)
        vectors = np.asarray([embedding.of(training.bulk.conditions[i]) for i in usable])
        centre, changes = vectors.mean(axis=0), training.deltas - training.train_mean
        centred = vectors - centre
        length = float(np.sqrt((centred**2).sum(axis=1).mean()))
        scaled = centred / length if length > 0 else centred
        everywhere = np.zeros((len(changes), scaled.shape[1]))
        everywhere[usable] = scaled
        kernel, penalty = everywhere @ everywhere.T, self.penalty
        if penalty is None:
            penalty = best_penalty(kernel, changes, training.bulk.conditions)
        weights = np.linalg.solve(kernel + penalty * np.eye(len(kernel)), changes)[usable]
        scalars = {"length": np.asarray([length]), "penalty": np.asarray([penalty])}
        arrays = {"vectors": scaled, "centre": centre, "weights": weights, **scalars}
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
            return Delta(memory.train_mean, note=embedding.incomplete(condition))
        vector = (embedding.of(condition) - memory.arrays["centre"]) / length
        change = (memory.arrays["vectors"] @ vector) @ memory.arrays["weights"]
        return Delta(memory.train_mean + change, note=embedding.incomplete(condition))
