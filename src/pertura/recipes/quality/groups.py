"""The cells that are looked at together: a condition, and each of its guides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from pertura.core.cells import Cells
from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition
from pertura.data.columns import Column
from pertura.data.conventions import GUIDE_COLUMNS, NONE, Reading, nearest
from pertura.data.labels import label_column

Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class Group:
    """Cells of a condition, or of one of its guides; `guide` is empty for the whole condition."""

    condition: Condition
    guide: str
    rows: Rows


@dataclass(frozen=True, eq=False)
class Guides:
    """The guide of each cell, "" where there is none, and where it is known from."""

    names: Shaped[np.ndarray, " cells"] | None
    said: str


def guides_of(obs: pd.DataFrame, reading: Reading | None, cells: Cells, column: str | None) -> Guides:
    """Return the guide of each cell: of the named column, of one that names guides, or of labels that number them."""
    if column == NONE:
        return Guides(None, "guides are not looked at, as asked")
    if column is not None and column not in obs.columns:
        raise UsageError(f"--guide-column {column!r}: obs has no such column{nearest(column, list(obs.columns))}")
    name = column or next((one for one in GUIDE_COLUMNS if one in obs.columns), None)
    if name is not None:
        found = Column.of(obs, name, "--guide-column", empty="")
        return _told(found, cells, f"obs[{name!r}]")
    if reading is not None and reading.guide_separator:
        return _told(label_column(obs, reading), cells, "the labels, which number the guides of a gene")
    return Guides(None, "no column names guides; --guide-column says which does")


def _told(found: Column, cells: Cells, place: str) -> Guides:
    names = np.asarray(found.values, dtype=object)[found.codes]
    perturbed = names[~cells.is_control]
    size, without = len(set(perturbed.tolist()) - {""}), int((perturbed == "").sum())
    more = f"; {without:,} perturbed cells have none" if without else ""
    return Guides(names, f"{size:,} guides of {len(cells.perturbed):,} conditions, from {place}{more}")


def groups_of(cells: Cells, guides: Guides) -> tuple[list[Group], list[Group]]:
    """Return the conditions, and the guides of those that have more than one, both in the order of their names."""
    conditions = [Group(one, "", cells.rows_of(one)) for one in cells.perturbed]
    return conditions, [] if guides.names is None else [
        part for one in conditions for part in _parts(one, guides.names[one.rows])
    ]


def _parts(whole: Group, names: Shaped[np.ndarray, " cells"]) -> Sequence[Group]:
    used = sorted(set(names.tolist()) - {""})
    if len(used) < 2:
        return ()
    return [Group(whole.condition, one, whole.rows[names == one]) for one in used]
