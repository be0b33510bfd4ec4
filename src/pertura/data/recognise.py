"""Recognises by which convention a screen is written, with evidence; where two readings are possible it asks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import pandas as pd
from jaxtyping import Bool

from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Mode
from pertura.data.columns import Column
from pertura.data.conventions import (
    CONVENTIONS,
    GENE_COLUMNS,
    MODE_COLUMNS,
    NONE,
    SECOND_FACTORS,
    Convention,
    Flags,
    Reading,
    known,
    mode_of,
    nearest,
)
from pertura.data.labels import assign, names_in

UNCLEAR_MARKS = "_|;,&"
"""Marks that join genes in one file, number guides in another, and belong to the gene's name in a third."""
CONTROL_HINTS = ("ctrl", "control", "non-targ", "non_targ", "nontarg", "neg", "safe", "scramb", "ntc", "nt", "aavs1")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A column that may hold the perturbations, the control labels in it, and other columns that say the same."""

    column: Column
    controls: tuple[str, ...]
    same: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.column.name} ({len(self.column.values)} labels, control {' and '.join(self.controls)})"


def recognise(obs: pd.DataFrame, genes: Sequence[str], flags: Flags) -> Reading:
    """Return how obs is read. `UsageError` names the flag that decides where it is not clear.

    `genes` are the measured genes: a label that is one of them is a gene's name whatever marks it holds. The scale is
    not looked at here.
    """
    found = _perturbations(obs, flags)
    convention, named = _convention(found)
    separator, guide_separator, spelling = _separators(found, convention, frozenset(genes), flags)
    reading = Reading(
        convention=named,
        perturbation_column=found.column.name,
        controls=found.controls,
        separator=separator,
        guide_separator=guide_separator,
    )
    mode, mode_column, mode_evidence = _mode(obs, flags)
    contexts, context_evidence = _contexts(obs, _is_control(found), flags)
    batch, batch_evidence = _batch(obs, contexts, flags)
    evidence = (_control_evidence(found), *spelling, mode_evidence, *context_evidence, *batch_evidence)
    reading = replace(
        reading, mode=mode, mode_column=mode_column, context_columns=contexts, batch_column=batch, evidence=evidence
    )
    return replace(reading, evidence=(*evidence, *assign(obs, reading).notes))


# ---- the column that holds the perturbations, and its control labels


def _perturbations(obs: pd.DataFrame, flags: Flags) -> Found:
    if flags.perturbation_column is not None:
        return _given_column(Column.of(obs, flags.perturbation_column, "--perturbation-column"), flags)
    wanted = flags.control or known("control_labels")
    here = [name for name in known("perturbation_columns") if name in obs.columns]
    columns = [Column.of(obs, name, "--perturbation-column") for name in here]
    candidates = [Found(one, _present(one, wanted)) for one in columns if _present(one, wanted)]
    if not candidates:
        _none_found(obs, columns, wanted, flags)
    first = candidates[0]
    others = [one for one in candidates[1:] if not one.column.equals(first.column)]
    if others:
        listed = " or ".join(str(one) for one in (first, *others))
        raise UsageError(f"two columns may hold the perturbations: {listed}; say which with --perturbation-column")
    same = tuple(one.column.name for one in candidates[1:])
    return _one_control(replace(first, same=same), flags)


def _present(column: Column, labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(label for label in labels if label in column.values)


def _given_column(column: Column, flags: Flags) -> Found:
    absent = [label for label in flags.control if label not in column.values]
    if absent:
        raise UsageError(
            f"--control {absent[0]!r}: no cell of obs[{column.name!r}] is labelled so; labels are {column.some(10)}"
        )
    found = Found(column, _present(column, flags.control or known("control_labels")))
    if not found.controls:
        raise _no_controls(column)
    return _one_control(found, flags)


def _one_control(found: Found, flags: Flags) -> Found:
    """Refuse to choose between control labels, and to read one that was not chosen as a gene."""
    present = _present(found.column, known("control_labels"))
    left = [label for label in present if label not in found.controls]
    if (len(found.controls) > 1 and not flags.control) or left:
        counts = found.column.counts
        listed = " and ".join(f"{label!r} ({counts[label]:,} cells)" for label in sorted({*present, *found.controls}))
        raise UsageError(
            f"obs[{found.column.name!r}] holds {listed}, and each may mean control: give --control for each that does "
            "(it can be given more than once) and leave the cells of any other out of the file"
        )
    return found


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


def _convention(found: Found) -> tuple[Convention, str]:
    """The row of the table that matches column and label, with its name; a nameless one where none does."""
    for one in CONVENTIONS:
        if found.column.name in one.perturbation_columns and set(found.controls) <= set(one.control_labels):
            return one, one.name
    return Convention("", (found.column.name,), found.controls), "as given"


def _control_evidence(found: Found) -> str:
    counts = found.column.counts
    listed = ", ".join(f"{label} ({counts[label]:,} cells)" for label in found.controls)
    rest = len(found.column.values) - len(found.controls)
    same = f" (the same in {' and '.join(found.same)})" if found.same else ""
    return f"obs[{found.column.name!r}]{same} holds {rest:,} other labels beside control: {listed}"


def _is_control(found: Found) -> Bool[np.ndarray, " cells"]:
    return np.isin(np.asarray(found.column.values, dtype=object), found.controls)[found.column.codes]


# ---- how genes are joined and guides are numbered


def _separators(
    found: Found, convention: Convention, genes: frozenset[str], flags: Flags
) -> tuple[str, str, tuple[str, ...]]:
    separator = convention.separator if flags.separator is None else flags.separator
    guide_separator = convention.guide_separator if flags.guide_separator is None else flags.guide_separator
    if flags.separator is None and flags.guide_separator is None:
        _ask_about_marks(found, separator, genes)
    together = [label for label in found.column.values if separator and separator in label]
    placed = [label for label in together if len(names_in(label, found.controls, separator, guide_separator)) < 2]
    pairs = len(together) - len(placed)
    said = [f"{pairs:,} labels join genes with {separator!r}"] if pairs else ["no label joins genes: singles only"]
    if placed:
        said.append(f"{len(placed):,} labels name one gene beside the control label, as {placed[0]}")
    elif convention.placeholder:
        said.append(f"no label names one gene beside the control label, which {convention.name} files usually do")
    if guide_separator:
        numbered = [label for label in found.column.values if guide_separator in label]
        said.append(f"{len(numbered):,} labels end in a guide after {guide_separator!r}, which is cut off")
    return separator, guide_separator, tuple(said)


def _ask_about_marks(found: Found, separator: str, genes: frozenset[str]) -> None:
    for label in found.column.values:
        for name in names_in(label, found.controls, separator, ""):
            marks = [mark for mark in UNCLEAR_MARKS if mark in name]
            if not marks or name in genes:
                continue
            head, _, tail = name.rpartition(marks[0])
            raise UsageError(
                f"obs[{found.column.name!r}] holds labels such as {label}, which can be read in three ways: "
                f"guide {tail} of gene {head} (say --guide-separator {marks[0]!r}), "
                f"the genes {' and '.join(name.split(marks[0]))} together (say --separator {marks[0]!r}), "
                f"or one gene of that name (say --separator {separator!r})"
            )


# ---- mode, context, batch, gene names


def _mode(obs: pd.DataFrame, flags: Flags) -> tuple[Mode, str, str]:
    if flags.mode is not None:
        return flags.mode, "", f"mode {flags.mode}, as given"
    if flags.mode_column is not None:
        column = Column.of(obs, flags.mode_column, "--mode-column")
        return Mode.UNSPECIFIED, column.name, f"mode from obs[{column.name!r}], as given: {column.some()}"
    for name in MODE_COLUMNS:
        if name in obs.columns and not obs[name].isna().any():
            column = Column.of(obs, name, "--mode-column")
            if all(mode_of(value) is not None for value in column.values):
                return Mode.UNSPECIFIED, name, f"mode from obs[{name!r}]: {column.some()}"
            return (
                Mode.UNSPECIFIED,
                "",
                f"mode not known: obs[{name!r}] holds {column.some()}, which does not tell it; say it with --mode",
            )
    return Mode.UNSPECIFIED, "", "mode not known: no column tells it; say it with --mode"


def _contexts(
    obs: pd.DataFrame, is_control: Bool[np.ndarray, " cells"], flags: Flags
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if flags.context_column:
        return _given_contexts(obs, flags.context_column)
    here = [name for name in known("context_columns") if name in obs.columns]
    columns = [Column.of(obs, name, "--context-column") for name in here]
    varying = [one for one in columns if one.varies]
    distinct = [one for i, one in enumerate(varying) if not any(one.cuts_like(earlier) for earlier in varying[:i])]
    factors = _second_factors(obs, is_control, distinct)
    if len(distinct) > 1 or factors:
        options = [*(distinct or columns[:1]), *factors]
        listed = "; ".join(f"{one.name}: {one.some()}" for one in options)
        flag = " ".join(f"--context-column {one.name}" for one in options)
        raise UsageError(
            f"the context of a cell can be read in more than one way ({listed}): give --context-column once, or more "
            f"than once to join columns (all of them: {flag}), or --context-column {NONE}"
        )
    chosen = distinct or columns[:1]
    if not chosen:
        return (), ("no column tells the context: all cells count as one",)
    column = chosen[0]
    return (column.name,), (f"{len(column.values)} contexts from obs[{column.name!r}]: {column.some()}",)


def _given_contexts(obs: pd.DataFrame, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if tuple(names) == (NONE,):
        return (), ("no context, as given",)
    joined = Column.joined([Column.of(obs, name, "--context-column") for name in names])
    return tuple(names), (f"{len(joined.values)} contexts from {' and '.join(names)}, as given: {joined.some()}",)


def _second_factors(
    obs: pd.DataFrame, is_control: Bool[np.ndarray, " cells"], contexts: Sequence[Column]
) -> list[Column]:
    """Columns in which the unperturbed cells themselves differ, unless the context tells the difference."""
    found = []
    for name in SECOND_FACTORS:
        if name not in obs.columns or obs[name].isna().any():
            continue
        column = Column.of(obs, name, "--context-column")
        groups = {(column.codes[i], *(one.codes[i] for one in contexts)) for i in np.flatnonzero(is_control)}
        told = len({group[1:] for group in groups})
        if column.varies and len(groups) > told:
            found.append(column)
    return found


def _batch(obs: pd.DataFrame, contexts: Sequence[str], flags: Flags) -> tuple[str, tuple[str, ...]]:
    if flags.batch_column == NONE:
        return "", ("no batches, as given",)
    if flags.batch_column is not None:
        column = Column.of(obs, flags.batch_column, "--batch-column")
        return column.name, (f"{len(column.values)} batches from obs[{column.name!r}], as given",)
    here = [name for name in known("batch_columns") if name in obs.columns and name not in contexts]
    varying = [one for one in (Column.of(obs, name, "--batch-column") for name in here) if one.varies]
    distinct = [one for i, one in enumerate(varying) if not any(one.cuts_like(earlier) for earlier in varying[:i])]
    if len(distinct) > 1:
        listed = "; ".join(f"{one.name}: {one.some()}" for one in distinct)
        raise UsageError(f"two columns may hold the batch ({listed}): say which with --batch-column, or {NONE}")
    if not distinct:
        return "", ("no column tells the batch",)
    return distinct[0].name, (f"{len(distinct[0].values)} batches from obs[{distinct[0].name!r}]",)


def gene_names(var: pd.DataFrame, given: str | None) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """Return the gene names, the column of var they come from ("" for the row names), and the evidence.

    Row names that are Ensembl numbers give way to a column of symbols. A symbol that several genes share stays the
    row name for each of them, and is counted.
    """
    rows = [str(name) for name in var.index]
    if given is not None and given != NONE and given not in var.columns:
        raise UsageError(f"--gene-column {given!r}: var has no such column{nearest(given, [str(c) for c in var])}")
    column = given or next((name for name in GENE_COLUMNS if name in var.columns), NONE)
    numbered = sum(name.startswith("ENS") for name in rows) > len(rows) / 2
    if column == NONE or not (given or numbered):
        return tuple(rows), "", ("genes by the row names of var",)
    series = var[column]
    symbols = ["" if missing else str(value).strip() for value, missing in zip(series, series.isna())]
    sizes: dict[str, int] = {}
    for symbol in symbols:
        sizes[symbol] = sizes.get(symbol, 0) + 1
    named = [symbol if symbol and sizes[symbol] == 1 else row for symbol, row in zip(symbols, rows)]
    kept = sum(name == row and name != symbol for name, row, symbol in zip(named, rows, symbols))
    said = f"genes by var[{column!r}]"
    if kept:
        said += f"; {kept:,} without a symbol of their own keep their row name"
    return tuple(named), column, (said,)
