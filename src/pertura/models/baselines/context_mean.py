"""Context mean: a perturbation does what perturbations of its own context do on average."""

import numpy as np
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, train_mean


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ContextMean(DeltaRule):
    """The mean of the train deltas of the same context."""

    def learn(self, training: Training) -> Memory:
        """Return the mean delta of each train context."""
        everything = training.memory(keep=[True] * len(training.bulk.conditions))
        contexts = tuple(sorted({one.context for one in training.bulk.conditions}))
        means = np.asarray([everything.of_context(one) for one in contexts])
        return training.memory(arrays={"means": means}, labels={"means": contexts})

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the mean of the condition's context; the train mean where nothing of it was trained on."""
        contexts = memory.labels["means"]
        if condition.context not in contexts:
            return train_mean(memory, f"context {condition.context or 'without a name'} has no train conditions")
        return Delta(memory.arrays["means"][contexts.index(condition.context)])
