"""How numbers and names are put into words, the same in pages, plots, tables and cards."""

import math
import statistics
from collections.abc import Iterable

import numpy as np

Whole = int | np.integer
Number = float | np.floating | Whole

UNDEFINED = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
MOST_DECIMALS = 7


def as_float(value: Number | None) -> float:
    """Return a number as a float; what is missing is NaN."""
    return math.nan if value is None else float(value)


def printable(text: str) -> str:
    """Return text on one line; control and direction marks become replacement marks, nothing hides in a name."""
    spaced = (" " if letter.isspace() else letter for letter in text)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in spaced)


def shortened(text: str, most: int) -> str:
    """Return printable text of at most `most` characters, cut in the middle, where names differ least."""
    clean = printable(text)
    if len(clean) <= most:
        return clean
    tail = (most - 1) // 2
    return f"{clean[: most - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{clean[len(clean) - tail :]}"


def decimals_for(values: Iterable[Number | None], digits: int) -> int:
    """Return how many decimals a column of numbers needs: `digits` around one, more below a tenth, fewer from ten on.

    The typical size decides (the median of what is finite and not zero), so that one outlier hides nothing.
    """
    sizes = [abs(one) for one in map(as_float, values) if math.isfinite(one) and one != 0]
    if not sizes:
        return digits
    order = math.floor(math.log10(statistics.median(sizes)))
    if order < -1:
        return digits - 1 - order
    return max(digits - order, 0) if order >= 1 else digits


def number(value: Number | None, decimals: int = 3) -> str:
    """Return a number in words with a true minus sign; an en dash where it is undefined."""
    plain = as_float(value)
    if math.isnan(plain):
        return UNDEFINED
    if math.isinf(plain):
        return f"{MINUS if plain < 0 else ''}\N{INFINITY}"
    text = f"{plain:.2e}" if decimals > MOST_DECIMALS else f"{plain:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def count(value: Number | None) -> str:
    """Return a whole number with thousands separated; an en dash where it is undefined."""
    return number(value, 0)
