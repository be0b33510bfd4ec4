"""A column of obs as labels and codes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from pertura.core.errors import BadDataError, UsageError
from pertura.data.conventions import nearest

JOIN = ":"
"""Stands between the values of several columns that name a context together."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The values that occur in a column, sorted, and for each cell which of them it has."""

    name: str
    values: tuple[str, ...]
    codes: Int[np.ndarray, " cells"]

    @classmethod
    def of(cls, obs: pd.DataFrame, name: str, flag: str, *, empty: str | None = None) -> "Column":
        """Return a column as text; raise where it is not there, or where a cell has no value and none is given."""
        if name not in obs.columns:
            raise UsageError(f"{flag} {name!r}: obs has no such column{nearest(name, [str(c) for c in obs.columns])}")
        series = obs[name]
        missing = np.flatnonzero(series.isna().to_numpy())
        if len(missing) and empty is not None:
            series = series.astype(object).where(~series.isna(), empty)
        elif len(missing):
            raise BadDataError(
                f"{len(missing):,} cells have no value (first: {obs.index[missing[0]]})",
                place=f"obs[{name!r}]",
                remedy=f"give each cell a value, leave those cells out, or choose another column with {flag}",
            )
        codes, labels = pd.factorize(series)
        return cls._sorted(name, [_text(label) for label in labels], np.asarray(codes, dtype=np.int64))

    @classmethod
    def _sorted(cls, name: str, labels: list[str], codes: Int[np.ndarray, " cells"]) -> "Column":
        values = tuple(sorted(set(labels)))
        position = {value: i for i, value in enumerate(values)}
        return cls(name, values, np.asarray([position[one] for one in labels], dtype=np.int64)[codes])

    @classmethod
    def joined(cls, columns: "list[Column]", join: str = JOIN) -> "Column":
        """Return the combinations of several columns that occur, as one column."""
        if len(columns) == 1:
            return columns[0]
        stacked = np.stack([one.codes for one in columns], axis=1)
        combinations, codes = np.unique(stacked, axis=0, return_inverse=True)
        labels = [join.join(one.values[code] for one, code in zip(columns, row)) for row in combinations]
        name = join.join(one.name for one in columns)
        return cls._sorted(name, labels, np.asarray(codes, dtype=np.int64).reshape(-1))

    def where(self, chosen: Bool[np.ndarray, " cells"], value: str) -> "Column":
        """Return the same column with another value in the chosen cells."""
        labels = [*self.values, value]
        codes = np.where(chosen, len(labels) - 1, self.codes)
        used, codes = np.unique(codes, return_inverse=True)
        return Column._sorted(self.name, [labels[code] for code in used], np.asarray(codes, dtype=np.int64))

    def taken(self, values: Iterable[str]) -> Bool[np.ndarray, " cells"]:
        """Which cells have one of these values."""
        return np.isin(np.asarray(self.values, dtype=object), list(values))[self.codes]

    @property
    def counts(self) -> dict[str, int]:
        """Value -> number of cells."""
        sizes = np.bincount(self.codes, minlength=len(self.values))
        return {value: int(size) for value, size in zip(self.values, sizes)}

    @property
    def varies(self) -> bool:
        """There is more than one value."""
        return len(self.values) > 1

    def equals(self, other: "Column") -> bool:
        """Every cell has the same value in both."""
        return self.values == other.values and bool(np.array_equal(self.codes, other.codes))

    def cuts_like(self, other: "Column") -> bool:
        """Both put the cells into the same groups, whatever they call them."""
        pairs = np.unique(np.stack([self.codes, other.codes], axis=1), axis=0)
        return len(pairs) == len(self.values) == len(other.values)

    def some(self, most: int = 4) -> str:
        """Return the commonest values with their numbers of cells, as text."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{value} ({size:,})" for value, size in ranked[:most])
        return shown + (f" and {len(ranked) - most} more" if len(ranked) > most else "")


def counted(number: int, noun: str) -> str:
    """Return `1 label`, `3 labels`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def yes_or_no(obs: pd.DataFrame, name: str) -> Bool[np.ndarray, " cells"] | None:
    """Return a column of yes and no, whether written as truth values, 0 and 1 or words; None where it is none."""
    series = obs[name]
    if series.isna().any():
        return None
    codes, labels = pd.factorize(series)
    found = [_text(label).lower() for label in labels]
    if not (set(found) <= {"true", "false"} or set(found) <= {"0", "1"}):
        return None
    return np.asarray([word in ("true", "1") for word in found], dtype=bool)[codes]


def _text(label: object) -> str:
    """A label without outer space; whole numbers stored as fractions lose the fraction."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).strip()
