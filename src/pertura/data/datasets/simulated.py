"""The simulated screens that can be had by name; `simulate` gives others, and their truth."""

from dataclasses import replace

from pertura.core.cells import Cells
from pertura.core.perturbation import Mode
from pertura.data.datasets.entry import DatasetEntry
from pertura.data.datasets.simulation import Simulation, Truth


def _pairs(seed: int) -> Cells:
    return replace(_simulated_pairs(seed).cells, name="simulated-pairs")


def _lines(seed: int) -> Cells:
    return replace(_simulated_lines(seed).cells, name="simulated-lines")


def _pairs_truth(seed: int) -> Truth:
    return _simulated_pairs(seed).truth


def _simulated_pairs(seed: int) -> Simulation:
    from pertura.data.datasets.simulate import simulate_norman  # the table of names must not need the simulator
    from pertura.data.datasets.simulation import norman_like

    return simulate_norman(norman_like(targets_outside_panel=0.0), seed=seed)


def _lines_truth(seed: int) -> Truth:
    return _simulated_lines(seed).truth


def _simulated_lines(seed: int) -> Simulation:
    from pertura.data.datasets.simulate import simulate_replogle

    return simulate_replogle(seed=seed)


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
