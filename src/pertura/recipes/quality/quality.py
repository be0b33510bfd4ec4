"""The quality of a screen: every condition and guide looked at in turn."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.expression import BLOCK_CELLS, Expression, Subset
from pertura.core.seeds import generator
from pertura.data.overview import Overview, overview
from pertura.data.preparation.material import Material
from pertura.data.preparation.scaled import Unlogged, scaled, sized
from pertura.data.pseudobulk import batch_weights, mean_of
from pertura.metrics.differential import DifferentialExpression, Tests, differential_expression
from pertura.recipes.quality.agreement import Agreement, GuideDeltas, agreement_of
from pertura.recipes.quality.assessed import NAN, SIGNIFICANT, Assessed, TargetChange
from pertura.recipes.quality.cell_cycle import CycleWeights, cycle_weights
from pertura.recipes.quality.energy import energy_test_within
from pertura.recipes.quality.explained import shares
from pertura.recipes.quality.groups import Group, groups_of, guides_of
from pertura.recipes.quality.reference import Reference, Side, batch_of, few_of, reference_of

TARGET_SUM = 1e4
FEWEST_CONTROLS = 10
TESTED_VALUES = 1 << 24
"""Values of a table of rank tests that are held at a time."""
DEPTH, S_SCORE, G2M_SCORE = 0, 1, 2
BY_DEPTH, BY_CYCLE, BY_BOTH = (DEPTH,), (S_SCORE, G2M_SCORE), (DEPTH, S_SCORE, G2M_SCORE)
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How a screen is looked at."""

    guide_column: str | None = None
    permutations: int = 199
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Quality:
    """All that was found: conditions, their guides, and what a reader must know of the whole screen.

    `null` are the correlations of guides of different genes, by context.
    """

    cells: Cells
    overview: Overview
    conditions: tuple[Assessed, ...]
    guides: tuple[Assessed, ...]
    null: dict[str, Float[np.ndarray, " pairs"]]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    looking: Looking


@dataclass(frozen=True, eq=False)
class _Screen:
    """Cells on natural logarithms, what is known of each cell beside them, and how they are looked at."""

    cells: Cells
    features: Float[np.ndarray, "cells kinds"]
    cycle: CycleWeights
    looking: Looking


def quality(material: Material, looking: Looking, told: Told) -> Quality:
    """Return what each condition and guide did. Describes all cells, test cells of any split included.

    Expression is compared on natural logarithms of counts per 10,000; changes are taken against the controls of the
    same context and batch. Counts whose library sizes are not known raise `BadDataError`.
    """
    material, lost = _with_counts(material)
    cells, warnings = _logs(material)
    guides = guides_of(material.obs, material.reading, cells, looking.guide_column)
    conditions, parts = groups_of(cells, guides)
    screen = _screen(cells, looking)
    found: list[Assessed] = []
    null = {}
    for context in cells.contexts:
        mine = [one for one in conditions if one.condition.context == context]
        own = [one for one in parts if one.condition.context == context]
        assessed, null[context] = _of_context(screen, context, (mine, own), told)
        found.extend(assessed)
    seen = overview(cells)
    return Quality(
        cells=cells,
        overview=seen,
        conditions=tuple(one for one in found if not one.group.guide),
        guides=tuple(one for one in found if one.group.guide),
        null=null,
        notes=(guides.said, *filter(None, [screen.cycle.missing, _no_depth(cells)])),
        warnings=(*warnings, *lost, *seen.warnings),
        looking=looking,
    )


def _with_counts(material: Material) -> tuple[Material, tuple[str, ...]]:
    """The cells that hold counts, where it is counts that are held."""
    if material.cells.scale.kind != "counts":
        return material, ()
    material = material.with_sizes(sized(material.cells))
    sizes = material.cells.library_sizes
    if sizes is None or (sizes > 0).all():
        return material, ()
    return material.take(np.flatnonzero(sizes > 0)), (f"{int((sizes <= 0).sum()):,} cells without counts left out",)


def _logs(material: Material) -> tuple[Cells, tuple[str, ...]]:
    """Cells on natural logarithms; a panel normalised by its own sum is looked at, but not without a word."""
    try:
        return scaled(material, TARGET_SUM).cells, ()
    except BadDataError as error:
        if material.cells.scale.kind == "counts":
            raise
        return material.cells, (f"{error}: what follows is computed on the values as they are",)


def _no_depth(cells: Cells) -> str:
    return "" if cells.library_sizes is not None else "library sizes are not known, so nothing is said of depth"


# ---- what is known of each cell


def _screen(cells: Cells, looking: Looking) -> _Screen:
    controls = np.flatnonzero(cells.is_control)
    weights = cycle_weights(cells.genes, mean_of(cells.expression, controls))
    features = np.full((len(cells), 3), np.nan)
    if cells.library_sizes is not None:
        features[:, DEPTH] = np.log(cells.library_sizes)
    if weights.weights is not None:
        for start in range(0, len(cells), BLOCK_CELLS):
            rows = np.arange(start, min(start + BLOCK_CELLS, len(cells)))
            features[rows, S_SCORE:] = cells.expression.rows(rows) @ weights.weights
    return _Screen(cells, features, weights, looking)


# ---- one context


def _of_context(
    screen: _Screen, context: str, groups: tuple[list[Group], list[Group]], told: Told
) -> tuple[list[Assessed], Float[np.ndarray, " pairs"]]:
    cells, every = screen.cells, [*groups[0], *groups[1]]
    controls = len(cells.control_rows(context))
    if controls < FEWEST_CONTROLS:
        why = f"{controls} control cells in {context or 'the screen'}: nothing to compare with"
        return [Assessed(group=one, controls=controls, remarks=(why,)) for one in every], np.empty(0)
    reference = reference_of(cells, context, screen.features, (BY_DEPTH, BY_CYCLE, BY_BOTH))
    targets = _Targets.of(cells, every, reference.whole)
    agreement = agreement_of(GuideDeltas.of(cells, groups[1], reference), context, screen.looking.seed)
    found: list[Assessed] = []
    for some in groups:
        for tests, part in _tested(cells, some, reference.whole):
            for i, one in enumerate(part):
                if len(found) % 50 == 0:
                    told(f"conditions and guides of {context or 'the screen'}", len(found), len(every))
                made = _assessed(screen, one, reference, agreement, targets.of_group(one, tests, i))
                found.append(replace(made, genes_changed=int((tests.fdr[i] < SIGNIFICANT).sum())))
    return found, agreement.null


def _tested(
    cells: Cells, groups: Sequence[Group], controls: Side
) -> Iterator[tuple[DifferentialExpression, Sequence[Group]]]:
    """Yield rank tests of some groups at a time against all controls of the context."""
    most = max(TESTED_VALUES // len(cells.genes), 1)
    for start in range(0, len(groups), most):
        part = groups[start : start + most]
        rows = np.concatenate([*(one.rows for one in part), controls.rows])
        codes = np.repeat(np.arange(len(part) + 1), [*(len(one.rows) for one in part), len(controls.rows)])
        yield (
            differential_expression(
                Subset(cells.expression, rows), codes.astype(np.int64), len(part), options=Tests(logged=True)
            ),
            part,
        )


def _assessed(
    screen: _Screen, group: Group, reference: Reference, agreement: Agreement, targets: tuple[TargetChange, ...]
) -> Assessed:
    cells, seed = screen.cells, screen.looking.seed
    _, unmatched = batch_weights(cells, group.rows, reference.whole.rows)
    few = few_of(cells, group.rows)
    batches = np.concatenate([batch_of(cells, few), batch_of(cells, reference.few)])
    rng = generator(seed, "energy test", group.condition.label, group.guide)
    energy, p_value = energy_test_within(
        cells.dense(few), reference.profiles, batches, screen.looking.permutations, rng, reference.among
    )
    alike, alike_p = agreement.of(group)
    made = Assessed(
        group=group,
        controls=len(reference.whole.rows),
        unmatched=unmatched,
        targets=targets,
        energy=energy,
        p_value=p_value,
        agreement=alike,
        agreement_p=alike_p,
        depth=_depth(screen, group, reference),
    )
    if not made.differs:
        return made
    part = shares(cells, group, reference, screen.features, seed)
    by_depth, by_cycle, by_both = (part.get(kinds, NAN) for kinds in (BY_DEPTH, BY_CYCLE, BY_BOTH))
    return replace(made, by_depth=by_depth, by_cycle=by_cycle, by_both=by_both)


def _depth(screen: _Screen, group: Group, reference: Reference) -> float:
    logs = screen.features[:, [DEPTH]]
    return float(np.exp(logs[group.rows].mean() - reference.whole.matched_of(group.rows, logs)[0]))


# ---- targets


@dataclass(frozen=True, eq=False)
class _Targets:
    """Expression before the logarithm of the targets that are measured, in cells and in matched controls."""

    cells: Cells
    place: dict[str, int]
    column: dict[str, int]
    controls: Side

    @classmethod
    def of(cls, cells: Cells, groups: Sequence[Group], whole: Side) -> "_Targets":
        everywhere = {gene: i for i, gene in enumerate(cells.genes)}
        genes = sorted({gene for one in groups for gene in one.condition.genes if gene in everywhere})
        columns = np.asarray([everywhere[gene] for gene in genes], dtype=np.int64)
        plain: Expression = Unlogged(Subset(cells.expression, np.arange(len(cells)), columns))
        own = replace(cells, expression=plain, genes=tuple(genes))
        return cls(own, {gene: i for i, gene in enumerate(genes)}, everywhere, Side(own, whole.rows))

    def of_group(self, group: Group, tests: DifferentialExpression, i: int) -> tuple[TargetChange, ...]:
        """Return what became of each target of a group."""
        targets = sorted(group.condition.perturbation.targets)
        if not any(one.gene in self.place for one in targets):
            return tuple(TargetChange(one.gene, one.mode, False) for one in targets)
        here = mean_of(self.cells.expression, group.rows)
        there = self.controls.matched(group.rows)
        made = []
        for one in targets:
            if one.gene not in self.place:
                made.append(TargetChange(one.gene, one.mode, False))
                continue
            mean, control = here[self.place[one.gene]], there[self.place[one.gene]]
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.divide(mean, control)
                fold = float(np.log2(ratio))
            p = float(tests.p_value[i, self.column[one.gene]])
            made.append(TargetChange(one.gene, one.mode, True, fold, float(ratio) - 1, p))
        return tuple(made)
