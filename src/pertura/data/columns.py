"""A column of obs as labels and codes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

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
    def of(cls, obs: pd.DataFrame, name: str, flag: str) -> "Column":
        """Return a column as text; raise where it is not there, where a cell has no value, or all are fractions."""
        if name not in obs.columns:
            raise UsageError(f"{flag} {name!r}: obs has no such column{nearest(name, [str(c) for c in obs.columns])}")
        series = obs[name]
        missing = np.flatnonzero(series.isna().to_numpy())
        if len(missing):
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
    def joined(cls, columns: "list[Column]") -> "Column":
        """Return the combinations of several columns that occur, as one column."""
        if len(columns) == 1:
            return columns[0]
        stacked = np.stack([one.codes for one in columns], axis=1)
        combinations, codes = np.unique(stacked, axis=0, return_inverse=True)
        labels = [JOIN.join(one.values[code] for one, code in zip(columns, row)) for row in combinations]
        name = JOIN.join(one.name for one in columns)
        return cls._sorted(name, labels, np.asarray(codes, dtype=np.int64).reshape(-1))

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


def _text(label: object) -> str:
    """A label without outer space; whole numbers stored as fractions lose the fraction."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label).strip()
