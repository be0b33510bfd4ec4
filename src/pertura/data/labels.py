"""From the labels of a file to conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.data.columns import Column, yes_or_no
from pertura.data.conventions import MODE_WORDS, Reading, mode_of

TOGETHER = "+"
"""Joins what several columns say, in place of a label that one column holds."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """The condition of each cell, how the file spells it, and what happened to labels on the way."""

    conditions: tuple[Condition, ...]
    codes: Int[np.ndarray, " cells"]
    spellings: dict[Condition, str]
    notes: tuple[str, ...]


def names_in(label: str, controls: Sequence[str], separator: str, guide_separator: str) -> list[str]:
    """Return the gene names in a label, in its order; none for a control. `A+ctrl` and `ctrl+A` hold one name."""
    if label in controls:
        return []
    parts = [part.strip() for part in (label.split(separator) if separator else [label])]
    if guide_separator:
        parts = [part.rpartition(guide_separator)[0] or part for part in parts]
    return [part for part in parts if part not in controls]


def label_column(obs: pd.DataFrame, reading: Reading) -> Column:
    """Return what each cell is labelled with: one column, or the genes of several columns joined."""
    empty = reading.controls[0] if reading.controls else None
    if reading.target_columns:
        column = joined_targets(obs, reading.target_columns, reading.controls)
    else:
        empty = empty if reading.control_column else None
        column = Column.of(obs, reading.perturbation_column, "--perturbation-column", empty=empty)
    if not reading.control_column or empty is None:
        return column
    return column.where(marked_controls(obs, reading.control_column), empty)


def joined_targets(obs: pd.DataFrame, names: Sequence[str], controls: Sequence[str]) -> Column:
    """Return the genes that several columns hold, one each, as labels; a cell without any has the control label."""
    columns = [Column.of(obs, name, "--target-column", empty="") for name in names]
    filled = [one.where(one.taken([""]), controls[0]) if "" in one.values else one for one in columns]
    column = Column.joined(filled, TOGETHER)
    nothing = [one for one in column.values if not names_in(one, controls, TOGETHER, "")]
    return column.where(column.taken(nothing), controls[0]) if nothing else column


def marked_controls(obs: pd.DataFrame, name: str) -> Bool[np.ndarray, " cells"]:
    """Return which cells a column of yes and no marks as controls; raise where it is not such a column."""
    Column.of(obs, name, "--control-column")
    marked = yes_or_no(obs, name)
    if marked is None:
        raise UsageError(f"--control-column {name}: it holds more than yes and no (True and False, or 1 and 0)")
    return marked


def assign(obs: pd.DataFrame, reading: Reading, renamed: Mapping[str, str] | None = None) -> Assignment:
    """Return the condition of each cell; a label that names no gene raises `BadDataError`.

    `renamed`: gene's name in the file -> the name it goes by here.
    """
    labels = label_column(obs, reading)
    genes = [genes_of(label, reading) for label in labels.values]
    called = [[(renamed or {}).get(name, name) for name in names] for names in genes]
    unperturbed = np.asarray([not names for names in genes], dtype=bool)[labels.codes]
    modes, mode_codes = _modes(obs, reading, unperturbed)
    contexts = context_column(obs, reading)
    stacked = np.stack([labels.codes, mode_codes, contexts.codes], axis=1)
    kinds, kind_of_cell = np.unique(stacked, axis=0, return_inverse=True)
    made = [
        Condition(Perturbation.of(*called[label], mode=modes[mode]), contexts.values[context])
        for label, mode, context in kinds
    ]
    conditions = tuple(sorted(set(made)))
    position = {one: i for i, one in enumerate(conditions)}
    code_of_kind = np.asarray([position[one] for one in made], dtype=np.int64)
    codes = code_of_kind[np.asarray(kind_of_cell).reshape(-1)]
    sizes = np.bincount(np.asarray(kind_of_cell).reshape(-1), minlength=len(kinds))
    spellings, several = _spellings(made, [labels.values[kind[0]] for kind in kinds], sizes)
    return Assignment(conditions, codes, spellings, (*_repeats(labels.values, genes), *several))


def context_column(obs: pd.DataFrame, reading: Reading) -> Column:
    """Return the context of each cell; several columns are joined, no column is one context without a name."""
    if not reading.context_columns:
        return Column("", ("",), np.zeros(len(obs), dtype=np.int64))
    return Column.joined([Column.of(obs, name, "--context-column") for name in reading.context_columns])


def genes_of(label: str, reading: Reading) -> list[str]:
    """Return the gene names in a label; raise `BadDataError` for a name that no gene can have."""
    names = names_in(label, reading.controls, reading.separator, reading.guide_separator)
    wrong = [name for name in names if not name or "+" in name or "@" in name]
    if wrong:
        raise BadDataError(
            f"{label!r} cannot be read as genes: {wrong[0]!r} is not a gene's name",
            place=f"obs[{reading.perturbation_column!r}]",
            remedy="rename the label, leave its cells out, or say how it is written with --separator",
        )
    return names


def _modes(
    obs: pd.DataFrame, reading: Reading, unperturbed: Bool[np.ndarray, " cells"]
) -> tuple[list[Mode], Int[np.ndarray, " cells"]]:
    if not reading.mode_column:
        return [reading.mode], np.zeros(len(obs), dtype=np.int64)
    column = Column.of(obs, reading.mode_column, "--mode-column", empty="")
    unclear = words_without_mode(column, ~unperturbed)
    if unclear:
        raise UsageError(
            f"--mode-column {column.name}: {unclear[0]!r} does not tell the mode (known: {', '.join(MODE_WORDS)}); "
            "say it with --mode instead"
        )
    return [mode_of(value) or Mode.UNSPECIFIED for value in column.values], column.codes


def words_without_mode(column: Column, perturbed: Bool[np.ndarray, " cells"]) -> list[str]:
    """Return the words of a column that do not tell how perturbed cells were perturbed; controls may say anything."""
    said = np.unique(column.codes[perturbed])
    return [column.values[code] for code in said if mode_of(column.values[code]) is None]


def _spellings(
    made: Sequence[Condition], labels: Sequence[str], sizes: Int[np.ndarray, " kinds"]
) -> tuple[dict[Condition, str], tuple[str, ...]]:
    """The commonest spelling of each condition; the first in the alphabet where two are as common."""
    found: dict[Condition, dict[str, int]] = {}
    for condition, label, size in zip(made, labels, sizes):
        cells_of = found.setdefault(condition, {})
        cells_of[label] = cells_of.get(label, 0) + int(size)
    spellings = {one: min(ways, key=lambda label: (-ways[label], label)) for one, ways in found.items()}
    several = sorted(one for one, ways in found.items() if len(ways) > 1 and not one.is_control)
    if not several:
        return spellings, ()
    return spellings, (
        f"{len(several):,} conditions are spelled in more than one way and pooled ({several[0]}: "
        f"{', '.join(sorted(found[several[0]]))})",
    )


def _repeats(labels: Sequence[str], genes: Sequence[list[str]]) -> tuple[str, ...]:
    repeated = [label for label, names in zip(labels, genes) if len(set(names)) < len(names)]
    if not repeated:
        return ()
    return (f"{len(repeated):,} labels name a gene twice and are read as naming it once ({', '.join(repeated[:5])})",)
