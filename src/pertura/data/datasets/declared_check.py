"""Is a file the published screen that it is said to be?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pertura.core.errors import BadDataError, PerturaError
from pertura.data.anndata_io import Screen, open_screen
from pertura.data.datasets.declared import Declared

TOLERANCE = 0.1
"""Versions of a published file differ by a few cells and conditions; beyond this it is another file."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a screen has of something, and what is declared."""

    what: str
    found: int
    declared: int

    @property
    def is_far(self) -> bool:
        """The two cannot be of one file."""
        return abs(self.found - self.declared) > TOLERANCE * self.declared


@dataclass(frozen=True, eq=False)
class Checked:
    """A screen that is the declared one, with what differs in small things."""

    screen: Screen
    differences: tuple[str, ...]


def check(path: Path, declared: Declared) -> Checked:
    """Return the screen of a file read as declared; `BadDataError` where it is plainly another file."""
    try:
        screen = open_screen(path, **declared.flags)
    except BadDataError as error:
        if error.place.startswith("obs"):
            raise _refusal(path, declared, error.problem) from error
        raise
    except PerturaError as error:
        if error.exit_code != 2:
            raise
        raise _refusal(path, declared, str(error)) from error
    counts = tuple(_counts(screen, declared))
    far = [one for one in counts if one.is_far]
    if far:
        listed = ", ".join(f"{one.found:,} {one.what} and not {one.declared:,}" for one in far)
        raise _refusal(path, declared, f"it has {listed}")
    absent = [name for name in declared.columns if name not in _columns(screen)]
    differences = [
        f"{one.found:,} {one.what}, {one.declared:,} declared" for one in counts if one.found != one.declared
    ]
    if absent:
        differences.append(f"obs has no {', '.join(absent)}")
    return Checked(screen, tuple(differences))


def _counts(screen: Screen, declared: Declared) -> Iterator[Count]:
    cells = screen.cells
    yield Count("genes", len(cells.genes), declared.genes)
    yield Count("cells", len(cells), declared.cells)
    yield Count("contexts", len(cells.contexts), declared.contexts)
    if declared.conditions is not None:
        yield Count("conditions", len(cells.perturbed), declared.conditions)


def _columns(screen: Screen) -> frozenset[str]:
    from pertura.data.stores import names_in, opened

    with opened(screen.path) as file:
        return frozenset(names_in(file["obs"]))


def _refusal(path: Path, declared: Declared, problem: str) -> BadDataError:
    doubt = f" ({declared.unconfirmed})" if declared.unconfirmed else ""
    return BadDataError(
        f"is not the published screen {declared.name}: {problem}",
        file=path,
        remedy=f"{declared.way}{doubt}; any other file goes straight to `pertura inspect`",
    )
