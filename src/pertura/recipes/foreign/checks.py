"""Both sides are looked at before anything is judged: what would make a number wrong is refused, what may is said."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, dense
from pertura.core.seeds import shuffled
from pertura.data.labelled import Labelled

Rows = Int[np.ndarray, " _"]
LOOKED_AT = 300
EQUAL = 1e-3
"""Relative spread below which the totals of cells count as equal."""
FAR = 3.0
"""Totals that differ by more than this factor are not on one scale."""
LOG_BASES = (math.e, 2.0, 10.0)
NAMED = 6


@dataclass(frozen=True, eq=False)
class Side:
    """What is looked at of one side: its values, the cells of each label, and its control cells."""

    name: str
    expression: Expression
    genes: tuple[str, ...]
    ids: Shaped[np.ndarray, " cells"]
    groups: Mapping[str, Rows]
    controls: Rows

    @classmethod
    def of_labelled(cls, cells: Labelled, name: str) -> "Side":
        """Return labelled cells as a side."""
        groups = {one: cells.rows_of(one) for one in cells.targets}
        return cls(name, cells.expression, cells.genes, cells.ids, groups, cells.rows_of(cells.control))

    @classmethod
    def of_cells(cls, cells: Cells, name: str) -> "Side":
        """Return the cells of a screen as a side."""
        groups = {one.label: cells.rows_of(one) for one in cells.perturbed}
        return cls(name, cells.expression, cells.genes, cells.ids, groups, np.flatnonzero(cells.is_control))


def check_sides(predicted: Side, observed: Side, whole: tuple[bool, bool]) -> tuple[str, ...]:
    """Return what a reader must be warned of; raise where the two sides cannot be set beside one another.

    `whole` says for the predicted and the observed side whether all values are whole numbers, that is counts.
    """
    check_genes(predicted.genes, observed.genes, predicted.name)
    check_filled(predicted)
    if whole[0] != whole[1]:
        kinds = ["counts" if one else "lognormalised" for one in whole]
        raise BadDataError(
            f"predicted cells are {kinds[0]}, observed ones {kinds[1]}",
            file=predicted.name,
            remedy="bring both to one scale",
        )
    totals = () if any(whole) else _check_totals(predicted, observed)
    return (*totals, *_few_cells(predicted, "predicted"), *_few_cells(observed, "observed"))


def check_genes(predicted: Sequence[str], observed: Sequence[str], file: object) -> None:
    """Raise where the genes differ, or stand in another order."""
    if tuple(predicted) == tuple(observed):
        return
    ours, theirs = set(observed), set(predicted)
    if ours == theirs:
        raise BadDataError("the genes are not in the order of the observed cells", file=file, remedy="reorder var")
    lacking, further = sorted(ours - theirs), sorted(theirs - ours)
    told = [f"{len(lacking)} are missing (first: {lacking[0]})"] if lacking else []
    told += [f"{len(further)} are not observed (first: {further[0]})"] if further else []
    raise BadDataError(f"of the genes, {' and '.join(told)}", file=file, remedy="predict on the observed panel")


def check_filled(predicted: Side) -> None:
    """Raise where all predicted cells of a label are zero: nobody wrote a prediction there."""
    empty = [label for label, rows in predicted.groups.items() if len(rows) and _all_zero(predicted, rows)]
    if empty:
        raise BadDataError(
            f"all values are zero for {len(empty)} of {len(predicted.groups)} predicted labels ({_some(empty)}): "
            "the prediction is not filled in",
            file=predicted.name,
            remedy="write predicted expression for each of them, or leave them out",
        )


def _all_zero(side: Side, rows: Rows) -> bool:
    """Looks at a few cells first: hardly ever are more needed."""
    return not dense(side.expression.rows(rows[:2])).any() and not dense(side.expression.rows(rows)).any()


def _few_cells(side: Side, what: str) -> tuple[str, ...]:
    if len(side.controls) < 2:
        raise BadDataError(
            f"{len(side.controls)} {what} control cell{'s' * (len(side.controls) != 1)}",
            file=side.name,
            remedy="a control mean and its tests need at least 2",
        )
    single = [label for label, rows in side.groups.items() if len(rows) == 1]
    if not single:
        return ()
    return (f"{len(single)} labels have one {what} cell only, so no test and no spread: {_some(single)}",)


# ---- totals: were both sides normalised over the same genes?


@dataclass(frozen=True, slots=True)
class _Totals:
    """The typical total of a cell before the logarithm, and whether all (different) cells have the same."""

    equal: bool
    typical: float


def _check_totals(predicted: Side, observed: Side) -> tuple[str, ...]:
    ours, theirs = (_totals(side, side.controls) for side in (predicted, observed))
    if ours.equal and theirs.equal and not np.isclose(ours.typical, theirs.typical, rtol=0.02):
        raise _another_scale(
            predicted, f"control cells add up to {ours.typical:,.0f}, observed ones to {_number(theirs)}"
        )
    factor = max(ours.typical, theirs.typical) / max(min(ours.typical, theirs.typical), 1e-12)
    if factor > FAR:
        raise _another_scale(
            predicted,
            f"control cells add up to about {_number(ours)} before the logarithm, observed ones {_number(theirs)}",
        )
    if ours.equal and not theirs.equal:
        raise _another_scale(predicted, f"every control cell adds up to {_number(ours)}, observed ones do not")
    made, measured = (_totals(side, _perturbed(side)) for side in (predicted, observed))
    if made.equal and not measured.equal:
        raise _another_scale(predicted, f"every predicted cell adds up to {_number(made)}, observed ones do not")
    if theirs.equal and not ours.equal:
        return (
            f"every observed control cell adds up to {_number(theirs)} before the logarithm, predicted controls do not "
            f"(typically {_number(ours)}): if they come from a larger panel, no number here means anything",
        )
    return ()


def _another_scale(side: Side, words: str) -> BadDataError:
    return BadDataError(
        f"normalised over other genes than the observed cells: {words}",
        file=side.name,
        remedy="normalise both sides over the same genes and to the same total before choosing a panel",
    )


def _number(totals: _Totals) -> str:
    return f"{totals.typical:,.0f}"


def _perturbed(side: Side) -> Rows:
    return np.concatenate([*side.groups.values(), np.empty(0, dtype=np.int64)])


def _totals(side: Side, rows: Rows) -> _Totals:
    few = rows[shuffled(side.ids[rows], 0, "totals")[:LOOKED_AT]]
    values = dense(side.expression.rows(np.sort(few)))
    sums = {base: _sums(values, base) for base in LOG_BASES}
    typical = float(np.median(sums[LOG_BASES[0]])) if len(values) else 0.0
    # copies of one profile have one total whatever was done to them
    different = len(np.unique(values.round(6), axis=0)) >= 10
    return _Totals(different and any(_same(one) for one in sums.values()), typical)


def _sums(values: Float[np.ndarray, "cells genes"], base: float) -> Float[np.ndarray, " cells"]:
    with np.errstate(over="ignore"):
        return np.expm1(values * np.log(base)).sum(axis=1)


def _same(sums: Float[np.ndarray, " cells"]) -> bool:
    positive = sums[(sums > 0) & np.isfinite(sums)]
    return len(positive) >= 10 and bool(positive.max() / positive.min() - 1 < EQUAL)


def _some(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:NAMED]) + (" and more" if len(names) > NAMED else "")
