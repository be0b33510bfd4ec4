"""Differential expression of many groups of cells against one reference."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.expression import Expression


@dataclass(frozen=True, eq=False)
class DifferentialExpression:
    """The two-sided Mann-Whitney test of every target against the reference, and the change, gene by gene.

    `statistic` is U of the target. `log2_fold_change` and `percent_change` compare `target_mean` with `reference_mean`.
    `fdr` is p corrected by Benjamini and Hochberg within each target.
    """

    target_mean: Float[np.ndarray, "targets genes"]
    reference_mean: Float[np.ndarray, " genes"]
    log2_fold_change: Float[np.ndarray, "targets genes"]
    percent_change: Float[np.ndarray, "targets genes"]
    p_value: Float[np.ndarray, "targets genes"]
    statistic: Float[np.ndarray, "targets genes"]
    fdr: Float[np.ndarray, "targets genes"]
    target_counts: Int[np.ndarray, " targets"]
    reference_count: int


def differential_expression(
    expression: Expression, codes: Int[np.ndarray, " cells"], targets: int, **options: object
) -> DifferentialExpression:
    """Return the tests of groups 0..targets-1 against the reference (code `targets`); other codes are left out."""
    raise NotImplementedError
