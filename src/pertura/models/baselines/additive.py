"""Additive: the genes of a pair act independently."""

import numpy as np
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, and_listed, train_mean


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Additive(DeltaRule):
    """The sum of the train deltas of the singles: x_A + x_B - control, as a change.

    A single is taken from the same context, else as its mean over the other contexts. A single that train lacks
    counts as the train mean; where train has none of them, the answer is the train mean itself. Both are named.
    """

    def learn(self, training: Training) -> Memory:
        """Return the train deltas of singles."""
        return training.memory(keep=[one.perturbation.is_single for one in training.bulk.conditions])

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the sum over the perturbed genes."""
        targets = sorted(condition.perturbation.targets)
        found = {one: memory.single(one, condition.context) for one in targets}
        seen = [delta for delta in found.values() if delta is not None]
        missing = and_listed([one.gene for one in targets if found[one] is None])
        if not seen:
            return train_mean(memory, f"{missing}: not a single of train")
        total = np.sum([*seen, *[memory.train_mean] * (len(targets) - len(seen))], axis=0)
        note = f"{missing}: not a single of train: train-mean added in its place" if missing else ""
        return Delta(total, fallback=note)
