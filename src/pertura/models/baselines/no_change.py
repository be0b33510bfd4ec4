"""No change: a perturbed cell looks like a control cell."""

import numpy as np
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NoChange(DeltaRule):
    """Delta zero for every condition."""

    def learn(self, training: Training) -> Memory:
        """Return a memory that is used for nothing."""
        return training.memory()

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return zeros."""
        return Delta(np.zeros(len(memory.genes)))
