"""The simulated screens that can be had by name; `simulate` gives others, and their truth."""

from dataclasses import replace

from pertura.core.cells import Cells
from pertura.core.perturbation import Mode
from pertura.data.datasets.entry import DatasetEntry
from pertura.data.datasets.simulation import Truth


def _pairs(seed: int) -> Cells:
    from pertura.data.datasets.simulate import simulate_norman  # the table of names must not need the simulator

    return replace(simulate_norman(seed=seed).cells, name="simulated-pairs")


def _lines(seed: int) -> Cells:
    from pertura.data.datasets.simulate import simulate_replogle

    return replace(simulate_replogle(seed=seed).cells, name="simulated-lines")


def _pairs_truth(seed: int) -> Truth:
    from pertura.data.datasets.simulate import simulate_norman

    return simulate_norman(seed=seed).truth


def _lines_truth(seed: int) -> Truth:
    from pertura.data.datasets.simulate import simulate_replogle

    return simulate_replogle(seed=seed).truth


PAIRS = DatasetEntry(
    name="simulated-pairs",
    description="one line, activation: control, 24 singles and 30 pairs, some interacting; 3,640 cells x 450 genes",
    modes=(Mode.ACTIVATION,),
    licence="BSD-3-Clause",
    source="simulated by pertura: gamma-Poisson counts, known effects",
    read=_pairs,
    truth=_pairs_truth,
)
LINES = DatasetEntry(
    name="simulated-lines",
    description="three lines, interference: control and the same 18 singles in each, shared and own effects; "
    "3,990 cells x 450 genes",
    modes=(Mode.INTERFERENCE,),
    licence="BSD-3-Clause",
    source="simulated by pertura: gamma-Poisson counts, known effects",
    read=_lines,
    truth=_lines_truth,
)
