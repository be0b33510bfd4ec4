"""Matching mean: a pair lies midway between its singles (Systema, Vinas Torne et al. 2025)."""

import numpy as np
from pydantic.dataclasses import dataclass

from pertura.core.perturbation import Condition
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, and_listed, train_mean


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MatchingMean(DeltaRule):
    """The mean profile of those singles of a pair that are in train, as a change from control.

    A single is taken from the same context, else as its mean over the other contexts. For a single itself the answer
    is its mean over the other contexts. Where train has nothing of the kind the answer is the train mean.
    """

    def learn(self, training: Training) -> Memory:
        """Return the train deltas of singles."""
        return training.memory(keep=[one.perturbation.is_single for one in training.bulk.conditions])

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the mean over the perturbed genes that train has as singles."""
        if condition.perturbation.is_single:
            found = memory.elsewhere(condition.perturbation, condition.context)
            if found is None:
                return train_mean(memory, f"{condition.perturbation} is in train in no other context")
            return Delta(found)
        singles = {one.gene: memory.single(one, condition.context) for one in sorted(condition.perturbation.targets)}
        seen = {gene: delta for gene, delta in singles.items() if delta is not None}
        missing = and_listed([gene for gene in singles if gene not in seen])
        if not seen:
            return train_mean(memory, f"{missing}: not a single of train")
        note = f"{missing}: not a single of train: answered with {and_listed(list(seen))} alone" if missing else ""
        return Delta(np.mean(list(seen.values()), axis=0), fallback=note)
