"""Predicted changes of many conditions: means only, a block at a time, no cells in between."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, DivergedError
from pertura.core.model import PerturbationModel
from pertura.core.perturbation import Condition
from pertura.core.scope import Scope
from pertura.core.seeds import shuffled
from pertura.data.pseudobulk import mean_of

BLOCK = 512
MOST_CONTROLS = 2000


@dataclass(frozen=True, eq=False)
class Deltas:
    """Predicted changes from control, and for some conditions why the model could not represent them."""

    values: Float[np.ndarray, "conditions genes"]
    fallbacks: Mapping[Condition, str]


def predicted_deltas(
    model: PerturbationModel, controls: Cells, conditions: Sequence[Condition], *, seed: int
) -> Deltas:
    """Return the change that a model predicts for each condition from the mean of these controls.

    `controls` are of one context, on the panel of the answer. A condition with a gene that the model does not know is
    not asked: its change is zero, and a fallback names the gene. Raises what the model raises, `DivergedError` where
    an answer is not finite, `BadDataError` where it is on other genes.
    """
    unknown = {one: why for one in conditions if (why := _unknown(model, one))}
    asked = [one for one in conditions if one not in unknown]
    values = np.zeros((len(conditions), len(controls.genes)))
    if not asked:
        return Deltas(values, unknown)
    answer = model.predict(controls, asked, seed=seed)
    columns = _columns(answer.genes, controls.genes, answer.provenance.model)
    start = mean_of(controls.expression, np.arange(len(controls)))
    rows = [row for row, one in enumerate(conditions) if one not in unknown]
    values[rows] = np.asarray([answer.mean(one)[columns] for one in asked]) - start
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DivergedError(f"model {answer.provenance.model}: the answer for {conditions[row]} is not finite")
    return Deltas(values, {**unknown, **{one: answer.fallbacks[one] for one in asked if one in answer.fallbacks}})


def blocks_of(conditions: Sequence[Condition], size: int = BLOCK) -> Iterator[Sequence[Condition]]:
    """Yield the conditions, at most `size` at a time."""
    for start in range(0, len(conditions), size):
        yield conditions[start : start + size]


def few_controls(cells: Cells, context: str, genes: Sequence[str], most: int = MOST_CONTROLS) -> Cells:
    """Return at most `most` control cells of a context, chosen and ordered by name, on `genes`."""
    rows = cells.control_rows(context)
    if not len(rows):
        known = ", ".join(name or "(unnamed)" for name in cells.contexts) or "none"
        raise BadDataError(
            f"{cells.name} has no control cells of context {context or '(unnamed)'} (contexts: {known})",
            remedy="a screen starts from control cells: give a file that has some with --controls",
        )
    named = rows[np.argsort(cells.ids[rows].astype(str), kind="stable")]
    if len(named) > most:
        named = named[np.sort(shuffled(cells.ids[named], 0, "controls of a screen")[:most])]
    return cells.take(named).with_genes(genes)


def in_memory(controls: Cells) -> Float[np.ndarray, "cells genes"]:
    """Return the controls as a dense array in float64."""
    return controls.dense(np.arange(len(controls)))


def _unknown(model: PerturbationModel, condition: Condition) -> str:
    scope = getattr(model, "scope", None)
    genes = sorted(scope.unknown(condition.genes)) if isinstance(scope, Scope) else []
    return f"{', '.join(genes)}: unknown to panel, vocabulary and prior" if genes else ""


def _columns(answered: Sequence[str], wanted: Sequence[str], name: str) -> list[int]:
    place = {gene: column for column, gene in enumerate(answered)}
    lacking = [gene for gene in wanted if gene not in place]
    if lacking:
        raise BadDataError(f"model {name} answers without {len(lacking)} genes of the panel (first: {lacking[0]})")
    return [place[gene] for gene in wanted]
