"""Splits that stand in a column of obs: a part for each cell, as `split1` to `split5`, with `subgroup1` to `5`."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Condition
from pertura.core.split import Outline
from pertura.data.conventions import nearest
from pertura.data.elements import read_element
from pertura.data.splits.foreign import ForeignSplit, Resolved, Rules, assembled
from pertura.data.stores import opened

KIND = "column"
WORDS = {
    "train": "train", "training": "train", "val": "valid", "valid": "valid", "validation": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
OUT = "ood"
"""Where it occurs it is the test part, and what is called test was to choose by (early stopping)."""


def split_from_column(cells: Cells, path: Path, column: str, rules: Rules) -> ForeignSplit:
    """Return the split that a column of an .h5ad's obs gives; `path` is the file that `cells` came from.

    A condition whose cells are in several parts overlaps (see `split_from`). Values other than names of parts raise
    `UsageError`; cells without a value are in no part. Control cells are cut in two here, whatever the column says.
    """
    obs = _obs(path, cells)
    values = _values(obs, column, path)
    words, notes = _meaning(sorted(set(values) - {""}), column)
    parts: dict[str, set[Condition]] = {"train": set(), "valid": set(), "test": set()}
    for condition in cells.perturbed:
        for value in set(values[cells.rows_of(condition)]) - {""}:
            parts[words[value]].add(condition)
    if not any(parts.values()):
        raise UsageError(f"--from-column {column}: no perturbed cell has a value")
    strata, said = _strata(cells, obs, column)
    resolved = Resolved(
        kind=f"{KIND}-{column}",
        parts={name: frozenset(part) for name, part in parts.items()},
        strata=strata,
        options={"column": column},
        lines=(*notes, *said, "control cells are cut in two here, whatever the column says of them"),
    )
    return assembled(resolved, Outline.of(cells), rules)


def _obs(path: Path, cells: Cells) -> pd.DataFrame:
    """The obs of a file, one row for each of the cells."""
    try:
        with opened(path) as file:
            obs = pd.DataFrame(read_element(file["obs"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadDataError(f"obs cannot be read ({type(error).__name__}: {error})", file=path) from error
    obs.index = obs.index.astype(str)
    return obs.loc[[str(one) for one in cells.ids]]  # a reading may leave cells of the file out


def _values(obs: pd.DataFrame, column: str, path: Path) -> Shaped[np.ndarray, " cells"]:
    """The column as text, empty where a cell has no value."""
    names = [str(name) for name in obs.columns]
    if column not in names:
        raise UsageError(f"--from-column {column!r}: obs of {path} has no such column{nearest(column, names)}")
    series = obs[column]
    return np.where(series.isna(), "", series.astype(str).str.strip()).astype(object)


def _meaning(values: list[str], column: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Which part each value means, and a remark where test means the part to choose by."""
    words = {value: OUT if value.lower() == OUT else WORDS.get(value.lower(), "") for value in values}
    unknown = [value for value, part in words.items() if not part]
    if unknown:
        raise UsageError(f"--from-column {column}: {unknown[0]!r} is no part (known: {', '.join((*WORDS, OUT))})")
    if OUT not in words.values():
        return words, ()
    if {"valid", "test"} <= set(words.values()):
        raise UsageError(f"--from-column {column} holds valid, test and {OUT}: which of the last two is to judge by?")
    meant = {OUT: "test", "test": "valid"}
    remark = f"{OUT} is the test part, and test the part to choose by, as in the files that use these words"
    return {value: meant.get(part, part) for value, part in words.items()}, (remark,)


def _strata(cells: Cells, obs: pd.DataFrame, column: str) -> tuple[dict[str, frozenset[Condition]], tuple[str, ...]]:
    """The strata in the column of subgroups that goes with a column `splitN`; none where there is no such column."""
    number = re.fullmatch(r"split(\d*)", column)
    name = f"subgroup{number[1]}" if number else ""
    if not name or name not in obs.columns:
        return {}, ()
    values = obs[name].astype(object).where(obs[name].notna(), "").to_numpy()
    found: dict[str, set[Condition]] = {}
    several = 0
    for condition in cells.perturbed:
        here = {str(one) for one in values[cells.rows_of(condition)]}
        several += len(here) > 1
        for one in here - {""} if len(here) == 1 else ():
            found.setdefault(one, set()).add(condition)
    said = [f"strata from obs[{name!r}]"]
    if several:
        said.append(f"warning: {several} conditions are in several subgroups and are in no stratum")
    return {one: frozenset(members) for one, members in found.items()}, tuple(said)
