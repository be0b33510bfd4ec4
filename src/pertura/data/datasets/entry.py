"""What a row of the table of data sets says."""

from collections.abc import Callable
from dataclasses import dataclass

from pertura.core.cells import Cells
from pertura.core.perturbation import Mode
from pertura.data.datasets.simulation import Truth


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A screen that can be had by name. `read(seed)` makes its cells; measured screens ignore the seed.

    `truth(seed)` returns the expected change of each condition where it is known: for simulated screens.
    """

    name: str
    description: str
    modes: tuple[Mode, ...]
    licence: str
    source: str
    read: Callable[[int], Cells]
    truth: Callable[[int], Truth] | None = None

    def load(self, seed: int = 0) -> Cells:
        """Return the cells; a simulated screen is another one for another seed."""
        return self.read(seed)
