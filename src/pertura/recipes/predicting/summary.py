"""What a model says of every gene under one perturbation, ranked: means, fold changes, and what stands beside them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from pertura.core.cells import Scale

LN2 = float(np.log(2.0))
Vector = Float[np.ndarray, " genes"]


@dataclass(frozen=True, eq=False)
class GeneSummary:
    """Means of each gene: of the controls, as predicted, and where known by the linear baseline and as observed.

    `deviation` is the standard deviation over the members (seeds) of a model; None with one. `negative` counts
    predicted values below zero, which were set to zero.
    """

    perturbation: str
    model: str
    targets: tuple[str, ...]
    genes: tuple[str, ...]
    scale: Scale
    control: Vector
    predicted: Vector
    deviation: Vector | None = None
    members: int = 1
    baseline_name: str = ""
    baseline: Vector | None = None
    baseline_stand_in: bool = False
    observed: Vector | None = None
    stand_in: str = ""
    negative: int = 0

    @property
    def change(self) -> Vector:
        """Predicted mean minus control mean."""
        return self.predicted - self.control

    def fold(self, mean: Vector) -> Vector:
        """Return the log2 fold change of some means over the controls.

        On counts log2((mean + 1) / (control + 1)); on logarithms of 1 + x the difference of the means over log 2, which
        is the same of 1 + the geometric means, and scanpy's formula with a pseudocount of 1.
        """
        if self.scale.kind == "counts":
            return np.log2((np.maximum(mean, 0.0) + 1) / (self.control + 1))
        return (mean - self.control) * float(np.log(self.scale.log_base or math.e)) / LN2

    @property
    def order(self) -> Int[np.ndarray, " genes"]:
        """The genes by the size of the predicted change, largest first; equal ones by name."""
        by_name = np.argsort(np.asarray(self.genes), kind="stable")
        return by_name[np.argsort(-np.abs(self.change[by_name]), kind="stable")]


def gene_table(summaries: Iterable[GeneSummary]) -> pd.DataFrame:
    """Return a row for each perturbation, model and gene, the largest predicted changes first.

    Columns: perturbation, model, rank, gene, is_target, control_mean, predicted_mean, change, log2_fold_change,
    sd_over_members, linear_baseline (its name), linear_baseline_mean, linear_baseline_log2_fold_change,
    linear_baseline_is_stand_in, observed_mean, observed_log2_fold_change, stand_in. What is not known is empty.
    """
    parts = [_rows(one) for one in summaries]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _rows(one: GeneSummary) -> pd.DataFrame:
    nothing = np.full(len(one.genes), np.nan)
    baseline = nothing if one.baseline is None else one.baseline
    observed = nothing if one.observed is None else one.observed
    frame = pd.DataFrame(
        {
            "gene": one.genes,
            "is_target": [gene in one.targets for gene in one.genes],
            "control_mean": one.control,
            "predicted_mean": one.predicted,
            "change": one.change,
            "log2_fold_change": one.fold(one.predicted),
            "sd_over_members": nothing if one.deviation is None else one.deviation,
            "linear_baseline": one.baseline_name,
            "linear_baseline_mean": baseline,
            "linear_baseline_log2_fold_change": one.fold(baseline),
            "linear_baseline_is_stand_in": one.baseline_stand_in,
            "observed_mean": observed,
            "observed_log2_fold_change": one.fold(observed),
            "stand_in": one.stand_in,
        }
    ).iloc[one.order]
    frame.insert(0, "rank", np.arange(1, len(frame) + 1))
    frame.insert(0, "model", one.model)
    frame.insert(0, "perturbation", one.perturbation)
    return frame
