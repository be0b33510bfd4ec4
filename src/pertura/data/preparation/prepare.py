"""Prepares a screen: one scale, the variable and the perturbed genes, and an account of it."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.split import ControlPartition, Split
from pertura.data.preparation.account import PLACE, Account
from pertura.data.preparation.knockdown import KEPT, Filtered, KnockDown, knocked_down
from pertura.data.preparation.material import Material
from pertura.data.preparation.passes import Rows, Told, nobody
from pertura.data.preparation.scaled import Scaled, Unlogged, scaled, sized
from pertura.data.preparation.variable import HOW, moments, most_variable
from pertura.data.preparation.writing import Tables, write_prepared
from pertura.data.splits.audit import audit

WHY_COLUMN = "chosen_as"
"""Column of var that says why a gene is in the panel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a prepared screen should be.

    `genes` variable genes, each shown by at least `min_cells` of the cells they are chosen on, beside all perturbed
    genes that are measured; cells of at least `min_counts` counts.
    """

    genes: int = 5000
    target_sum: float = 1e4
    min_cells: int = 0
    min_counts: int = 1
    knockdown: KnockDown | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """The account of a prepared file; the split without what was left out, where that is another one."""

    account: Account
    split: Split | None


@dataclass(frozen=True, eq=False)
class _Narrowed:
    """A screen on its scale with the cells that stay, and why the others do not."""

    material: Material
    made: Scaled
    split: Split | None
    left_out: Mapping[str, int]
    knockdown: Mapping[str, object]


def prepare(
    material: Material,
    path: str | os.PathLike[str],
    wish: Wish,
    split: Split | None = None,
    told: Told = nobody,
) -> Prepared:
    """Write a prepared screen to `path` and return its account.

    Variable genes are chosen on the train conditions of the split and its model-side controls, or on all cells. The
    perturbed genes are those of every condition: which genes are perturbed in test is no secret, what they do is.
    A screen whose size factors are not known raises `BadDataError`, a split of another screen `LeakError`.
    """
    before = split
    narrowed = _narrowed(material, wish, split, told)
    made, split = narrowed.made, narrowed.split
    seen, chosen_on = _seen(made.cells, split)
    variable = most_variable(moments(made.cells.expression, seen, told), made.cells.genes, wish.genes, wish.min_cells)
    panel = _Panel.of(made.cells, variable)
    account = _account(narrowed, wish, panel, chosen_on, _lost_of_split(before, split))
    tables = Tables(narrowed.material.obs, _var(narrowed.material, panel, split), _uns(narrowed, account))
    write_prepared(path, made, panel.columns, tables, told)
    return Prepared(account, split if split is not None and split != before else None)


def planned(material: Material, wish: Wish, split: Split | None = None) -> tuple[str, ...]:
    """Return what `prepare` would do, as far as can be said without reading expression; raise where it would."""
    cells = material.cells
    if split is not None:
        audit(split, cells)
    if cells.scale.kind == "counts":
        source = "counts of X, size factors over all genes" + _sums_told(sized_without_reading(cells))
    else:
        source = scaled(material, wish.target_sum).size_factors
    targets = sorted({gene for one in cells.perturbed for gene in one.genes})
    measured = [gene for gene in targets if gene in set(cells.genes)]
    most = min(wish.genes + len(measured), len(cells.genes))
    on = f"the train cells of split {split.name}" if split else "all cells (a split would keep test cells out of it)"
    lines = (
        f"{cells.name}: {len(cells):,} cells x {len(cells.genes):,} genes, {len(cells.perturbed):,} conditions",
        f"scale: {source}, to {wish.target_sum:,.6g} per cell, natural logarithm",
        f"genes: at most {wish.genes:,} variable ones, chosen on {on}; {len(measured):,} of {len(targets):,} perturbed "
        f"genes are measured and taken; {most:,} genes at most",
        f"knock-down filter: {wish.knockdown}" if wish.knockdown else "",
        f"not taken over: {', '.join(material.left)}" if material.left else "",
    )
    return tuple(line for line in lines if line)


def sized_without_reading(cells: Cells) -> bool:
    """Return whether library sizes are stored; raise where they are neither stored nor to be had from all genes."""
    sized(cells.take(np.empty(0, dtype=np.int64)))
    return cells.library_sizes is not None


def _sums_told(stored: bool) -> str:
    return " as stored" if stored else " (one pass more to sum them)"


# ---- cells


def _narrowed(material: Material, wish: Wish, split: Split | None, told: Told) -> _Narrowed:
    """Leave out empty cells, then what the knock-down filter takes; the split follows."""
    if split is not None:
        audit(split, material.cells)
    if material.cells.scale.kind == "counts":
        material = material.with_sizes(sized(material.cells))
    keep = _deep(material.cells, wish.min_counts)
    left_out = {f"with fewer than {max(wish.min_counts, 1):,} counts": int((~keep).sum())}
    material, split = _taken(material, keep, split)
    made, found = scaled(material, wish.target_sum), dict[str, object]()
    if wish.knockdown is not None:
        filtered, found = _filtered(material, made, split, wish.knockdown, told)
        left_out["of conditions or cells without a knock-down"] = int((~filtered.keep).sum())
        material, split = _taken(material, filtered.keep, split)
        made = made.take(np.flatnonzero(filtered.keep))
    return _Narrowed(material.with_sizes(material.cells), made, split, left_out, found)


def _deep(cells: Cells, least: int) -> Bool[np.ndarray, " cells"]:
    if cells.library_sizes is not None:
        return np.asarray(cells.library_sizes >= max(least, 1))
    if least > 1:
        raise BadDataError(f"{cells.name}: library sizes are not known", remedy="prepare without --min-counts")
    return np.ones(len(cells), dtype=bool)


def _taken(material: Material, keep: Bool[np.ndarray, " cells"], split: Split | None) -> tuple[Material, Split | None]:
    if keep.all():
        return material, split
    left = material.take(np.flatnonzero(keep))
    return left, None if split is None else without_absent(split, left.cells)


def without_absent(split: Split, cells: Cells) -> Split:
    """Return the split without conditions and control cells that are not among `cells`, and with their number."""
    present, ids = set(cells.perturbed), {str(one) for one in cells.ids}

    def side(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one for one in names if one in ids)

    controls = {name: ControlPartition(side(one.model), side(one.judge)) for name, one in split.controls.items()}
    parts = {name: frozenset(getattr(split, name) & present) for name in ("train", "valid", "test")}
    lost = sum(len(getattr(split, name)) - len(part) for name, part in parts.items())
    cells_lost = sum(len(split.controls[n].model) - len(one.model) for n, one in controls.items())
    cells_lost += sum(len(split.controls[n].judge) - len(one.judge) for n, one in controls.items())
    if not lost and not cells_lost:
        return split
    said = f"{lost} conditions, {cells_lost} control cells"
    return Split(
        name=split.name,
        **parts,
        strata={name: frozenset(members & present) for name, members in split.strata.items()},
        controls=controls,
        unseen=split.unseen,
        seed=split.seed,
        options={**split.options, "left_out_by_prepare": said},
    )


def _lost_of_split(before: Split | None, after: Split | None) -> dict[str, int]:
    if before is None or after is None or before == after:
        return {}
    lost = {name: len(getattr(before, name)) - len(getattr(after, name)) for name in ("train", "valid", "test")}
    return {f"{name} condition": count for name, count in lost.items()}


def _filtered(
    material: Material, made: Scaled, split: Split | None, rule: KnockDown, told: Told
) -> tuple[Filtered, dict[str, object]]:
    cells = material.cells
    values = cells.expression if rule.values == "stored" else Unlogged(made.cells.expression)
    controls = {name: _controls(cells, split, name) for name in cells.contexts}
    found = knocked_down(cells, values, controls, rule, told)
    fates = sorted({one.fate for one in found.outcomes.values()} - {KEPT})
    parts = {"train": split.train, "valid": split.valid, "test": split.test} if split else {}
    parts["in no part" if split else "all"] = frozenset(cells.perturbed) - frozenset().union(*parts.values())
    kept = set(found.of_fate(KEPT))
    counts = {name: {"before": len(part), "kept": len(part & kept)} for name, part in parts.items()}
    test = counts.get("test", {"before": 0, "kept": 0})
    return found, {
        "residual": rule.residual,
        "cell_residual": rule.cell_residual,
        "cells": rule.cells,
        "values": rule.values,
        "controls": "model-side controls of the context" if split else "all controls of the context",
        "conditions": counts,
        "test_left_out": test["before"] - test["kept"],
        "left_out": {fate: [one.label for one in found.of_fate(fate)] for fate in fates},
        "residuals": {one.label: dict(outcome.residuals) for one, outcome in sorted(found.outcomes.items())},
    }


def _controls(cells: Cells, split: Split | None, context: str) -> Rows:
    """The controls that thresholds are taken from: those that a model may see, where a split says which."""
    if split is None or context not in split.controls:
        return cells.control_rows(context)
    return split.model_controls(cells, context)


# ---- genes


def _seen(cells: Cells, split: Split | None) -> tuple[Rows, dict[str, object]]:
    """The cells that genes are chosen on, and what is said of them."""
    if split is None:
        rows = np.arange(len(cells), dtype=np.int64)
        return rows, {"what": f"all {len(rows):,} cells", "cells": len(rows), "split": ""}
    parts = [cells.rows_of(one) for one in sorted(split.train)]
    parts += [split.model_controls(cells, name) for name in sorted(split.controls) if name not in split.unseen]
    rows = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
    if len(rows) < 2:
        raise BadDataError(f"{cells.name}: split {split.name} leaves {len(rows)} train cells to choose genes on")
    what = f"the {len(rows):,} train cells of split {split.name} ({split.fingerprint[:12]})"
    return rows, {"what": what, "cells": len(rows), "split": split.fingerprint, "split_name": split.name}


@dataclass(frozen=True, eq=False)
class _Panel:
    """The columns that are taken, which of them vary, which are perturbed, and which targets are not measured."""

    columns: Int[np.ndarray, " genes"]
    is_variable: Bool[np.ndarray, " genes"]
    is_perturbed: Bool[np.ndarray, " genes"]
    unmeasured: tuple[str, ...]

    @classmethod
    def of(cls, cells: Cells, variable: Int[np.ndarray, " chosen"]) -> "_Panel":
        targets = {gene for one in cells.perturbed for gene in one.genes}
        perturbed = np.asarray([i for i, gene in enumerate(cells.genes) if gene in targets], dtype=np.int64)
        columns = np.union1d(variable, perturbed).astype(np.int64)
        missing = tuple(sorted(targets - set(cells.genes)))
        return cls(columns, np.isin(columns, variable), np.isin(columns, perturbed), missing)

    @property
    def why(self) -> list[str]:
        """Why each gene is in the panel."""
        words = {(True, False): "variable", (False, True): "perturbed", (True, True): "variable, perturbed"}
        return [words[bool(one), bool(other)] for one, other in zip(self.is_variable, self.is_perturbed)]


def _var(material: Material, panel: _Panel, split: Split | None) -> pd.DataFrame:
    var: pd.DataFrame = material.var.iloc[panel.columns].assign(**{WHY_COLUMN: pd.Categorical(panel.why)})
    # by this name readers know that all cells had a part in the choice; train cells alone leave no such column
    if material.preselected:
        return var.assign(highly_variable=True)
    return var if split is not None else var.assign(highly_variable=panel.is_variable)


def _uns(narrowed: _Narrowed, account: Account) -> dict[str, object]:
    return {**narrowed.material.uns, "log1p": {"base": math.e}, PLACE: account.as_json()}


def _account(
    narrowed: _Narrowed, wish: Wish, panel: _Panel, chosen_on: Mapping[str, object], lost: Mapping[str, int]
) -> Account:
    made, genes = narrowed.made, narrowed.made.cells.genes
    names = [genes[column] for column in panel.columns]
    return Account(
        made_by=f"pertura {version('pertura')}",
        source=narrowed.material.source,
        cells=len(made.cells),
        genes=len(names),
        measured_genes=len(genes),
        target_sum=made.cells.scale.target_sum,
        size_factors=made.size_factors,
        counts_from=made.counts_from,
        asked_genes=wish.genes,
        min_cells=wish.min_cells,
        chosen_by=HOW,
        chosen_on=chosen_on,
        variable=tuple(name for name, own in zip(names, panel.is_variable) if own),
        added=tuple(name for name, own in zip(names, panel.is_variable) if not own),
        unmeasured=panel.unmeasured,
        left_out={why: count for why, count in narrowed.left_out.items() if count},
        knockdown=narrowed.knockdown,
        split_left_out=lost,
        behind=narrowed.material.left,
        notes=made.cells.notes,
    )
