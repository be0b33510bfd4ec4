"""What a screen holds, in numbers: cells per condition, context and batch, targets outside the panel, few controls."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition, Perturbation
from pertura.genes.identified import found_among

FEW_CONTROLS = 100
"""Below this many control cells the noise of their mean rivals the effects of most perturbations."""
SHOWN = 10
DEEPER = 1.25
"""Controls this many times deeper or shallower than perturbed cells make depth look like an effect."""
ENOUGH = 20
"""Cells on each side from which a median is worth comparing."""


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
    they can be predicted from, but whether they were hit cannot be seen; `elsewhere` are those of them that it measures
    under another name, with that name. `unmatched` are combinations of context and batch whose perturbed cells have no
    control cell in the same batch, with their number of cells. `without_singles` are pairs of which a single was not
    measured in the same context and mode: nothing can be added up for them.
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
    elsewhere: tuple[tuple[str, str], ...]
    without_singles: tuple[str, ...]
    warnings: tuple[str, ...]


def overview(cells: Cells) -> Overview:
    """Return a screen in numbers; reads no expression."""
    sizes = {one: len(cells.rows_of(one)) for one in cells.perturbed}
    perturbations = {one.perturbation for one in sizes}
    targets = {gene for one in sizes for gene in one.genes}
    missing = tuple(sorted(targets - set(cells.genes)))
    elsewhere = tuple(sorted(found_among(missing, cells.genes).items())) if missing else ()
    renamed = {name for name, _ in elsewhere}
    outside = tuple(gene for gene in missing if gene not in renamed)
    alone = _without_singles(sizes)
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
        elsewhere=elsewhere,
        without_singles=tuple(one.label for one in alone),
        warnings=(
            *_cell_warnings(cells, contexts, unmatched),
            *_gene_warnings(cells, len(targets), outside, elsewhere),
            *_pair_warnings(perturbations, alone),
        ),
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


def _without_singles(sizes: dict[Condition, int]) -> list[Condition]:
    """Pairs whose parts were not both perturbed alone in the same context and mode."""
    measured = set(sizes)
    return [
        one
        for one in sorted(sizes)
        if one.perturbation.is_pair
        and not all(
            Condition(Perturbation(frozenset({target})), one.context) in measured for target in one.perturbation.targets
        )
    ]


def _cell_warnings(
    cells: Cells, contexts: tuple[ContextOverview, ...], unmatched: tuple[tuple[str, str, int], ...]
) -> list[str]:
    found = _control_warnings(contexts)
    for one in contexts:
        if len(one.modes) > 1:
            found.append(f"{one.name or 'the screen'} mixes modes ({', '.join(one.modes)}); they are kept apart")
    found.extend(_depth_warning(cells, contexts))
    if unmatched:
        lost = sum(size for _, _, size in unmatched)
        batches = len({batch for _, batch, _ in unmatched})
        found.append(f"{lost:,} perturbed cells lie in {batches:,} batches without control cells of their context")
    tiny = sum(len(cells.rows_of(one)) < SHOWN for one in cells.perturbed)
    if tiny:
        found.append(f"{tiny:,} conditions have fewer than {SHOWN} cells")
    found.extend(_mode_warning(contexts))
    return found


def _control_warnings(contexts: tuple[ContextOverview, ...]) -> list[str]:
    bare = [one.name or "the screen" for one in contexts if not one.controls]
    few = [one for one in contexts if 0 < one.controls < FEW_CONTROLS]
    found = []
    if bare:
        verb = "has" if len(bare) == 1 else "have"
        found.append(f"{_some(bare)} {verb} no control cells: no effect can be measured or judged there")
    if len(few) <= 2:
        found += [
            f"{one.name or 'the screen'} has only {one.controls} control cells (under {FEW_CONTROLS}): its effects are "
            "noisy"
            for one in few
        ]
    else:
        least = min(few, key=lambda one: one.controls)
        found.append(
            f"{_some([one.name for one in few])} have under {FEW_CONTROLS} control cells ({least.name} only "
            f"{least.controls}): their effects are noisy"
        )
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")


def _mode_warning(contexts: tuple[ContextOverview, ...]) -> list[str]:
    where: dict[str, list[str]] = {}
    for one in contexts:
        for mode in one.modes:
            where.setdefault(mode, []).append(one.name)
    if len(where) < 2 or any(len(one.modes) > 1 for one in contexts):
        return []
    told = "; ".join(f"{mode} in {', '.join(names[:4])}" for mode, names in where.items())
    return [f"modes differ between contexts ({told}): nothing is carried from one mode to another"]


def _depth_warning(cells: Cells, contexts: tuple[ContextOverview, ...]) -> list[str]:
    """Library sizes are compared as medians: one deep cell says nothing, and neither do a few cells."""
    if cells.library_sizes is None:
        return []
    found = {}
    for one in contexts:
        perturbed = [cells.rows_of(condition) for condition in cells.perturbed if condition.context == one.name]
        rows = (cells.control_rows(one.name), np.concatenate(perturbed) if perturbed else np.empty(0, dtype=np.int64))
        if min(len(side) for side in rows) < ENOUGH:
            continue
        mine, its = (float(np.median(cells.library_sizes[side])) for side in rows)
        if min(mine, its) > 0 and max(mine, its) >= DEEPER * min(mine, its):
            found[one.name or "the screen"] = f"{mine:,.0f} counts in a control cell, {its:,.0f} in a perturbed one"
    if not found:
        return []
    return [f"depth differs in {_some(list(found))} ({next(iter(found.values()))}): a part of every change is depth"]


def _gene_warnings(
    cells: Cells, targets: int, outside: tuple[str, ...], elsewhere: tuple[tuple[str, str], ...]
) -> list[str]:
    found = []
    if targets and len(outside) == targets:
        found.append("no target is in the panel: are labels and gene names of one kind (symbols, Ensembl numbers)?")
    if elsewhere:
        shown = ", ".join(f"{name} as {other}" for name, other in elsewhere[:4])
        found.append(
            f"{len(elsewhere):,} targets are measured under another name ({shown}): --gene-names approved joins the two"
        )
    return found


def _pair_warnings(perturbations: set[Perturbation], alone: list[Condition]) -> list[str]:
    pairs = sum(one.is_pair for one in perturbations)
    if not alone:
        return []
    return [
        f"{len(alone):,} of {pairs:,} pairs lack a single of theirs ({', '.join(one.label for one in alone[:3])}): "
        "nothing can be added up for them, and no interaction seen"
    ]
