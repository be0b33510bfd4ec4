"""Long proteins in windows that a model can read; each residue counts once."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pertura.core.errors import UsageError

LONGEST = 1022
"""Residues that ESM2 was trained to read at a time."""
OVERLAP = 256


@dataclass(frozen=True, slots=True)
class Window:
    """Residues `start` to `stop` are read together; of these `first` to `last` count. Ends are exclusive."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def length(self) -> int:
        """Residues that are read."""
        return self.stop - self.start


def windows(residues: int, longest: int = LONGEST, overlap: int = OVERLAP) -> tuple[Window, ...]:
    """Return the windows of a protein: one where it is short enough.

    Longer ones are read in windows of `longest` residues that begin every `longest - overlap`; the last one is moved
    back so that it ends with the protein. What two neighbours share is halved: each residue counts in the window in
    which it lies farther from an end, and counts there only.
    """
    if not 0 <= overlap < longest:
        raise UsageError(f"windows of {longest} residues cannot overlap by {overlap}")
    if residues <= longest:
        return (Window(0, residues, 0, residues),)
    starts = [*range(0, residues - longest, longest - overlap), residues - longest]
    cuts = [0, *((after + before + longest) // 2 for before, after in itertools.pairwise(starts)), residues]
    return tuple(Window(start, start + longest, *own) for start, own in zip(starts, itertools.pairwise(cuts)))


@dataclass(frozen=True, slots=True)
class Piece:
    """One window of one protein of a list."""

    protein: int
    window: Window


def pieces(lengths: Iterable[int], cut: Callable[[int], tuple[Window, ...]]) -> list[Piece]:
    """Return all windows of all proteins, by length, so that those that are read together need little padding."""
    found = [Piece(protein, window) for protein, length in enumerate(lengths) for window in cut(length)]
    return sorted(found, key=lambda one: (one.window.length, one.protein, one.window.start))


def batches(ordered: Iterable[Piece], tokens: int, specials: int) -> Iterator[list[Piece]]:
    """Yield pieces that are read together: as many as fit `tokens` when each is as long as the longest, at least one.

    Which pieces meet depends on the whole list and on nothing else, so that a resumed run has the same batches.
    """
    batch: list[Piece] = []
    for one in ordered:
        if batch and (one.window.length + specials) * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
