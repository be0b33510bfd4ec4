"""How many times the observed cells are redrawn, permuted and halved: as often as asked, or as the size allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Cost = Literal["means", "ranks", "tests", "cells"]
WORDS: dict[Cost, str] = {
    "means": "means of conditions",
    "ranks": "ranks among conditions",
    "tests": "rank tests of genes",
    "cells": "distances between cells",
}


@dataclass(frozen=True, slots=True)
class Rounds:
    """How many draws of each kind are made."""

    bootstrap: int
    permutations: int
    halves: int

    @property
    def total(self) -> int:
        """All draws."""
        return self.bootstrap + self.permutations + self.halves

    def within(self, most: float) -> "Rounds":
        """Return as many draws of each kind as fit into `most` together, never fewer than 20, 10 and 2 of those."""
        share = min(1.0, most / max(self.total, 1))
        return Rounds(
            max(round(share * self.bootstrap), min(self.bootstrap, 20)),
            max(round(share * self.permutations), min(self.permutations, 10)),
            max(round(share * self.halves), min(self.halves, 2)),
        )

    def at_most(self, other: "Rounds") -> "Rounds":
        """Return the smaller number of each kind."""
        return Rounds(
            min(self.bootstrap, other.bootstrap),
            min(self.permutations, other.permutations),
            min(self.halves, other.halves),
        )


@dataclass(frozen=True)
class Effort:
    """How many draws of each kind are made; more narrow the Monte-Carlo error, at proportional cost.

    `means`, `ranks`, `tests` and `cells` bound the work of scoring one prediction, in values touched over all draws:
    where a screen is so large that the draws asked for would take more, fewer are made, and that is said. The bounds
    depend on the size of the screen alone, so the same screen is always judged with the same draws. Conditions are
    redrawn as often as asked, each time with one of the draws of cells. At most `most_cells` cells of a condition,
    chosen by name, enter distances between cells.
    """

    bootstrap: int = 200
    permutations: int = 100
    halves: int = 10
    effect_permutations: int = 199
    means: float = 2e8
    ranks: float = 2e11
    tests: float = 5e9
    cells: float = 5e8
    most_cells: int = 64

    def rounds(self, cells: int, conditions: int, genes: int) -> dict[Cost, Rounds]:
        """Return the draws of each kind for metrics of each cost."""
        asked = Rounds(self.bootstrap, self.permutations, self.halves)
        means = asked.within(self.means / (conditions * genes))
        ranks = asked.within(self.ranks / (conditions**2 * genes)).at_most(means)
        tests = asked.within(self.tests / (cells * genes)).at_most(means)
        # redraws only weigh distances anew, and halves are shared by all predictions
        most = self.cells / (conditions * self.most_cells**2 * genes)
        fewer = Rounds(0, self.permutations, 0).within(most).permutations
        pairs = Rounds(means.bootstrap, fewer, Rounds(0, 0, self.halves).within(most).halves).at_most(means)
        return {"means": means, "ranks": ranks, "tests": tests, "cells": pairs}

    def notes(self, rounds: Mapping[Cost, Rounds]) -> tuple[str, ...]:
        """Say where fewer draws are made than were asked for."""
        asked = Rounds(self.bootstrap, self.permutations, self.halves)
        return tuple(
            f"{WORDS[cost]}: {made.bootstrap} of {asked.bootstrap} redraws, {made.permutations} of "
            f"{asked.permutations} permutations and {made.halves} of {asked.halves} cuts in half are made, to keep "
            "the time of one prediction in bounds"
            for cost, made in rounds.items()
            if made != asked
        )
