"""Perturbation mean: a perturbation does what it does in other contexts."""

from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, train_mean


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PerturbationMean(DeltaRule):
    """The mean delta of the same perturbation over the other contexts of train."""

    def learn(self, training: Training) -> Memory:
        """Return the train deltas."""
        return training.memory(keep=[True] * len(training.bulk.conditions))

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the mean over other contexts; the train mean where the perturbation was trained on in none."""
        found = memory.elsewhere(condition.perturbation, condition.context)
        if found is None:
            return train_mean(memory, f"{condition.perturbation} is in train in no other context")
        return Delta(found)
