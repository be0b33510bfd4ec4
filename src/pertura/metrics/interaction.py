"""How much of what two perturbations do only together was predicted?"""

import numpy as np
from jaxtyping import Float

Table = Float[np.ndarray, "conditions genes"]
Values = Float[np.ndarray, " conditions"]


def additivity_residual(predicted: Table, observed: Table, additive: Table, noise: Table) -> Values:
    """Return the share of a pair's departure from additivity that is predicted; NaN rows of `additive` give NaN.

    1 - |predicted - observed|^2 / (|additive - observed|^2 - noise), all changes from control in log expression.
    `additive` is the sum of the observed changes of both singles; `noise` the variance that it has because few cells
    were seen of them: without it a smoother sum would seem to know of interactions. 0 for an exact sum, 1 for the
    observed change; NaN where no departure is left.
    """
    departure = (np.square(additive - observed) - noise).sum(axis=1)
    error = np.square(predicted - observed).sum(axis=1)
    known = np.isfinite(departure) & (departure > 0)
    return 1.0 - np.divide(error, departure, out=np.full(len(error), np.nan), where=known)
