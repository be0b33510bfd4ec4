"""Do a predicted and an observed file speak of the same genes and labels?"""

import numpy as np
from jaxtyping import Int

from pertura.core.errors import BadDataError
from pertura.data.labelled import Labelled

NAMED = 5
"""So many labels or genes are named in a message; the rest is counted."""


def same_genes(predicted: Labelled, observed: Labelled) -> None:
    """Raise where the two sides do not have the same genes in the same order, or another name for control."""
    if predicted.control != observed.control:
        raise BadDataError(
            f"control is {predicted.control!r} in {predicted.name}, {observed.control!r} in the observed"
        )
    if predicted.genes == observed.genes:
        return
    missing = [one for one in observed.genes if one not in set(predicted.genes)]
    further = [one for one in predicted.genes if one not in set(observed.genes)]
    if missing or further:
        problem = f"other genes than {observed.name}: lacks {listed(missing)}; has besides {listed(further)}"
    else:
        problem = f"the genes of {observed.name} in another order"
    raise BadDataError(problem, file=predicted.name, remedy="give both sides the same genes in the same order")


def present(cells: Labelled) -> tuple[str, ...]:
    """Return the labels that have cells, sorted, without control."""
    return tuple(one for one in cells.targets if len(cells.rows_of(one)))


def shared(predicted: Labelled, observed: Labelled) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels both sides have cells of, and warnings that name the labels of one side only."""
    of_predicted, of_observed = present(predicted), present(observed)
    both = tuple(one for one in of_predicted if one in set(of_observed))
    warnings = []
    for name, more, less in (("observed", of_observed, of_predicted), ("predicted", of_predicted, of_observed)):
        alone = [one for one in more if one not in set(less)]
        if alone:
            warnings.append(f"{name} only, not judged: {listed(alone)}")
    if not both:
        raise BadDataError("no label is both predicted and observed", remedy="compare how the labels are spelled")
    return both, tuple(warnings)


def same_labels(predicted: Labelled, observed: Labelled) -> tuple[str, ...]:
    """Return the labels that have cells; raise where one side has a label that the other lacks."""
    labels, warnings = shared(predicted, observed)
    if warnings:
        raise BadDataError("; ".join(warnings), remedy="both sides need cells of the same labels")
    return labels


def control_rows(cells: Labelled) -> Int[np.ndarray, " cells"]:
    """Return the rows of control cells; raise where there are none."""
    rows = cells.rows_of(cells.control)
    if not len(rows):
        raise BadDataError(f"no cell is labelled {cells.control!r}", file=cells.name, remedy="name control: --control")
    return rows


def listed(names: list[str]) -> str:
    """Return how many names there are, and the first of them."""
    if not names:
        return "none"
    more = ", ..." if len(names) > NAMED else ""
    return f"{len(names):,} ({', '.join(names[:NAMED])}{more})"
