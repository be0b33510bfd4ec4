"""Target only: nothing changes but the perturbed gene."""

import numpy as np
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, and_listed, train_mean


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TargetOnly(DeltaRule):
    """The perturbed gene's own column changes, by what measured train targets of that mode change on average.

    A target outside the panel changes nothing that is measured: the answer is then no change, which is what this
    baseline means to say, so it is noted but is no fallback. Where train has no measured target of the mode, the size
    of the change is not known and the answer is the train mean.
    """

    def learn(self, training: Training) -> Memory:
        """Return the mean change of measured targets for each mode."""
        column = {gene: place for place, gene in enumerate(training.genes)}
        changes: dict[str, list[float]] = {}
        for condition, delta in zip(training.bulk.conditions, training.deltas, strict=True):
            for target in sorted(condition.perturbation.targets):
                if target.gene in column:
                    changes.setdefault(str(target.mode), []).append(float(delta[column[target.gene]]))
        sizes = np.asarray([np.mean(changes[mode]) for mode in sorted(changes)], dtype=np.float64)
        return training.memory(arrays={"sizes": sizes}, labels={"sizes": tuple(sorted(changes))})

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the change of the condition's own genes."""
        size = dict(zip(memory.labels["sizes"], memory.arrays["sizes"], strict=True))
        values = np.zeros(len(memory.genes))
        outside = []
        for target in sorted(condition.perturbation.targets):
            if str(target.mode) not in size:
                return train_mean(memory, f"train has no measured target of mode {target.mode}")
            if target.gene in memory.column:
                values[memory.column[target.gene]] = size[str(target.mode)]
            else:
                outside.append(target.gene)
        note = f"{and_listed(outside)} outside the panel: no change there" if outside else ""
        return Delta(values, note=note)
