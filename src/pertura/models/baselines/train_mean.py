"""Train mean: every perturbation does what the train perturbations do on average."""

from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainMean(DeltaRule):
    """The mean of the train deltas over all contexts, each condition with equal weight."""

    def learn(self, training: Training) -> Memory:
        """Return the mean of the train deltas."""
        return training.memory()

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return that mean, whatever is perturbed."""
        return Delta(memory.train_mean)
