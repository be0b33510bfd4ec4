"""Statistics of columns as polars describes them: what compatibility presets call their aggregate."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from pertura.evaluation.compatible.profile import Column

STATISTICS = ("count", "null_count", "mean", "std", "min", "25%", "50%", "75%", "max")
Row = dict[str, float | None]


def described(columns: Mapping[str, Column]) -> dict[str, Row]:
    """Return statistic -> column -> value; None where polars leaves the cell empty.

    Rows without an entry are left out and counted as null. NaN are kept: one makes mean and standard deviation NaN,
    quartiles take it for the largest value, minimum and maximum pass it over. A quartile is the value whose place is
    nearest, the later one of two equally near.
    """
    tables = {name: _describe(column) for name, column in columns.items()}
    return {statistic: {name: table[statistic] for name, table in tables.items()} for statistic in STATISTICS}


def _describe(column: Column) -> Row:
    null = 0 if column.absent is None else int(column.absent.sum())
    values = column.values if column.absent is None else column.values[~column.absent]
    found: Row = {"count": float(len(values)), "null_count": float(null)}
    if not len(values):
        return found | dict.fromkeys(STATISTICS[2:])
    ordered = np.sort(values)  # NaN last
    defined = ordered[~np.isnan(ordered)]
    return found | {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "min": float(defined[0]) if len(defined) else float("nan"),
        "25%": _quantile(ordered, 0.25),
        "50%": _quantile(ordered, 0.5),
        "75%": _quantile(ordered, 0.75),
        "max": float(defined[-1]) if len(defined) else float("nan"),
    }


def _quantile(ordered: Float[np.ndarray, " values"], share: float) -> float:
    return float(ordered[int(np.floor((len(ordered) - 1) * share + 0.5))])
