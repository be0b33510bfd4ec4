"""Published screens that are too large to come with the package: what their files hold, and where they are from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pertura.core.perturbation import Mode

ADD = "pertura data add"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A published file: its shape, what its obs holds, how it is read, and what to fetch.

    `conditions` counts perturbations in their contexts without control, None where it is not declared. `flags` are
    those of `pertura inspect`. `unconfirmed` names what of this was never compared with the file itself, or with what
    its makers say of it. `remarks` are what the file says wrongly or leaves out.
    """

    name: str
    description: str
    mode: Mode
    cells: int
    genes: int
    contexts: int
    conditions: int | None
    columns: tuple[str, ...]
    flags: Mapping[str, object] = field(default_factory=dict)
    fetch: str
    unconfirmed: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """What it is and where it is from, in one line."""
        return f"{self.description}; {self.fetch.removeprefix('fetch ')}"

    @property
    def told(self) -> tuple[str, ...]:
        """What must be known before relying on it."""
        doubt = f"{self.unconfirmed}: a difference from your file need not be a fault of the file"
        return (*([doubt] if self.unconfirmed else []), *self.remarks)

    @property
    def way(self) -> str:
        """What to fetch, and how to make it known."""
        return f"{self.fetch}, then `{ADD} {self.name} FILE.h5ad`"


GEARS_COLUMNS = ("condition", "cell_type", "dose_val", "control", "condition_name")
GEARS_FLAGS: Mapping[str, object] = {
    "perturbation_column": "condition",
    "control": ("ctrl",),
    "context_column": ("none",),
}

NORMAN = Declared(
    name="norman",
    description="Norman et al. 2019, K562, gene activation: 105 singles and 131 pairs; 91,205 cells x 5,045 genes",
    mode=Mode.ACTIVATION,
    cells=91_205,
    genes=5_045,
    contexts=1,
    conditions=236,
    columns=GEARS_COLUMNS,
    flags={**GEARS_FLAGS, "mode": "activation"},
    fetch="fetch perturb_processed.h5ad of the data set 'norman' as the package GEARS distributes it (Harvard "
    "Dataverse; its PertData.load('norman') downloads it)",
    remarks=(
        "cell_type says A549, but the cells are K562: the column is not used",
        "the 5,045 genes are 5,000 variable ones, chosen on all cells, and the perturbed ones",
    ),
)
ADAMSON = Declared(
    name="adamson",
    description="Adamson et al. 2016, K562, interference: 86 singles; 68,603 cells x 5,060 genes",
    mode=Mode.INTERFERENCE,
    cells=68_603,
    genes=5_060,
    contexts=1,
    conditions=86,
    columns=GEARS_COLUMNS,
    flags={**GEARS_FLAGS, "mode": "interference"},
    fetch="fetch perturb_processed.h5ad of the data set 'adamson' as the package GEARS distributes it (Harvard "
    "Dataverse; its PertData.load('adamson') downloads it)",
    unconfirmed="its shape, 68,603 cells x 5,060 genes, was not confirmed here",
    remarks=("the 5,060 genes are variable ones, chosen on all cells, and the perturbed ones",),
)
REPLOGLE = Declared(
    name="replogle",
    description="Replogle et al. 2022 and Nadig et al. 2025, interference of essential genes in K562, RPE1, Jurkat and "
    "HepG2; 643,413 cells x 6,546 genes",
    mode=Mode.INTERFERENCE,
    cells=643_413,
    genes=6_546,
    contexts=4,
    conditions=None,
    columns=("gene", "cell_line"),
    flags={
        "perturbation_column": "gene",
        "control": ("non-targeting",),
        "context_column": ("cell_line",),
        "mode": "interference",
    },
    fetch="fetch replogle_concat.h5ad, the four lines in one file as they are distributed with State",
    remarks=("perturbations and cells without a knock-down were removed before, test cells included",),
)

DECLARED: Mapping[str, Declared] = {one.name: one for one in (NORMAN, ADAMSON, REPLOGLE)}
"""Name -> published screen. To add one: write its `Declared` and name it here."""
