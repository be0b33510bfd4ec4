"""In which mode, context and batch a cell was perturbed."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool

from pertura.core.errors import UsageError
from pertura.core.perturbation import Mode
from pertura.data.columns import Column, counted, yes_or_no
from pertura.data.conventions import (
    MODE_COLUMNS,
    NONE,
    SECOND_FACTORS,
    SECOND_PERTURBATION,
    Convention,
    Flags,
    known,
    mode_of,
)
from pertura.data.labels import words_without_mode

LINE_AND_BATCH = re.compile(r"(?P<line>.+)_Batch\d+")
"""How X-Atlas names its batches: the line comes first, and no other column tells it."""
GUIDE_FILTER = "pass_guide_filter"
CellMask = Bool[np.ndarray, " cells"]


def mode_in(obs: pd.DataFrame, perturbed: CellMask, convention: Convention, flags: Flags) -> tuple[Mode, str, str]:
    """Return the mode of all cells, or the column that tells it of each, and the evidence."""
    if flags.mode is not None:
        return flags.mode, "", f"mode {flags.mode}, as given"
    if flags.mode_column is not None:
        column = Column.of(obs, flags.mode_column, "--mode-column", empty="")
        return Mode.UNSPECIFIED, column.name, f"mode from obs[{column.name!r}], as given: {column.some()}"
    for name in MODE_COLUMNS:
        if name not in obs.columns or obs[name][perturbed].isna().any():
            continue
        column = Column.of(obs, name, "--mode-column", empty="")
        if not words_without_mode(column, perturbed):
            return _of_column(column)
        if convention.mode is None:
            told = f"mode not known: obs[{name!r}] holds {column.some()}, which does not tell it; say it with --mode"
            return Mode.UNSPECIFIED, "", told
    if convention.mode is not None:
        return convention.mode, "", f"mode {convention.mode}: every {convention.name} screen has it"
    return Mode.UNSPECIFIED, "", "mode not known: no column tells it; say it with --mode"


def _of_column(column: Column) -> tuple[Mode, str, str]:
    told = f"mode from obs[{column.name!r}]: {column.some()}"
    modes = {mode_of(value) for value in column.values}
    only = next(iter(modes)) if len(modes) == 1 else None
    return only or Mode.UNSPECIFIED, column.name, told + (f" is {only}" if only else "")


def contexts_in(
    obs: pd.DataFrame, is_control: CellMask, is_gene: Callable[[str], bool], flags: Flags, perturbed_by: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that tell the context together, and the evidence; raise where they can be chosen otherwise.

    `perturbed_by` is the column of the perturbations: several control labels in it are no several contexts.
    """
    if flags.context_column:
        return _given_contexts(obs, flags.context_column)
    here = [name for name in known("context_columns") if name in obs.columns and not obs[name].isna().all()]
    columns = [Column.of(obs, name, "--context-column") for name in here]
    varying = [one for one in columns if one.varies]
    distinct = [one for i, one in enumerate(varying) if not any(one.cuts_like(earlier) for earlier in varying[:i])]
    factors = [one for one in _second_factors(obs, is_control, distinct) if one.name != perturbed_by]
    if len(distinct) > 1 or factors:
        raise _several_contexts([*(distinct or columns[:1]), *factors])
    chosen = distinct or columns[:1]
    state, state_said = _state(obs, is_control, is_gene, distinct)
    if state is not None:
        chosen = [*chosen, state]
    if not chosen:
        return (), (_no_context(obs),)
    joined = Column.joined(chosen)
    names = " and ".join(f"obs[{one.name!r}]" for one in chosen)
    said = f"{counted(len(joined.values), 'context')} from {names}: {joined.some()}"
    return tuple(one.name for one in chosen), (said, *state_said)


def _several_contexts(options: Sequence[Column]) -> UsageError:
    listed = "; ".join(f"{one.name}: {one.some()}" for one in options)
    flag = " ".join(f"--context-column {one.name}" for one in options)
    return UsageError(
        f"the context of a cell can be read in more than one way ({listed}): give --context-column once, or more "
        f"than once to join columns (all of them: {flag}), or --context-column {NONE}"
    )


def _given_contexts(obs: pd.DataFrame, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if tuple(names) == (NONE,):
        return (), ("no context, as given",)
    joined = Column.joined([Column.of(obs, name, "--context-column") for name in names])
    return tuple(names), (
        f"{counted(len(joined.values), 'context')} from {' and '.join(names)}, as given: {joined.some()}",
    )


def _no_context(obs: pd.DataFrame) -> str:
    """Say that no column tells the context, or raise where batches are named after several lines."""
    series = obs["sample"] if "sample" in obs.columns else pd.Series([], dtype=object)
    matched = [LINE_AND_BATCH.fullmatch(str(value)) for value in series.unique()]
    lines = sorted({one["line"] for one in matched if one is not None})
    if len(lines) > 1 and all(matched):
        raise UsageError(
            f"obs['sample'] names {len(lines)} lines ({', '.join(lines)}), but no column tells the line of a cell: add "
            f"one and give it with --context-column, or pool the lines with --context-column {NONE}"
        )
    if lines and all(matched):
        return f"no column tells the context; by obs['sample'] all cells are {lines[0]} and count as one context"
    return "no column tells the context: all cells count as one"


def _second_factors(obs: pd.DataFrame, is_control: CellMask, contexts: Sequence[Column]) -> list[Column]:
    """Columns in which the unperturbed cells themselves differ, unless the context tells the difference."""
    return [
        column
        for name in SECOND_FACTORS
        if name in obs.columns and not obs[name].isna().any()
        for column in [Column.of(obs, name, "--context-column")]
        if _splits_controls(column, is_control, contexts)
    ]


def _splits_controls(column: Column, is_control: CellMask, contexts: Sequence[Column]) -> bool:
    groups = {(column.codes[i], *(one.codes[i] for one in contexts)) for i in np.flatnonzero(is_control)}
    return column.varies and len(groups) > len({group[1:] for group in groups})


def _state(
    obs: pd.DataFrame, is_control: CellMask, is_gene: Callable[[str], bool], contexts: Sequence[Column]
) -> tuple[Column | None, tuple[str, ...]]:
    """scPerturb's second perturbation, where it is a state that the control cells are in as well."""
    if SECOND_PERTURBATION not in obs.columns or obs[SECOND_PERTURBATION].isna().any():
        return None, ()
    column = Column.of(obs, SECOND_PERTURBATION, "--context-column")
    if not column.varies:
        return None, ()
    genes = [value for value in column.values if is_gene(value)]
    if genes:
        raise UsageError(
            f"obs[{SECOND_PERTURBATION!r}] holds genes ({', '.join(genes[:5])}), which may be perturbed together with "
            f"those of the first column, or may not: give --target-column for both, or --context-column {NONE}"
        )
    if not _splits_controls(column, is_control, contexts):
        return None, ()
    return column, (
        f"control cells differ in obs[{SECOND_PERTURBATION!r}], so it is a part of the context: every cell is compared "
        "with controls of its own state (--context-column without it pools the states)",
    )


def batch_in(
    obs: pd.DataFrame, contexts: Sequence[str], convention: Convention, flags: Flags
) -> tuple[str, tuple[str, ...]]:
    """Return the column that tells the batch ("" for none) and the evidence; raise where there are two."""
    if flags.batch_column == NONE:
        return "", ("no batches, as given",)
    if flags.batch_column is not None:
        column = Column.of(obs, flags.batch_column, "--batch-column")
        return column.name, (f"{_batches(len(column.values))} from obs[{column.name!r}], as given",)
    wanted = dict.fromkeys((*convention.batch_columns, *_general_batches()))
    here = [name for name in wanted if name in obs.columns and name not in contexts and not obs[name].isna().all()]
    varying = [one for one in (Column.of(obs, name, "--batch-column") for name in here) if one.varies]
    distinct = [one for i, one in enumerate(varying) if not any(one.cuts_like(earlier) for earlier in varying[:i])]
    if len(distinct) > 1:
        listed = "; ".join(f"{one.name}: {one.some()}" for one in distinct)
        raise UsageError(f"two columns may hold the batch ({listed}): say which with --batch-column, or {NONE}")
    if not distinct:
        return "", ("no column tells the batch",)
    return distinct[0].name, (f"{_batches(len(distinct[0].values))} from obs[{distinct[0].name!r}]",)


def _batches(number: int) -> str:
    return "1 batch" if number == 1 else f"{number:,} batches"


def _general_batches() -> tuple[str, ...]:
    """Names that mean the batch whoever wrote the file; `sample` and `replicate` mean it in some files only."""
    return tuple(name for name in known("batch_columns") if name not in ("sample", "replicate"))


def filters_failed(obs: pd.DataFrame) -> tuple[str, ...]:
    """Say how many cells the file itself marks as not to be trusted."""
    passed = yes_or_no(obs, GUIDE_FILTER) if GUIDE_FILTER in obs.columns else None
    failed = 0 if passed is None else int((~passed).sum())
    if not failed:
        return ()
    return (f"{failed:,} cells did not pass the guide filter of their makers (obs[{GUIDE_FILTER!r}] is 0)",)
