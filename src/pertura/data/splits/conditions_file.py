"""A list of conditions in place of a data file: one spelled condition a line."""

import os
from dataclasses import dataclass
from pathlib import Path

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.core.split import Outline

CONTROL_WORDS = frozenset({"ctrl", "control", "non-targeting"})


@dataclass(frozen=True, slots=True)
class ConditionList:
    """The outline of a list, and the lines that spell a condition again in another way."""

    outline: Outline
    respelled: tuple[str, ...]


def read_conditions(path: str | os.PathLike[str], mode: Mode = Mode.UNSPECIFIED) -> ConditionList:
    """Return the conditions of a file: `A`, `A+ctrl` or `A+B`, and `@context` after it where there are several.

    Control and blank lines are skipped. Of two spellings of one condition the alphabetically first counts. A line that
    names no genes raises `BadDataError` with its number.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise MissingError(f"{path}: no such file; give a list of conditions, one a line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataError(f"not a text file: {error}", file=path, remedy="one condition a line, UTF-8") from error
    spellings: dict[Condition, set[str]] = {}
    for number, line in enumerate(lines, start=1):
        spelling, _, context = line.strip().partition("@")
        condition = _condition(spelling, context, mode, f"{path}, line {number}")
        if not condition.is_control:
            spellings.setdefault(condition, set()).add(spelling)
    if not spellings:
        raise BadDataError("no condition but control", file=path, remedy="one condition a line, such as A+B or A+ctrl")
    first = {one: min(variants) for one, variants in spellings.items()}
    again = sorted(name for one, variants in spellings.items() for name in variants - {first[one]})
    return ConditionList(Outline(tuple(first), first), tuple(again))


def _condition(spelling: str, context: str, mode: Mode, place: str) -> Condition:
    genes = [gene for gene in spelling.split("+") if gene not in CONTROL_WORDS] if spelling else []
    try:
        return Condition(Perturbation.of(*genes, mode=mode), context)
    except UsageError as error:
        raise BadDataError(str(error), place=place) from error
