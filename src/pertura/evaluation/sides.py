"""Both sides of a judgement, in the three forms that metrics take them: means, called genes, distances of cells."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.metrics.distance import Spreads
from pertura.metrics.significant import Called

Values = Float[np.ndarray, " conditions"]
Means = Float[np.ndarray, "conditions genes"]
Kept = Bool[np.ndarray, " genes"]


@dataclass(frozen=True, eq=False)
class Sides:
    """Predicted and observed means, row for row, each with its own control mean.

    The two control means come from disjoint cells. `contexts` are codes; `kept` marks the genes that no judged
    perturbation targets, for metrics that must not reward knowing the target. `importance` weighs the genes of each
    condition (rows sum to one). `additive` is the change that a pair would have if its singles' changes added up, and
    `additive_noise` the variance of that sum; NaN rows where this cannot be said. `weights` is how often each
    condition counts in a value of the whole screen.
    """

    predicted: Means
    observed: Means
    predicted_controls: Means
    observed_controls: Means
    contexts: Int[np.ndarray, " conditions"]
    kept: Kept
    importance: Means
    additive: Means
    additive_noise: Means
    weights: Values

    @cached_property
    def predicted_delta(self) -> Means:
        """Predicted change from the model-side controls."""
        return self.predicted - self.predicted_controls

    @cached_property
    def observed_delta(self) -> Means:
        """Observed change from the judge-side controls."""
        return self.observed - self.observed_controls

    @cached_property
    def predicted_specific(self) -> Means:
        """Predicted change less the mean predicted change of the context."""
        return self._specific(self.predicted_delta)

    @cached_property
    def observed_specific(self) -> Means:
        """Observed change less the mean observed change of the context."""
        return self._specific(self.observed_delta)

    def _specific(self, deltas: Means) -> Means:
        """What rounding leaves of equal changes is no difference; an unknown condition is left out of the mean."""
        gap = np.full_like(deltas, np.nan)
        known = ~np.isnan(deltas).any(axis=1)
        for context in np.unique(self.contexts[known]):
            mine = known & (self.contexts == context)
            gap[mine] = deltas[mine] - deltas[mine].mean(axis=0)
        size = np.sqrt(np.einsum("cg,cg->c", deltas, deltas) / deltas.shape[1])
        gap[np.abs(gap) <= 1e-12 * size[:, None]] = 0.0
        return gap

    @cached_property
    def without_targets(self) -> "Sides":
        """Return the same on the genes that no judged perturbation targets."""
        if self.kept.all():
            return self
        kept = self.kept
        importance = self.importance[:, kept]
        total = importance.sum(axis=1, keepdims=True)
        return replace(
            self,
            **{name: getattr(self, name)[:, kept] for name in _BY_GENE},
            importance=np.divide(importance, total, out=np.full_like(importance, np.nan), where=total > 0),
            kept=kept[kept],
        )


_BY_GENE = ("predicted", "observed", "predicted_controls", "observed_controls", "additive", "additive_noise")


@dataclass(frozen=True, eq=False)
class CallSides:
    """Genes that rank tests call on either side: predicted cells and observed cells, each against its own controls.

    `bare` is the predicted side on the genes that no judged perturbation targets, marked in `kept`.
    """

    predicted: Called
    bare: Called
    observed: Int[np.ndarray, "conditions genes"]
    kept: Kept

    @cached_property
    def without_targets(self) -> "CallSides":
        """Return the same on the genes that no judged perturbation targets; the FDR stays that of the whole panel."""
        return CallSides(self.bare, self.bare, self.observed[:, self.kept], self.kept[self.kept])


@dataclass(frozen=True, eq=False)
class CellSides:
    """Mean distances and mean kernel values of pairs of cells: predicted (first), observed (second), and across."""

    distances: Spreads
    kernels: Spreads
