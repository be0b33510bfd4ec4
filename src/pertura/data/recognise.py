"""Recognises how a screen is written, with evidence; where two readings are possible it asks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pertura.core.errors import UsageError
from pertura.data.candidates import Found, convention_of, perturbations
from pertura.data.columns import Column, counted
from pertura.data.conventions import (
    GENE_COLUMNS,
    GENES_COLUMN,
    GUIDE_COLUMNS,
    MODE_COLUMNS,
    NONE,
    NOT_GENETIC,
    Convention,
    Flags,
    Reading,
    nearest,
    plain,
)
from pertura.data.kept import dose_column, excluded_labels, kept, labels_naming
from pertura.data.known_genes import KnownGenes, Sorted, refuse_others, sorted_names
from pertura.data.labels import assign, genes_of, label_column
from pertura.data.marks import Marks, marks_of
from pertura.data.surroundings import batch_in, contexts_in, filters_failed, mode_in

SHOWN = 6


def recognise(obs: pd.DataFrame, genes: Sequence[str], flags: Flags) -> Reading:
    """Return how obs is read. `UsageError` names the flag that decides where it is not clear.

    `genes` are the measured genes: a label that is one of them is a gene's name whatever marks it holds. Labels that
    name no genes raise `NotGenesError`, genes of the mouse `NotHumanError`. The scale is not looked at here.
    """
    known = KnownGenes.of(genes)
    known.refuse_other_species()
    found = perturbations(obs, flags)
    convention, named = convention_of(found)
    excluded = excluded_labels(found.column.values, flags.exclude)
    marks = marks_of(found, convention, known, flags)
    reading = _labels_read(found, named, marks, excluded, flags)
    reading, judged = _only_genes(obs, reading, found, known, flags)
    reading, surrounding = _surroundings(obs, reading, convention, known, flags)
    evidence = (_control_evidence(found), *found.said, *marks.said, *judged, *surrounding)
    reading = replace(reading, evidence=evidence)
    chosen = kept(obs, reading)
    notes = assign(obs[chosen.cells], reading).notes
    return replace(reading, evidence=(*evidence, *notes, *_other_columns(obs, reading)))


def _labels_read(found: Found, named: str, marks: Marks, excluded: tuple[str, ...], flags: Flags) -> Reading:
    return Reading(
        convention=named,
        perturbation_column="" if found.targets else found.column.name,
        controls=found.controls,
        target_columns=found.targets,
        control_column=found.marker,
        separator=marks.separator,
        guide_separator=marks.guide_separator,
        repeated_genes=flags.repeated_genes or "exclude",
        gene_names=flags.gene_names or "file",
        excluded=excluded,
    )


def _control_evidence(found: Found) -> str:
    controls = [value for value in found.column.values if found.names_nothing(value)]
    counts = found.column.counts
    listed = ", ".join(f"{label} ({counts[label]:,} cells)" for label in controls[:SHOWN])
    if len(controls) > SHOWN:
        listed += f" and {len(controls) - SHOWN:,} more labels of {int(found.is_control.sum()):,} cells in all"
    same = f" (the same in {' and '.join(found.same)})" if found.same else ""
    place = " and ".join(f"obs[{name!r}]" for name in found.targets) or f"obs[{found.column.name!r}]"
    verb = "hold" if found.targets else "holds"
    return f"{place}{same} {verb} {counted(len(found.labels), 'other label')} beside control: {listed}"


# ---- genes and what is none


def _only_genes(
    obs: pd.DataFrame, reading: Reading, found: Found, known: KnownGenes, flags: Flags
) -> tuple[Reading, tuple[str, ...]]:
    """Leave out labels that name no genes, where that is asked; otherwise refuse them."""
    named = {value: genes_of(value, reading) for value in found.column.values if value not in reading.excluded}
    sorts = sorted_names((name for names in named.values() for name in names), known)
    drugs = _not_genetic(obs, found, named)
    others = Sorted(sorts.unknown, tuple(dict.fromkeys((*drugs, *sorts.others))), sorts.mouse)
    said = []
    if others.others and flags.not_genes == "exclude":
        labels = labels_naming(named, others.others)
        reading = replace(reading, excluded=tuple(dict.fromkeys((*reading.excluded, *labels))))
        others = replace(others, others=())
    elif flags.not_genes == "keep":
        said = [f"{counted(len(others.others), 'name')} kept as of genes that are known nowhere, as asked"]
        others = replace(others, others=())
    why = ", as the column of the kind of perturbation says" if drugs else ""
    refuse_others(others, f"obs[{found.place!r}]", why)
    if others.unknown and known.meaning.is_human:
        shown = ", ".join(others.unknown[:SHOWN])
        said.append(f"{counted(len(others.unknown), 'perturbed gene')} known under no name of a human gene: {shown}")
    return reading, tuple(said)


def _not_genetic(obs: pd.DataFrame, found: Found, named: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of cells whose kind of perturbation is said to be a drug, a cytokine or the like."""
    names: list[str] = []
    for column in (Column.of(obs, name, "--mode-column", empty="") for name in MODE_COLUMNS if name in obs.columns):
        cells = column.taken([word for word in column.values if plain(word) in NOT_GENETIC]) & ~found.is_control
        labels = [found.column.values[code] for code in np.unique(found.column.codes[cells])]
        names += [name for label in labels for name in named.get(label, ())]
    return names


# ---- mode, context, batch, dose


def _surroundings(
    obs: pd.DataFrame, reading: Reading, convention: Convention, known: KnownGenes, flags: Flags
) -> tuple[Reading, tuple[str, ...]]:
    labels = label_column(obs, reading)
    taken = ~labels.taken(reading.excluded)
    perturbed = labels.taken([value for value in labels.values if genes_of(value, reading)]) & taken
    mode, mode_column, mode_said = mode_in(obs, perturbed, convention, flags)
    contexts, context_said = contexts_in(obs, ~perturbed & taken, known.has, flags, reading.perturbation_column)
    batch, batch_said = batch_in(obs, contexts, convention, flags)
    doses, dose, dose_said = dose_column(obs, perturbed, flags)
    reading = replace(
        reading,
        mode=mode,
        mode_column=mode_column,
        context_columns=contexts,
        batch_column=batch,
        dose_column=doses,
        dose=dose,
    )
    return reading, tuple(filter(None, (mode_said, *context_said, *batch_said, dose_said)))


def _other_columns(obs: pd.DataFrame, reading: Reading) -> tuple[str, ...]:
    """What further columns say of the same cells: guides, and the number of perturbed genes."""
    said = list(filters_failed(obs))
    guides = next((name for name in GUIDE_COLUMNS if name in obs.columns and name != reading.perturbation_column), "")
    if guides:
        said.append(f"obs[{guides!r}] names {obs[guides].nunique():,} guides; conditions are not cut by them")
    if GENES_COLUMN in obs.columns and pd.api.types.is_numeric_dtype(obs[GENES_COLUMN]):
        labels = label_column(obs, reading)
        sizes = np.asarray([len(genes_of(value, reading)) for value in labels.values], dtype=np.int64)[labels.codes]
        differ = int((obs[GENES_COLUMN].to_numpy(dtype=np.float64, na_value=np.nan) != sizes).sum())
        told = "agrees" if not differ else f"counts otherwise in {differ:,} cells; labels count"
        said.append(f"obs[{GENES_COLUMN!r}], the number of perturbations, {told}")
    return tuple(said)


# ---- gene names


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
    kept_rows = sum(name == row and name != symbol for name, row, symbol in zip(named, rows, symbols))
    said = f"genes by var[{column!r}]"
    if kept_rows:
        said += f"; {kept_rows:,} without a symbol of their own keep their row name"
    return tuple(named), column, (said,)
