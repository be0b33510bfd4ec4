"""The published filter of knock-downs: conditions and cells in which the target is still expressed are left out.

cell-load, `filter_on_target_knockdown`: a perturbation stays where the mean of its target, over the mean in control
cells, is below 0.30; of its cells those stay in which that ratio is below 0.50; at least 30 must. What is no gene of
the panel goes. There the control cells of all contexts are pooled and labels name one gene; here controls are those
of the context, and of several genes each must be knocked down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import Expression, column_sums
from pertura.core.perturbation import Condition, Mode
from pertura.data.preparation.passes import Block, Rows, Told, blocks_of, nobody

KEPT = "knocked down"
NOT_MEASURED = "target not measured"
NOT_SEEN = "target not expressed in the controls"
EXPRESSED = "target still expressed"
FEW = "too few knocked-down cells"
RAISED = (Mode.ACTIVATION, Mode.OVEREXPRESSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnockDown:
    """The thresholds of the filter, all exclusive but the number of cells, and the values that are compared.

    `stored`: the values as the file holds them, as cell-load does it. `normalised`: counts over size factor, so that
    depth is no knock-down and a ratio is one of expression also where the file holds logarithms.
    """

    residual: float = 0.30
    cell_residual: float = 0.50
    cells: int = 30
    values: Literal["stored", "normalised"] = "stored"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the filter found of a condition: target -> share of the control's expression that is left, and its fate."""

    residuals: Mapping[str, float]
    cells: int
    kept: int
    fate: str


@dataclass(frozen=True, eq=False)
class Filtered:
    """Which cells stay (all controls do), and what was found of each condition."""

    keep: Bool[np.ndarray, " cells"]
    outcomes: Mapping[Condition, Outcome]

    def of_fate(self, fate: str) -> tuple[Condition, ...]:
        """Return the conditions of one fate, sorted."""
        return tuple(sorted(one for one, outcome in self.outcomes.items() if outcome.fate == fate))


def knocked_down(
    cells: Cells,
    values: Expression,
    controls: Mapping[str, Rows],
    rule: KnockDown,
    told: Told = nobody,
) -> Filtered:
    """Return what the filter keeps, in one pass over `values` (the cells' expression on the scale to compare on).

    `controls`: context -> rows whose mean is compared with. Raises where genes were activated, or where nothing stays.
    """
    raised = cells.modes & set(RAISED)
    if raised:
        raise UsageError(f"--knockdown-filter: {', '.join(sorted(raised))} raises its target; nothing is knocked down")
    found = _Found.of(cells, values, controls, told)
    keep = cells.is_control.copy()
    outcomes: dict[Condition, Outcome] = {}
    for condition in cells.perturbed:
        rows = cells.rows_of(condition)
        own, outcome = _judged(found, condition, rows, rule)
        keep[rows] = own
        outcomes[condition] = outcome
    if not any(outcome.fate == KEPT for outcome in outcomes.values()):
        fates = sorted({outcome.fate for outcome in outcomes.values()})
        raise BadDataError(
            f"{cells.name}: the knock-down filter leaves no perturbed cell ({'; '.join(fates)})",
            remedy="prepare without --knockdown-filter, or give a file in which the targets are measured",
        )
    return Filtered(keep, outcomes)


@dataclass(frozen=True, eq=False)
class _Found:
    """Expression of the targets: in each perturbed cell its own, in the controls of each context all of them."""

    place: Mapping[str, int]
    own: Float[np.ndarray, "cells most"]
    control: Mapping[str, Float[np.ndarray, " targets"]]

    @classmethod
    def of(cls, cells: Cells, values: Expression, controls: Mapping[str, Rows], told: Told) -> "_Found":
        column = {gene: i for i, gene in enumerate(cells.genes)}
        targets = sorted({gene for one in cells.perturbed for gene in one.genes if gene in column})
        place = {gene: i for i, gene in enumerate(targets)}
        columns = np.asarray([column[gene] for gene in targets], dtype=np.int64)
        wanted = _own_places(cells, place)
        own = np.full((len(cells), wanted.shape[1]), np.nan)
        sums = {context: np.zeros(len(targets)) for context in controls}
        side = {context: np.isin(np.arange(len(cells)), rows) for context, rows in controls.items()}
        for rows in blocks_of(np.arange(len(cells)), len(cells.genes), "looking for knock-downs", told):
            block = values.rows(rows)[:, columns]
            for context, total in sums.items():
                total += column_sums(block[side[context][rows]])
            own[rows] = _picked(block, wanted[cells.codes[rows]])
        means = {context: total / max(len(controls[context]), 1) for context, total in sums.items()}
        return cls(place, own, means)


def _own_places(cells: Cells, place: Mapping[str, int]) -> Int[np.ndarray, "conditions most"]:
    """For each condition the places of its genes among the measured targets; -1 for none."""
    most = max((len(one.genes) for one in cells.conditions), default=1)
    wanted = np.full((len(cells.conditions), max(most, 1)), -1, dtype=np.int64)
    for i, one in enumerate(cells.conditions):
        for j, gene in enumerate(one.genes):
            wanted[i, j] = place.get(gene, -1)
    return wanted


def _picked(block: Block, wanted: Int[np.ndarray, "cells most"]) -> Float[np.ndarray, "cells most"]:
    picked = np.full(wanted.shape, np.nan)
    rows, slots = np.nonzero(wanted >= 0)
    if len(rows):
        picked[rows, slots] = np.asarray(block[rows, wanted[rows, slots]], dtype=np.float64).reshape(-1)
    return picked


def _judged(
    found: _Found, condition: Condition, rows: Rows, rule: KnockDown
) -> tuple[Bool[np.ndarray, " cells"], Outcome]:
    nothing = np.zeros(len(rows), dtype=bool)
    if any(gene not in found.place for gene in condition.genes):
        return nothing, Outcome({}, len(rows), 0, NOT_MEASURED)
    means = found.control.get(condition.context)
    control = np.asarray([0.0 if means is None else means[found.place[gene]] for gene in condition.genes])
    if np.isclose(control, 0.0).any():
        return nothing, Outcome({}, len(rows), 0, NOT_SEEN)
    ratios = found.own[rows, : len(condition.genes)] / control
    left = ratios.mean(axis=0)
    residuals = {gene: float(share) for gene, share in zip(condition.genes, left)}
    if not (left < rule.residual).all():
        return nothing, Outcome(residuals, len(rows), 0, EXPRESSED)
    keep = (ratios < rule.cell_residual).all(axis=1)
    if keep.sum() < rule.cells:
        return nothing, Outcome(residuals, len(rows), 0, FEW)
    return keep, Outcome(residuals, len(rows), int(keep.sum()), KEPT)
