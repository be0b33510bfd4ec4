"""What a screen holds, in numbers: cells per condition, context and batch, targets outside the panel, few controls."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition

FEW_CONTROLS = 100
"""Below this many control cells the noise of their mean rivals the effects of most perturbations."""
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Spread:
    """How many groups, and how many cells the smallest, the middle and the largest of them have."""

    groups: int
    smallest: int
    median: float
    largest: int

    @classmethod
    def of(cls, sizes: Int[np.ndarray, " groups"]) -> "Spread":
        """Return the spread of group sizes; zeros where there is no group."""
        if not len(sizes):
            return cls(0, 0, 0.0, 0)
        return cls(len(sizes), int(sizes.min()), float(np.median(sizes)), int(sizes.max()))


@dataclass(frozen=True, slots=True)
class ContextOverview:
    """One context: its perturbed cells by condition, its control cells, and which modes occur."""

    name: str
    controls: int
    conditions: Spread
    modes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """A screen in numbers.

    `smallest` lists the conditions with the fewest cells. `outside` are the targets that the panel does not measure:
    they can be predicted from, but whether they were hit cannot be seen. `unmatched` are combinations of context and
    batch whose perturbed cells have no control cell in the same batch, with their number of cells.
    """

    cells: int
    genes: int
    controls: int
    singles: int
    pairs: int
    larger: int
    conditions: Spread
    smallest: tuple[tuple[str, int], ...]
    contexts: tuple[ContextOverview, ...]
    batches: Spread
    unmatched: tuple[tuple[str, str, int], ...]
    targets: int
    outside: tuple[str, ...]
    warnings: tuple[str, ...]


def overview(cells: Cells) -> Overview:
    """Return a screen in numbers; reads no expression."""
    sizes = {one: len(cells.rows_of(one)) for one in cells.perturbed}
    perturbations = {one.perturbation for one in sizes}
    targets = {gene for one in sizes for gene in one.genes}
    outside = tuple(sorted(targets - set(cells.genes)))
    contexts = tuple(_context(cells, name, sizes) for name in cells.contexts)
    unmatched = _unmatched(cells)
    per_batch = np.empty(0, dtype=np.int64) if cells.batch_codes is None else np.bincount(cells.batch_codes)
    ranked = sorted(sizes.items(), key=lambda item: (item[1], item[0]))[:SHOWN]
    return Overview(
        cells=len(cells),
        genes=len(cells.genes),
        controls=int(cells.is_control.sum()),
        singles=sum(one.is_single for one in perturbations),
        pairs=sum(one.is_pair for one in perturbations),
        larger=sum(len(one.targets) > 2 for one in perturbations),
        conditions=Spread.of(np.asarray(list(sizes.values()), dtype=np.int64)),
        smallest=tuple((one.label, size) for one, size in ranked),
        contexts=contexts,
        batches=Spread.of(per_batch),
        unmatched=unmatched,
        targets=len(targets),
        outside=outside,
        warnings=_warnings(cells, contexts, unmatched, len(targets), len(outside)),
    )


def _context(cells: Cells, name: str, sizes: dict[Condition, int]) -> ContextOverview:
    here = {one: size for one, size in sizes.items() if one.context == name}
    modes = sorted({str(mode) for one in here for mode in one.perturbation.modes})
    spread = Spread.of(np.asarray(list(here.values()), dtype=np.int64))
    return ContextOverview(name, len(cells.control_rows(name)), spread, tuple(modes))


def _unmatched(cells: Cells) -> tuple[tuple[str, str, int], ...]:
    if cells.batch_codes is None:
        return ()
    contexts = {name: i for i, name in enumerate(cells.contexts)}
    context_of = np.asarray([contexts.get(one.context, 0) for one in cells.conditions], dtype=np.int64)[cells.codes]
    shape = len(contexts), len(cells.batches)
    cell_of = np.ravel_multi_index((context_of, cells.batch_codes), shape)
    controls = np.bincount(cell_of[cells.is_control], minlength=shape[0] * shape[1]).reshape(shape)
    perturbed = np.bincount(cell_of[~cells.is_control], minlength=shape[0] * shape[1]).reshape(shape)
    alone = np.argwhere((perturbed > 0) & (controls == 0))
    return tuple((cells.contexts[i], cells.batches[j], int(perturbed[i, j])) for i, j in alone)


def _warnings(
    cells: Cells,
    contexts: tuple[ContextOverview, ...],
    unmatched: tuple[tuple[str, str, int], ...],
    targets: int,
    outside: int,
) -> tuple[str, ...]:
    found = []
    for one in contexts:
        name = one.name or "the screen"
        if not one.controls:
            found.append(f"{name} has no control cells: no effect can be measured or judged there")
        elif one.controls < FEW_CONTROLS:
            found.append(f"{name} has only {one.controls} control cells (under {FEW_CONTROLS}): its effects are noisy")
        if len(one.modes) > 1:
            found.append(f"{name} mixes modes ({', '.join(one.modes)}); they are kept apart")
    if unmatched:
        lost = sum(size for _, _, size in unmatched)
        batches = len({batch for _, batch, _ in unmatched})
        found.append(f"{lost:,} perturbed cells lie in {batches:,} batches without control cells of their context")
    if targets and outside == targets:
        found.append("no target is in the panel: are labels and gene names of one kind (symbols, Ensembl numbers)?")
    tiny = sum(len(cells.rows_of(one)) < SHOWN for one in cells.perturbed)
    if tiny:
        found.append(f"{tiny:,} conditions have fewer than {SHOWN} cells")
    return tuple(found)
