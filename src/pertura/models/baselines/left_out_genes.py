"""How strongly to shrink a kernel regression, judged on genes that it was not shown."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from pertura.core.perturbation import Condition

PENALTIES = tuple(float(10.0 ** (step / 2)) for step in range(-6, 9))
"""From almost none, 0.001, to almost the mean of train, 10,000; in units of the mean diagonal of the kernel."""
USUAL = 1.0
Block = Int[np.ndarray, " _"]


def best_penalty(
    kernel: Float[np.ndarray, "conditions conditions"],
    changes: Float[np.ndarray, "conditions genes"],
    conditions: Sequence[Condition],
) -> float:
    """Return the penalty of the smallest squared error on left-out genes, of equal ones the largest.

    `kernel` is that of centred vectors. `USUAL` where no gene can be left out, because one is in every condition.
    """
    blocks = [one for one in gene_blocks(conditions) if len(one) < len(conditions)]
    if not blocks:
        return USUAL
    errors = [left_out_error(kernel, changes, blocks, penalty) for penalty in PENALTIES]
    return max(penalty for penalty, error in zip(PENALTIES, errors) if error <= min(errors))


def gene_blocks(conditions: Sequence[Condition]) -> list[Block]:
    """Return for each perturbed gene the positions of the conditions that perturb it, genes sorted.

    Leaving out conditions one by one would leave a gene's other pairs, or the same gene in another context, in train:
    what a vector says of a gene that was never perturbed would not be asked.
    """
    genes = sorted({gene for one in conditions for gene in one.genes})
    return [np.flatnonzero([gene in one.genes for one in conditions]) for gene in genes]


def left_out_error(
    kernel: Float[np.ndarray, "conditions conditions"],
    changes: Float[np.ndarray, "conditions genes"],
    blocks: Sequence[Block],
    penalty: float,
) -> float:
    """Return the mean over blocks of the squared error per condition of fits that did not see the block.

    With H = 11'/n + K (K + penalty I)^-1, the smoother of ridge regression with a free mean, and R = (I - H) Y, a fit
    without the conditions B leaves (I - H_BB)^-1 R_B there, exactly (Cook & Weisberg 1982, 2.2); nothing is refitted.
    """
    size = len(kernel)
    smoother = np.full((size, size), 1.0 / size)
    smoother += np.linalg.solve(kernel + penalty * np.eye(size), kernel)
    rest = np.eye(size) - smoother
    residuals = rest @ (changes @ changes.T) @ rest.T  # only inner products over genes are needed
    errors = []
    for block in blocks:
        square = np.ix_(block, block)
        inverse = np.linalg.inv(rest[square])
        errors.append(np.trace(inverse @ residuals[square] @ inverse.T) / len(block))
    return float(np.mean(errors))
