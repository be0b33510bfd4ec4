"""The labels of a column of obs as classes; what is missing or too rare is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from pertura.core.errors import BadDataError, UsageError
from pertura.data.conventions import nearest

MISSING = frozenset({"", "nan", "none", "na", "n/a", "null", "<na>"})
"""Spellings, in small letters, that say that a cell has no label."""
UNSURE = ("unknown", "unassigned", "doublet", "ambiguous", "low quality", "other")
"""Beginnings of labels that are no cell type."""
SHOWN = 6
LARGEST_SHARE = 0.5
FEW_CELLS = 50
DOMINANT = 0.9


@dataclass(frozen=True, eq=False)
class Labels:
    """Classes, sorted, and the position of each cell's class; -1 where it has none.

    `missing` cells have no label, `rare` classes (with their sizes) fewer cells than were asked for, `excluded` ones
    were left out on request.
    """

    column: str
    classes: tuple[str, ...]
    codes: Int[np.ndarray, " cells"]
    missing: int
    rare: Mapping[str, int]
    excluded: Mapping[str, int]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Cells of each class."""
        return tuple(np.bincount(self.codes[self.codes >= 0], minlength=len(self.classes)).tolist())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know of the labels."""
        said = []
        if self.missing:
            said.append(f"{self.missing:,} of {len(self.codes):,} cells have no label and are left out")
        if self.rare:
            listed = ", ".join(f"{name} ({size})" for name, size in list(self.rare.items())[:SHOWN])
            said.append(f"{counted_classes(len(self.rare))} too few cells to learn and to test, left out: {listed}")
        if self.excluded:
            cells = sum(self.excluded.values())
            said.append(
                f"{len(self.excluded)} labels with {cells:,} cells left out as asked: {', '.join(self.excluded)}"
            )
        unsure = [name for name in self.classes if name.strip().lower().startswith(UNSURE)]
        if unsure:
            named = ", ".join(unsure[:SHOWN])
            said.append(f"taken as cell types although their names say otherwise: {named}; --exclude-label leaves out")
        largest = max(self.sizes)
        if largest > DOMINANT * sum(self.sizes):
            name = self.classes[int(np.argmax(self.sizes))]
            said.append(f"{largest / sum(self.sizes):.0%} of the cells are {name}: look at macro F1, not at accuracy")
        return tuple(said)


def read_labels(obs: pd.DataFrame, column: str, *, exclude: Sequence[str] = (), min_cells: int = 2) -> Labels:
    """Return the labels of a column; classes of fewer than `min_cells` cells are left out.

    Only labels that occur become classes: an unused category is none. Fewer than two classes, or a column of numbers
    that are no labels, raise `BadDataError`.
    """
    column_of(obs, column, "--label")
    words = _words(obs[column])
    named = np.asarray([one.strip().lower() not in MISSING for one in words], dtype=bool)
    _refuse_numbers(obs[column], words, column)
    unknown = [one for one in exclude if one not in set(words)]
    if unknown:
        raise UsageError(f"--exclude-label {unknown[0]!r}: no cell has it{nearest(unknown[0], sorted(set(words)))}")
    sizes = {str(name): int(size) for name, size in zip(*np.unique(words[named].astype(str), return_counts=True))}
    excluded = {name: sizes[name] for name in exclude}
    rare = {name: size for name, size in sizes.items() if size < min_cells and name not in excluded}
    classes = tuple(name for name in sizes if name not in rare and name not in excluded)
    _refuse_few(classes, rare, column)
    place = {name: code for code, name in enumerate(classes)}
    codes = np.asarray([place.get(word, -1) if there else -1 for word, there in zip(words, named)], dtype=np.int64)
    return Labels(column, classes, codes, int((~named).sum()), rare, excluded)


def column_of(obs: pd.DataFrame, column: str, flag: str) -> None:
    """Raise `UsageError` where obs has no such column."""
    if column not in obs.columns:
        raise UsageError(
            f"{flag} {column!r}: obs has no such column{nearest(column, [str(one) for one in obs.columns])}"
        )


def groups_of(obs: pd.DataFrame, column: str) -> tuple[tuple[str, ...], Int[np.ndarray, " cells"]]:
    """Return the groups (donors, batches) of a column and each cell's; cells without one raise `BadDataError`."""
    column_of(obs, column, "--group")
    words = _words(obs[column])
    gone = int(sum(one.strip().lower() in MISSING for one in words))
    if gone:
        raise BadDataError(
            f"{gone:,} cells have no group", place=f"obs[{column!r}]", remedy="name their donor or batch"
        )
    names, codes = np.unique(words.astype(str), return_inverse=True)
    return tuple(str(one) for one in names), codes.astype(np.int64)


def _words(series: pd.Series) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """The spelling of each cell's label; whole numbers without a decimal point, what is missing as nothing."""
    gone = series.isna().to_numpy(dtype=bool)
    values = series.astype(object).to_numpy()
    whole = [isinstance(one, float | np.floating) and float(one).is_integer() for one in values]
    words = ["" if no else str(int(one)) if is_whole else str(one) for one, no, is_whole in zip(values, gone, whole)]
    return np.asarray(words, dtype=object)


def counted_classes(number: int) -> str:
    """Return `1 class has`, `3 classes have`."""
    return f"{number:,} class has" if number == 1 else f"{number:,} classes have"


def _refuse_numbers(series: pd.Series, words: "np.ndarray[tuple[int], np.dtype[np.object_]]", column: str) -> None:
    different = len(set(words))
    many = different > LARGEST_SHARE * len(words) and len(words) >= FEW_CELLS
    if many or (pd.api.types.is_float_dtype(series) and any("." in one for one in words)):
        raise BadDataError(
            f"holds {different:,} different values in {len(words):,} cells: these are no cell types",
            place=f"obs[{column!r}]",
            remedy="name the column of labels with --label",
        )


def _refuse_few(classes: tuple[str, ...], rare: Mapping[str, int], column: str) -> None:
    if len(classes) >= 2:
        return
    listed = f" ({', '.join(classes)})" if classes else ""
    also = f"; {len(rare)} more have too few cells: {', '.join(list(rare)[:SHOWN])}" if rare else ""
    raise BadDataError(
        f"holds {len(classes)} class{'' if len(classes) == 1 else 'es'}{listed}{also}",
        place=f"obs[{column!r}]",
        remedy="telling cell types apart takes two or more classes of at least two cells",
    )
