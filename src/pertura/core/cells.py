"""Measured cells: expression, genes, condition and batch of each, and the scale they are on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Subset, dense
from pertura.core.perturbation import Condition, Mode


@dataclass(frozen=True, slots=True)
class Scale:
    """What the numbers are: counts, or logarithms of counts scaled to a target sum per cell.

    `whole_transcriptome` says whether the size factors came from all genes of the cell (True), from the panel
    alone (False), or is not known (None). `evidence` says in words how the scale was recognised.
    """

    kind: Literal["counts", "lognormalised"]
    target_sum: float | None = None
    log_base: float | None = None
    whole_transcriptome: bool | None = None
    evidence: str = ""


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells x genes with a condition for each cell. Reads nothing and copies nothing by itself.

    `codes[i]` is the position in `conditions` of cell i's condition; `batch_codes` likewise in `batches`.
    `library_sizes` are total counts per cell over the whole transcriptome. `spellings` keeps how the file spelled a
    condition, where that matters (splits of other tools sort spelled names). `notes` lists what the file brought with
    it that was computed before any split.
    """

    expression: Expression
    genes: tuple[str, ...]
    ids: Shaped[np.ndarray, " cells"]
    conditions: tuple[Condition, ...]
    codes: Int[np.ndarray, " cells"]
    scale: Scale
    batches: tuple[str, ...] = ()
    batch_codes: Int[np.ndarray, " cells"] | None = None
    library_sizes: Float[np.ndarray, " cells"] | None = None
    spellings: dict[Condition, str] = field(default_factory=dict)
    name: str = "cells"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        cells, genes = self.expression.shape
        sizes = {"ids": len(self.ids), "codes": len(self.codes)}
        if self.batch_codes is not None:
            sizes["batch_codes"] = len(self.batch_codes)
        if self.library_sizes is not None:
            sizes["library_sizes"] = len(self.library_sizes)
        wrong = {name: size for name, size in sizes.items() if size != cells}
        if wrong or genes != len(self.genes):
            raise BadDataError(f"{self.name}: {cells} cells x {genes} genes, but {wrong or {'genes': len(self.genes)}}")
        if len(set(self.genes)) != genes:
            raise BadDataError(f"{self.name}: gene names repeat", remedy="make them unique before reading")
        if len(np.unique(self.ids)) != cells:
            raise BadDataError(f"{self.name}: cell names repeat", remedy="make them unique before reading")
        if len(set(self.conditions)) != len(self.conditions):
            raise BadDataError(f"{self.name}: a condition is listed twice")
        _check_codes(f"{self.name}: codes", self.codes, len(self.conditions))
        if self.batch_codes is not None:
            _check_codes(f"{self.name}: batch_codes", self.batch_codes, len(self.batches))

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def contexts(self) -> tuple[str, ...]:
        """The contexts that have cells, sorted."""
        return tuple(sorted({self.conditions[code].context for code in np.unique(self.codes)}))

    @cached_property
    def present(self) -> tuple[Condition, ...]:
        """The conditions that have cells, control included, sorted."""
        return tuple(sorted(self.conditions[code] for code in np.unique(self.codes)))

    @property
    def perturbed(self) -> tuple[Condition, ...]:
        """The conditions that have cells and are not control, sorted."""
        return tuple(condition for condition in self.present if not condition.is_control)

    @property
    def modes(self) -> frozenset[Mode]:
        """The modes of the perturbations that have cells."""
        return frozenset(mode for one in self.perturbed for mode in one.perturbation.modes)

    @cached_property
    def _rows(self) -> dict[Condition, Int[np.ndarray, " cells"]]:
        order = np.argsort(self.codes, kind="stable")
        edges = np.searchsorted(self.codes[order], np.arange(len(self.conditions) + 1))
        return {one: order[edges[i] : edges[i + 1]] for i, one in enumerate(self.conditions)}

    def rows_of(self, condition: Condition) -> Int[np.ndarray, " cells"]:
        """Return the rows of a condition in the order of the file; empty where it has no cells."""
        return self._rows.get(condition, np.empty(0, dtype=np.int64))

    def control_rows(self, context: str) -> Int[np.ndarray, " cells"]:
        """Return the rows of the unperturbed cells of a context."""
        found = [rows for one, rows in self._rows.items() if one.is_control and one.context == context]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    @cached_property
    def is_control(self) -> Bool[np.ndarray, " cells"]:
        """Which cells are unperturbed."""
        return np.asarray([one.is_control for one in self.conditions], dtype=bool)[self.codes]

    @cached_property
    def row_of_id(self) -> dict[str, int]:
        """Cell name -> row."""
        return {str(one): row for row, one in enumerate(self.ids)}

    def rows_of_ids(self, ids: Sequence[str]) -> Int[np.ndarray, " cells"]:
        """Return the rows of named cells; an unknown name raises `BadDataError`."""
        table = self.row_of_id
        missing = [one for one in ids if one not in table]
        if missing:
            raise BadDataError(
                f"{len(missing)} of {len(ids)} named cells are not in {self.name} (first: {missing[0]})",
                remedy="the split was made for another file: make it again with `pertura split`",
            )
        return np.asarray([table[one] for one in ids], dtype=np.int64)

    def take(self, rows: Int[np.ndarray, " cells"]) -> "Cells":
        """Return these cells, in this order, without copying expression."""
        return replace(
            self,
            expression=Subset(self.expression, rows),
            ids=self.ids[rows],
            codes=self.codes[rows],
            batch_codes=None if self.batch_codes is None else self.batch_codes[rows],
            library_sizes=None if self.library_sizes is None else self.library_sizes[rows],
        )

    def with_genes(self, genes: Sequence[str]) -> "Cells":
        """Return the same cells on these genes, in this order; a gene that is not there raises `BadDataError`."""
        if tuple(genes) == self.genes:
            return self
        position = {gene: column for column, gene in enumerate(self.genes)}
        missing = [gene for gene in genes if gene not in position]
        if missing:
            raise BadDataError(f"{self.name} lacks {len(missing)} of {len(genes)} genes (first: {missing[0]})")
        columns = np.asarray([position[gene] for gene in genes], dtype=np.int64)
        whole = np.arange(len(self), dtype=np.int64)
        return replace(self, expression=Subset(self.expression, whole, columns), genes=tuple(genes))

    def dense(self, rows: Int[np.ndarray, " cells"]) -> Float[np.ndarray, "cells genes"]:
        """Return some cells as a float64 array in memory."""
        return dense(self.expression.rows(rows))


def _check_codes(name: str, codes: Int[np.ndarray, " cells"], size: int) -> None:
    """Refuse a code that points at nothing: numpy would take -1 (a missing label of pandas) for the last one."""
    if len(codes) and not (codes.min() >= 0 and codes.max() < size):
        raise BadDataError(f"{name} run from {codes.min()} to {codes.max()}, but there are {size}")
