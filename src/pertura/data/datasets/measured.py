"""The measured screens that come with the package."""

from pathlib import Path

from pertura.core.cells import Cells
from pertura.core.perturbation import Mode
from pertura.data.datasets.compact import read_compact
from pertura.data.datasets.entry import DatasetEntry

FOLDER = Path(__file__).parent / "bundled"
PANEL_NOTE = "the 500-gene panel was chosen by variability over all cells, before any split"
RENAMED_NOTE = "KIAA1804 is shown under its current symbol MAP3K21"


def _norman(seed: int) -> Cells:
    totals = "size factors are totals over the genes the curation kept: 0.3 to 1.8 % below all counts of the cell"
    notes = (PANEL_NOTE, totals)
    return read_compact(FOLDER / "norman_500.npz", Mode.ACTIVATION, "norman-500", (*notes, RENAMED_NOTE))


def _mcfaline(seed: int) -> Cells:
    totals = "size factors are totals over the genes the curation kept: 13 % (median) below all counts of the nucleus"
    notes = (PANEL_NOTE, totals)
    return read_compact(FOLDER / "mcfaline_500.npz", Mode.INTERFERENCE, "mcfaline-500", (*notes, RENAMED_NOTE))


NORMAN = DatasetEntry(
    name="norman-500",
    description="K562, gene activation: control, 18 singles and 15 pairs; 3,375 cells x 500 genes; 1 target measured",
    modes=(Mode.ACTIVATION,),
    licence="public data of GEO GSE133344; subset curated under BSD-3-Clause",
    source="Norman et al. 2019, development subset of PerturBench (altoslabs/perturbench)",
    read=_norman,
)
MCFALINE = DatasetEntry(
    name="mcfaline-500",
    description="A172, T98G, U87MG, interference: control and the same 9 singles in each; 2,586 cells x 500 genes; "
    "almost no detectable effect",
    modes=(Mode.INTERFERENCE,),
    licence="public data of GEO GSE225775; subset curated under BSD-3-Clause",
    source="McFaline-Figueroa et al. 2023, development subset of PerturBench (altoslabs/perturbench)",
    read=_mcfaline,
)
