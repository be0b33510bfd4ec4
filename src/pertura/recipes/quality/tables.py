"""What was found as tables: a short one to read, a full one for a file, and the lines that sum it up."""

from collections.abc import Sequence

import numpy as np

from pertura.core.perturbation import spelled
from pertura.data.columns import counted
from pertura.recipes.quality.assessed import SIGNIFICANT, Assessed, TargetChange
from pertura.recipes.quality.quality import Quality
from pertura.report.tables import Cell, Column, Kind, Row, Table
from pertura.report.wording import UNDEFINED

HALF = 0.5
NAMED = 6
WORDS = {
    "as meant": "",
    "the other way": " the other way",
    "changed": "",
    "no change seen": " (no change seen)",
    "not expressed": "not expressed",
    "not measured": "not measured",
}
NOTHING_TO_NUMBER = ("not expressed", "not measured")

COLUMNS = (
    Column("condition", hint="a perturbation in its context, or one guide of it"),
    Column("cells", "count"),
    Column("target", hint="expression gained or lost by the target, against matched controls"),
    Column("E-test p", hint="permutation test within batches against controls of the context"),
    Column("genes changed", "count", hint="rank test, FDR < 0.05; batches are not told apart"),
    Column("guides agree", hint="correlation of the changes of guides of this condition"),
    Column("agree p", hint="share of pairs of guides of different genes that agree as well"),
    Column("depth", "number", hint="library size over that of matched controls", digits=2),
    Column("by depth", hint="share of the change that controls of such depth show"),
    Column("by cycle", hint="share of the change that controls of such cell-cycle scores show"),
)
DEFINITIONS = (
    ("target", "mean of counts per size factor in the cells, over that of controls of the same batches, minus one"),
    (
        "E-test p",
        "share of label permutations within batches whose energy distance is as large (at most 500 cells a side)",
    ),
    ("genes changed", "genes of a Mann-Whitney test with FDR < 0.05 among all controls of the context"),
    (
        "guides agree",
        "mean correlation of the changes of two guides over the genes that neither targets, against disjoint controls; "
        "p compares with pairs of guides of different genes in the context",
    ),
    (
        "by depth, by cycle",
        "1 - <rest, rest'> / <change, change'> over disjoint halves of cells and controls, the rest being the change "
        "minus what library size (or S and G2M scores) predicts in proportion among controls; only where the E-test "
        "sees an effect",
    ),
)


def short_table(found: Sequence[Assessed], contexts: Sequence[str], caption: str) -> Table:
    """Return the table to read, one row for each condition or guide; a context is named where there are several."""
    names = spelled({one.condition for one in found}, contexts)
    return Table(caption, COLUMNS, tuple(Row(_short(one, names[one.condition]), marks=one.remarks) for one in found))


def _short(one: Assessed, name: str) -> tuple[Cell, ...]:
    return (
        f"{name} / {one.group.guide}" if one.group.guide else name,
        one.cells,
        _targets_told(one.targets),
        _told(one.p_value, ".3f"),
        one.genes_changed,
        _told(one.agreement, ".2f"),
        _told(one.agreement_p, ".3f"),
        one.depth,
        _told(one.by_depth, ".0%"),
        _told(one.by_cycle, ".0%"),
    )


def _told(value: float, form: str) -> str:
    """A number in the same form in every row: by the decimals of a column p of 0.005 would read 0.01."""
    return format(value, form) if np.isfinite(value) else UNDEFINED


def _targets_told(targets: Sequence[TargetChange]) -> str:
    told = [_target(one) for one in targets]
    if len(set(told)) == 1 and targets[0].verdict in NOTHING_TO_NUMBER:
        return told[0]
    return ", ".join(f"{one.gene} {text}" for one, text in zip(targets, told)) if len(told) > 1 else told[0]


def _target(one: TargetChange) -> str:
    words = WORDS[one.verdict]
    if np.isposinf(one.change):
        return f"not in controls{words}"
    return words if one.verdict in NOTHING_TO_NUMBER else f"{one.change:+.0%}{words}"


def full_table(found: Quality) -> Table:
    """Return everything that was found, conditions first; each target has columns of its own."""
    every = (*found.conditions, *found.guides)
    most = max((len(one.targets) for one in every), default=0)
    plain = ("condition", "context", "guide", "cells", "controls", "cells_without_matched_controls")
    targets = [f"target_{i + 1}_{name}" for i in range(most) for name in _TARGET_COLUMNS]
    columns = (*plain, *targets, *_NUMBERS, "remarks")
    rows = [Row((*_identity(one), *_targets(one, most), *_numbers(one), "; ".join(one.remarks))) for one in every]
    return Table("quality", tuple(Column(name, _kind(name)) for name in columns), tuple(rows))


_TARGET_COLUMNS = ("gene", "mode", "verdict", "log2_fold_change", "change", "p_value")
_NUMBERS = (
    "energy_distance",
    "energy_p_value",
    "genes_changed",
    "guide_agreement",
    "guide_agreement_p_value",
    "depth_ratio",
    "explained_by_depth",
    "explained_by_cell_cycle",
    "explained_by_both",
)
_WHOLE = ("cells", "controls", "cells_without_matched_controls", "genes_changed")


def _kind(name: str) -> Kind:
    if name in _WHOLE:
        return "count"
    words = ("condition", "context", "guide", "remarks")
    return "text" if name in words or name.endswith(("_gene", "_mode", "_verdict")) else "number"


def _identity(one: Assessed) -> tuple[Cell, ...]:
    condition = one.condition
    return (condition.perturbation.label, condition.context, one.group.guide, one.cells, one.controls, one.unmatched)


def _targets(one: Assessed, most: int) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    for each in one.targets:
        cells += [each.gene, str(each.mode), each.verdict, each.log2_fold_change, each.change, each.p_value]
    return (*cells, *([None] * (len(_TARGET_COLUMNS) * (most - len(one.targets)))))


def _numbers(one: Assessed) -> tuple[Cell, ...]:
    return (
        one.energy,
        one.p_value,
        one.genes_changed,
        one.agreement,
        one.agreement_p,
        one.depth,
        one.by_depth,
        one.by_cycle,
        one.by_both,
    )


# ---- in words


def summary(found: Quality) -> tuple[str, ...]:
    """Return what there is to know first, one fact a line."""
    every = found.conditions
    lines = [_effects(every), *_on_target(every), *_agreeing(found), *_explained(every), *found.notes]
    alone = found.overview.unmatched
    if alone:
        shown = ", ".join(f"{context or 'the screen'} in {batch} ({size:,})" for context, batch, size in alone[:NAMED])
        more = f" and {len(alone) - NAMED:,} more" if len(alone) > NAMED else ""
        lines.append(f"batches without controls, whose cells are matched to all of their context: {shown}{more}")
    return tuple(lines)


def _effects(every: Sequence[Assessed]) -> str:
    tested = [one for one in every if np.isfinite(one.p_value)]
    seen = sum(one.differs for one in tested)
    chance = SIGNIFICANT * len(tested)
    untested = f"; {len(every) - len(tested):,} could not be tested" if len(tested) < len(every) else ""
    return (
        f"{seen:,} of {counted(len(tested), 'condition')} differ from control (E-test p <= {SIGNIFICANT:g}; about "
        f"{chance:.0f} would by chance){untested}"
    )


def _on_target(every: Sequence[Assessed]) -> list[str]:
    targets = [(one, each) for one in every for each in one.targets]
    by_verdict: dict[str, list[str]] = {}
    for one, each in targets:
        by_verdict.setdefault(each.verdict, []).append(
            one.condition.label if len(one.targets) == 1 else f"{each.gene} in {one.condition.label}"
        )
    order = [name for name in WORDS if name in by_verdict]
    told = ", ".join(f"{name} {len(by_verdict[name]):,}" for name in order)
    lines = [f"targets, of {len(targets):,} in all conditions: {told}"] if targets else []
    for name in ("the other way", "no change seen"):
        if name in by_verdict:
            lines.append(f"  {name}: {_some(by_verdict[name])}")
    return lines


def _agreeing(found: Quality) -> list[str]:
    tested = [one for one in found.conditions if np.isfinite(one.agreement)]
    if not tested:
        return []
    null = np.concatenate([values for values in found.null.values() if len(values)] or [np.empty(0)])
    placed = [one for one in tested if np.isfinite(one.agreement_p)]
    agreeing = sum(one.agreement_p <= SIGNIFICANT for one in placed)
    middle = float(np.median([one.agreement for one in tested]))
    against = f", {np.median(null):.2f} between guides of different genes" if len(null) else ""
    beyond = f"; {agreeing:,} agree more than guides of different genes do (p <= {SIGNIFICANT:g})" if placed else ""
    few = "; too few other guides to compare with" if not placed else ""
    return [
        f"guides of {counted(len(tested), 'condition')} can be compared: median correlation {middle:.2f}{against}"
        f"{beyond}{few}"
    ]


def _explained(every: Sequence[Assessed]) -> list[str]:
    lines = []
    for name, attribute in (("library size", "by_depth"), ("cell-cycle scores", "by_cycle")):
        known = {one.condition.label: getattr(one, attribute) for one in every if np.isfinite(getattr(one, attribute))}
        if known:
            most = [label for label, share in known.items() if share > HALF]
            told = f": {_some(most)}" if most else ""
            lines.append(f"{name} explains over half of the change in {len(most):,} of {len(known):,} conditions{told}")
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
