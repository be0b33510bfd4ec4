"""Which columns of obs say what was perturbed in a cell, and which labels mean nothing was."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from pertura.core.errors import BadDataError, UsageError
from pertura.data.columns import Column, yes_or_no
from pertura.data.conventions import CONTROL_COLUMNS, CONVENTIONS, NONE, Convention, Flags, known
from pertura.data.labels import TOGETHER, joined_targets, marked_controls

CONTROL_HINTS = ("ctrl", "control", "non-targ", "non_targ", "nontarg", "neg", "safe", "scramb", "ntc", "nt", "aavs1")
MARKED = "control"
"""Label of cells that only a column of yes and no marks as controls."""
PARTS = re.compile(r"[+_|;,&]")
GENES_OF_A_CELL = re.compile(r"gene_\d+")


@dataclass(frozen=True, eq=False)
class Found:
    """What may say the perturbation of each cell: labels, which of them are controls, and other columns that agree.

    `targets` are the columns that the labels were joined from, if several; `marker` is a column of yes and no that
    alone marks the controls; `left` are labels whose cells a user wants left out.
    """

    column: Column
    controls: tuple[str, ...]
    targets: tuple[str, ...] = ()
    marker: str = ""
    left: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.place} ({len(self.column.values)} labels, control {' and '.join(self.controls)})"

    @property
    def place(self) -> str:
        """The name of the column, or of the columns."""
        return " and ".join(self.targets) if self.targets else self.column.name

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels that are not control and were not asked to be left out."""
        out = set(self.left)
        return tuple(value for value in self.column.values if value not in out and not self.names_nothing(value))

    @cached_property
    def is_control(self) -> Bool[np.ndarray, " cells"]:
        """Which cells are unperturbed."""
        return self.column.taken([value for value in self.column.values if self.names_nothing(value)])

    def names_nothing(self, value: str) -> bool:
        """The label is a control label, or holds nothing else."""
        if value in self.controls:
            return True
        return all(part in self.controls for part in value.split(TOGETHER))

    @cached_property
    def _meaning(self) -> tuple[list[frozenset[str]], Int[np.ndarray, " cells"]]:
        """What each label names, whatever marks stand between, and what each cell has of it."""
        named = [
            frozenset() if self.names_nothing(value) else frozenset(PARTS.split(value)) - frozenset(self.controls)
            for value in self.column.values
        ]
        distinct = sorted(set(named), key=sorted)
        position = {one: i for i, one in enumerate(distinct)}
        return distinct, np.asarray([position[one] for one in named], dtype=np.int64)[self.column.codes]

    def means_as(self, other: "Found") -> bool:
        """Both name the same genes in every cell."""
        (mine, my_codes), (its, its_codes) = self._meaning, other._meaning
        return mine == its and bool(np.array_equal(my_codes, its_codes))

    def is_marker_of(self, other: "Found") -> bool:
        """All it says is whether a cell was perturbed, which `other` says too."""
        alone = len(self.labels) == 1 and len(other.labels) > 1
        return alone and bool(np.array_equal(self.is_control, other.is_control))


def perturbations(obs: pd.DataFrame, flags: Flags) -> Found:
    """Return where perturbations are written; `UsageError` names the flag that decides where it is not clear."""
    found = _given(obs, flags) if flags.perturbation_column or flags.target_column else _recognised(obs, flags)
    return _checked_with_marker(obs, _one_control(replace(found, left=flags.exclude), flags), flags)


def convention_of(found: Found) -> tuple[Convention, str]:
    """Return the row of the table that matches columns and label, with its name; a nameless one where none does."""
    controls = {_unnumbered(label) for label in found.controls}
    for one in CONVENTIONS:
        labels = {*one.control_labels, MARKED} if found.marker else set(one.control_labels)
        if controls <= labels and _written_as(found, one):
            return one, one.name
    return Convention("", (found.column.name,), found.controls), "as given"


def _written_as(found: Found, one: Convention) -> bool:
    if not found.targets:
        return found.column.name in one.perturbation_columns
    return bool(one.target_columns) and found.targets[: len(one.target_columns)] == one.target_columns


# ---- a column that was named


def _given(obs: pd.DataFrame, flags: Flags) -> Found:
    marker = _named_marker(flags)
    if flags.target_column:
        found = _joined(obs, flags.target_column, flags.control)
        found = _marked(found, obs, marker) if marker else found
        if not found.is_control.any():
            raise _no_controls(found.column)
        return found
    column = Column.of(obs, str(flags.perturbation_column), "--perturbation-column", empty=MARKED if marker else None)
    if marker:
        return _marked(Found(column, ()), obs, marker)
    absent = [label for label in flags.control if label not in column.values]
    if absent:
        raise UsageError(
            f"--control {absent[0]!r}: no cell of obs[{column.name!r}] is labelled so; labels are {column.some(10)}"
        )
    controls = flags.control or _present(column)
    if controls:
        return Found(column, tuple(dict.fromkeys(controls)))
    marked = _with_a_marker(column, obs, flags)
    if marked is None:
        raise _no_controls(column)
    return marked


def _named_marker(flags: Flags) -> str:
    return "" if flags.control_column in (None, NONE) else str(flags.control_column)


def _joined(obs: pd.DataFrame, names: Sequence[str], given: Sequence[str]) -> Found:
    """Several columns of one gene each; a cell without a gene in any of them is a control."""
    columns = [Column.of(obs, name, "--target-column", empty="") for name in names]
    values = {value for one in columns for value in one.values}
    controls = tuple(given) or tuple(label for label in known("control_labels") if label in values) or (MARKED,)
    return Found(joined_targets(obs, names, controls), controls, targets=tuple(names))


# ---- columns of known names


def _recognised(obs: pd.DataFrame, flags: Flags) -> Found:
    candidates, columns = _candidates(obs, flags)
    if not candidates:
        _none_found(obs, columns, flags.control or known("control_labels"), flags)
    kept = [one for one in candidates if not any(one.is_marker_of(other) for other in candidates)]
    first = kept[0]
    others = [one for one in kept[1:] if not one.means_as(first)]
    if others:
        listed = " or ".join(str(one) for one in (first, *others))
        raise UsageError(f"two columns may hold the perturbations: {listed}; say which with --perturbation-column")
    said = [
        f"obs[{one.place!r}] says only whether a cell was perturbed ({' or '.join(one.column.values)})"
        for one in candidates
        if one not in kept
    ]
    return replace(first, same=tuple(one.place for one in kept[1:]), said=(*first.said, *said))


def _candidates(obs: pd.DataFrame, flags: Flags) -> tuple[list[Found], list[Column]]:
    """Columns of known names that hold a control label; those whose controls a marker tells, where there is none."""
    marker = _named_marker(flags)
    here = [name for name in known("perturbation_columns") if name in obs.columns]
    complete = [name for name in here if not obs[name].isna().any()]
    columns = [Column.of(obs, name, "--perturbation-column") for name in complete]
    several = sorted(name for name in map(str, obs.columns) if GENES_OF_A_CELL.fullmatch(name))
    joined = _joined(obs, several, flags.control) if len(several) > 1 else None
    if marker:
        return [_marked(one, obs, marker) for one in (joined, *(Found(one, ()) for one in columns)) if one], columns
    found = [joined] if joined is not None and joined.is_control.any() else []
    found += [Found(one, _present(one, flags.control)) for one in columns if _present(one, flags.control)]
    if found:
        return found, columns
    gaps = len(here) > len(complete) and any(_tells(obs, name) is not None for name in CONTROL_COLUMNS)
    if gaps or not columns:
        columns = [Column.of(obs, name, "--perturbation-column", empty=MARKED if gaps else None) for name in here]
    return [one for one in (_with_a_marker(column, obs, flags) for column in columns) if one is not None], columns


def _present(column: Column, given: Sequence[str] = ()) -> tuple[str, ...]:
    """The control labels of a column: those given, or known ones, with the number of a guide or without."""
    if given:
        return tuple(label for label in given if label in column.values)
    labels = known("control_labels")
    exact = tuple(label for label in labels if label in column.values)
    numbered = tuple(value for value in column.values if value not in labels and _unnumbered(value) in labels)
    return (*exact, *numbered)


def _unnumbered(label: str) -> str:
    """`NT_3` -> `NT`; anything else stays."""
    return re.sub(r"[_.\-|]\d+$", "", label)


def _with_a_marker(column: Column, obs: pd.DataFrame, flags: Flags) -> Found | None:
    if flags.control or flags.control_column == NONE:
        return None
    for marker in CONTROL_COLUMNS:
        told = _tells(obs, marker)
        if told is not None and told.any() and not told.all():
            return _marked(Found(column, ()), obs, marker)
    return None


def _tells(obs: pd.DataFrame, name: str) -> Bool[np.ndarray, " cells"] | None:
    return yes_or_no(obs, name) if name in obs.columns else None


def _marked(found: Found, obs: pd.DataFrame, marker: str) -> Found:
    """The same labels, of which a column of yes and no tells the controls; raise where the two contradict."""
    column, marked = found.column, marked_controls(obs, marker)
    if not marked.any():
        raise BadDataError("no control cells: it marks none", place=f"obs[{marker!r}]")
    bare = [value for value in column.values if found.controls and found.names_nothing(value)] or [MARKED]
    nameless = int((~marked & column.taken(bare)).sum())
    if nameless:
        raise BadDataError(
            f"{nameless:,} cells name no gene, but obs[{marker!r}] does not mark them as controls",
            place=f"obs[{found.place!r}]",
            remedy="leave them out or label them",
        )
    inside, outside = (set(np.unique(column.codes[chosen]).tolist()) for chosen in (marked, ~marked))
    if inside & outside:
        raise UsageError(
            f"obs[{marker!r}] marks some cells of {column.values[min(inside & outside)]!r} in obs[{found.place!r}] as "
            f"controls and others not: say which labels are control with --control, and --control-column {NONE}"
        )
    labels = ", ".join(sorted(column.values[code] for code in inside))
    said = f"obs[{marker!r}] marks {int(marked.sum()):,} cells as controls; their labels: {labels}"
    return Found(column.where(marked, MARKED), (MARKED,), found.targets, marker, said=(said,))


def _one_control(found: Found, flags: Flags) -> Found:
    """Refuse to choose between control labels, and to read one that was not chosen as a gene."""
    if found.marker or found.targets:
        return found
    present = _present(found.column)
    left = [label for label in present if label not in (*found.controls, *flags.exclude)]
    kinds = {_unnumbered(label) for label in found.controls}
    if (len(kinds) > 1 and not flags.control) or left:
        counts = found.column.counts
        listed = " and ".join(f"{label!r} ({counts[label]:,} cells)" for label in sorted({*present, *found.controls}))
        raise UsageError(
            f"obs[{found.column.name!r}] holds {listed}, and each may mean control: give --control for each that does "
            "(it can be given more than once) and leave the cells of any other out with --exclude"
        )
    return found


def _checked_with_marker(obs: pd.DataFrame, found: Found, flags: Flags) -> Found:
    """Compare the controls that labels name with a column that marks them, where the file has one."""
    if found.marker or flags.control_column == NONE:
        return found
    said = []
    for name in CONTROL_COLUMNS:
        marked = _tells(obs, name)
        if marked is None:
            continue
        differ = int((marked != found.is_control).sum())
        if differ and not flags.control:
            raise UsageError(
                f"obs[{name!r}] marks {int(marked.sum()):,} cells as controls, the labels "
                f"{' and '.join(found.controls)} of {found.place} {int(found.is_control.sum()):,}, and {differ:,} "
                f"cells differ: say which is right with --control-column {NONE} (the labels) or --control-column {name}"
            )
        told = "marks the same cells as controls" if not differ else f"marks {differ:,} cells otherwise; labels count"
        said.append(f"obs[{name!r}] {told}")
    return replace(found, said=(*found.said, *said))


# ---- nothing found


def _none_found(obs: pd.DataFrame, columns: Sequence[Column], wanted: Sequence[str], flags: Flags) -> NoReturn:
    elsewhere = [str(name) for name in obs.columns if not columns and _holds(obs[name], wanted)]
    if len(columns) == 1 and not flags.control:
        raise _no_controls(columns[0])
    names = ", ".join(str(one) for one in obs.columns) or "none at all"
    hint = f" ({' and '.join(elsewhere)} hold such a label)" if elsewhere else ""
    raise UsageError(
        f"no column of a known name ({', '.join(known('perturbation_columns'))}) holds a control label "
        f"({', '.join(wanted)}); obs has the columns {names}{hint}: say which holds the perturbations with "
        "--perturbation-column, and the label of its unperturbed cells with --control"
    )


def _holds(series: pd.Series, labels: Sequence[str]) -> bool:
    return bool(series.astype(str).isin(list(labels)).any())


def _no_controls(column: Column) -> BadDataError:
    alike = [value for value in column.values if any(hint in value.lower() for hint in CONTROL_HINTS)][:5]
    hint = f"; labels that may mean it: {', '.join(alike)}" if alike else ""
    return BadDataError(
        f"no control cells: none is labelled {' or '.join(known('control_labels'))}",
        place=f"obs[{column.name!r}]",
        remedy=f"if they are labelled otherwise, say how with --control LABEL{hint}; without any no effect is known",
    )
