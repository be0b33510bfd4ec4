"""Which cells of a file are read, and why the others are left out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool

from pertura.core.errors import BadDataError, UsageError
from pertura.data.columns import Column, counted
from pertura.data.conventions import DOSE_COLUMNS, Flags, Reading, nearest
from pertura.data.labels import genes_of, label_column

SHOWN = 5


@dataclass(frozen=True, eq=False)
class Kept:
    """Which cells are read, and what is said of the others."""

    cells: Bool[np.ndarray, " cells"]
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> bool:
        """No cell is left out."""
        return bool(self.cells.all())


def kept(obs: pd.DataFrame, reading: Reading) -> Kept:
    """Return the cells that `reading` keeps: without excluded labels, genes named twice, and unusual doses."""
    labels = label_column(obs, reading)
    out = {
        "excluded": set(reading.excluded) & set(labels.values),
        "with one gene twice": _named_twice(labels, reading),
    }
    keep, notes = np.ones(len(obs), dtype=bool), []
    for why, values in out.items():
        lost = keep & labels.taken(values)
        if values:
            notes.append(_left_out(int(lost.sum()), f"{counted(len(values), 'label')} {why}", sorted(values)))
        keep &= ~lost
    if reading.dose_column:
        lost = keep & _other_doses(obs, labels, reading)
        if lost.any():
            said = f"another dose than {reading.dose} in obs[{reading.dose_column!r}]"
            notes.append(_left_out(int(lost.sum()), said, sorted(_values(labels, lost))))
        keep &= ~lost
    if not keep.any():
        raise BadDataError("no cell is left", place="obs", remedy="exclude fewer labels")
    return Kept(keep, tuple(notes))


def _left_out(cells: int, why: str, labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:SHOWN]) + (f" and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else "")
    return f"left out: {counted(cells, 'cell')}, {why} ({shown})"


def _named_twice(labels: Column, reading: Reading) -> set[str]:
    if reading.repeated_genes == "once":
        return set()
    named = {value: genes_of(value, reading) for value in labels.values if value not in reading.excluded}
    return {value for value, genes in named.items() if len(set(genes)) < len(genes)}


def _values(labels: Column, cells: Bool[np.ndarray, " cells"]) -> set[str]:
    return {labels.values[code] for code in np.unique(labels.codes[cells])}


# ---- doses


def doses_of(value: str) -> tuple[float, ...] | None:
    """Return the doses in a value such as `1`, `0.5+1`; None where it is no dose."""
    try:
        return tuple(float(part) for part in re.split(r"[+_;,]", value))
    except ValueError:
        return None


def dose_column(obs: pd.DataFrame, perturbed: Bool[np.ndarray, " cells"], flags: Flags) -> tuple[str, str, str]:
    """Return the column of doses, the dose that is kept and the evidence; empty where doses do not differ.

    With several doses the cells at the commonest are kept, the larger dose where two are as common; nothing is pooled
    unless asked.
    """
    for name in DOSE_COLUMNS:
        if name not in obs.columns:
            continue
        column = Column.of(obs, name, "--doses", empty="")
        doses = [doses_of(value) for value in column.values]
        here = [code for code in np.unique(column.codes[perturbed]) if doses[code] is not None]
        distinct = sorted({dose for code in here for dose in doses[code] or ()})
        if len(distinct) < 2:
            continue
        counts = {dose: _cells_at(dose, doses, column, perturbed) for dose in distinct}
        listed = ", ".join(f"{dose:g} ({cells:,} cells)" for dose, cells in counts.items())
        if flags.doses == "pool":
            return "", "", f"obs[{name!r}] holds several doses, pooled as asked: {listed}"
        usual = max(distinct, key=lambda dose: (counts[dose], dose))
        said = f"obs[{name!r}] holds several doses: {listed}; only {usual:g} is kept (--doses pool takes all as one)"
        return name, f"{usual:g}", said
    return "", "", ""


def _cells_at(
    dose: float,
    doses: Sequence[tuple[float, ...] | None],
    column: Column,
    perturbed: Bool[np.ndarray, " cells"],
) -> int:
    codes = [code for code, one in enumerate(doses) if one is not None and set(one) == {dose}]
    return int((perturbed & np.isin(column.codes, codes)).sum())


def _other_doses(obs: pd.DataFrame, labels: Column, reading: Reading) -> Bool[np.ndarray, " cells"]:
    column = Column.of(obs, reading.dose_column, "--doses", empty="")
    usual = float(reading.dose)
    other = [value for value in column.values if set(doses_of(value) or (usual,)) != {usual}]
    perturbed = labels.taken([value for value in labels.values if genes_of(value, reading)])
    return column.taken(other) & perturbed


# ---- labels that were named


def excluded_labels(labels: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """Return the labels that a user asked to leave out; one that no cell has raises `UsageError`."""
    absent = [label for label in asked if label not in labels]
    if absent:
        raise UsageError(f"--exclude {absent[0]!r}: no cell is labelled so{nearest(absent[0], labels)}")
    return tuple(dict.fromkeys(asked))


def labels_naming(names: Mapping[str, Sequence[str]], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the labels whose genes include one of the wanted names."""
    chosen = set(wanted)
    return tuple(label for label, held in names.items() if chosen & set(held))
