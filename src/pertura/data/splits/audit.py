"""Does a split leak, and what of its test part has been seen before, how?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Int

from pertura.core.cells import Cells
from pertura.core.errors import LeakError
from pertura.core.perturbation import Condition
from pertura.core.split import Split

Rows = Int[np.ndarray, " _"]
NAMED_AT_MOST = 5


class Way(StrEnum):
    """How a gene of a test condition was seen before the test."""

    SINGLE_HERE = "alone, same context"
    SINGLE_ELSEWHERE = "alone, another context"
    TOGETHER_HERE = "with another gene, same context"
    TOGETHER_ELSEWHERE = "with another gene, another context"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What of one test condition `fit` may see: each gene and how; the context's controls; the same perturbation."""

    ways: Mapping[str, tuple[Way, ...]]
    controls_seen: bool
    perturbation_seen_elsewhere: bool


@dataclass(frozen=True)
class Audit:
    """A split without leaks: its sizes, what of test was seen before, and what a reader must be warned of.

    `cells` counts the cells of each part and both sides of the controls; empty where no cells were given.
    """

    conditions: Mapping[str, int]
    cells: Mapping[str, int]
    strata: Mapping[str, int]
    exposures: Mapping[Condition, Exposure]
    absent: tuple[Condition, ...]
    unassigned: tuple[Condition, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What the data brings that was made before any split."""

    @property
    def ways(self) -> dict[Way, int]:
        """How many (test condition, gene) pairs were seen in each way; one pair may count in several."""
        counted = Counter(way for one in self.exposures.values() for ways in one.ways.values() for way in ways)
        return {way: counted[way] for way in Way}

    @property
    def lines(self) -> tuple[str, ...]:
        """The audit in words, one fact a line."""
        total = len(self.exposures)
        genes = sum(len(one.ways) for one in self.exposures.values())
        controls = sum(one.controls_seen for one in self.exposures.values())
        again = sum(one.perturbation_seen_elsewhere for one in self.exposures.values())
        seen = (f"  {way}: {count}" for way, count in self.ways.items())
        return (
            "no condition and no cell lies in two parts" if self.cells else "no condition lies in two parts",
            f"genes of the {total} test conditions ({genes}), as train and valid show them:",
            *seen,
            f"same perturbation seen in another context: {again} of {total}",
            f"controls of the same context seen: {controls} of {total}",
            *(f"the data brings: {text}" for text in self.notes),
            *(f"warning: {text}" for text in self.warnings),
        )


def audit(split: Split, cells: Cells | None = None) -> Audit:
    """Return what a split shows of its test part; raise `LeakError` where a condition or a cell is on two sides.

    Train and valid both count as seen: `fit` may use both. Without cells only conditions are checked.
    """
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    _refuse_overlap(split.name, {name: {one.label for one in part} for name, part in parts.items()})
    _refuse_strays(split)
    sizes = {} if cells is None else _cells_by_part(split, cells, parts)
    present = frozenset() if cells is None else frozenset(cells.perturbed)
    listed = split.train | split.valid | split.test
    absent = () if cells is None else tuple(sorted(listed - present))
    unassigned = tuple(sorted(present - listed))
    return Audit(
        conditions={name: len(part) for name, part in parts.items()},
        cells=sizes,
        strata={name: len(members) for name, members in split.strata.items()},
        exposures=_exposures(split),
        absent=absent,
        unassigned=unassigned,
        warnings=_warnings(split, absent, unassigned),
        notes=() if cells is None else cells.notes,
    )


def _refuse_overlap(name: str, parts: Mapping[str, set[str]]) -> None:
    names = list(parts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = sorted(parts[first] & parts[second])
            if both:
                raise LeakError(f"{name}: in {first} and in {second}: {_some(both)}; make the split again")


def _refuse_strays(split: Split) -> None:
    """Refuse a control cell that is on both sides, unless that was asked for, or in two contexts."""
    owner: dict[str, str] = {}
    for context, partition in sorted(split.controls.items()):
        both = sorted(set(partition.model) & set(partition.judge))
        if both and not _is_shared_on_purpose(split):
            raise LeakError(f"{split.name}: controls of {context} on both sides: {_some(both)}; make the split again")
        for one in set(partition.model) | set(partition.judge):
            if owner.setdefault(one, context) != context:
                raise LeakError(f"{split.name}: cell {one} is a control of {owner[one]} and of {context}")


def _cells_by_part(split: Split, cells: Cells, parts: Mapping[str, frozenset[Condition]]) -> dict[str, int]:
    """Return how many cells each part and side has; raise where one has two roles or a control is none."""
    rows = {name: _rows(cells, part) for name, part in parts.items()}
    sides: dict[str, list[Rows]] = {"model controls": [], "judge controls": []}
    for context, partition in split.controls.items():
        sides["model controls"].append(split.model_controls(cells, context))
        sides["judge controls"].append(split.judge_controls(cells, context))
        _refuse_impostors(split, cells, context, cells.rows_of_ids((*partition.model, *partition.judge)))
    rows |= {name: np.unique(np.concatenate(found)) if found else _none() for name, found in sides.items()}
    _refuse_two_roles(split, cells, rows)
    return {name: len(index) for name, index in rows.items()}


def _refuse_two_roles(split: Split, cells: Cells, rows: Mapping[str, Rows]) -> None:
    names = [name for name in rows if name != "judge controls" or not _is_shared_on_purpose(split)]
    role = np.full(len(cells), -1, dtype=np.int64)
    for i, name in enumerate(names):
        taken = rows[name][role[rows[name]] >= 0]
        if len(taken):
            other = names[role[taken[0]]]
            raise LeakError(f"{split.name}: {len(taken)} cells are in {other} and in {name}: {_some(cells.ids[taken])}")
        role[rows[name]] = i


def _is_shared_on_purpose(split: Split) -> bool:
    return split.options.get("shared_controls") == "true"


def _refuse_impostors(split: Split, cells: Cells, context: str, rows: Rows) -> None:
    """Refuse cells that the split calls controls of a context and the data calls something else."""
    wrong = np.setdiff1d(rows, cells.control_rows(context))
    if len(wrong):
        labels = sorted({cells.conditions[cells.codes[row]].label for row in wrong})
        raise LeakError(
            f"{split.name}: {len(wrong)} cells listed as controls of {context or 'the screen'} are {_some(labels)}; "
            "make the split again from this file"
        )


def _exposures(split: Split) -> dict[Condition, Exposure]:
    seen = split.train | split.valid
    by_gene: dict[str, list[Condition]] = {}
    for one in seen:
        for gene in one.genes:
            by_gene.setdefault(gene, []).append(one)
    contexts_of: dict[object, set[str]] = {}
    for one in seen:
        contexts_of.setdefault(one.perturbation, set()).add(one.context)
    return {
        one: Exposure(
            ways={gene: _ways(one.context, by_gene.get(gene, ())) for gene in one.genes},
            controls_seen=one.context in split.controls and one.context not in split.unseen,
            perturbation_seen_elsewhere=bool(contexts_of.get(one.perturbation)),
        )
        for one in sorted(split.test)
    }


def _ways(context: str, seen: Iterable[Condition]) -> tuple[Way, ...]:
    found = set()
    for one in seen:
        if one.perturbation.is_single:
            found.add(Way.SINGLE_HERE if one.context == context else Way.SINGLE_ELSEWHERE)
        else:
            found.add(Way.TOGETHER_HERE if one.context == context else Way.TOGETHER_ELSEWHERE)
    return tuple(way for way in Way if way in found) or (Way.NOWHERE,)


def _warnings(split: Split, absent: tuple[Condition, ...], unassigned: tuple[Condition, ...]) -> tuple[str, ...]:
    found = []
    shared = sorted(context for context, one in split.controls.items() if one.is_shared)
    if shared:
        found.append(
            f"SHARED CONTROLS in {_some(shared)}: the same cells are subtracted on both sides, so the noise of their "
            "mean is rewarded as if it were an effect. Scores of this split are inflated"
        )
    if not split.controls:
        found.append("the split has no control cells: it was made from a list of conditions")
    empty = [name for name, part in (("train", split.train), ("valid", split.valid), ("test", split.test)) if not part]
    if empty:
        found.append(f"empty: {_some(empty)}")
    if absent:
        found.append(f"{len(absent)} conditions of the split have no cells: {_some(one.label for one in absent)}")
    if unassigned:
        found.append(f"{len(unassigned)} measured conditions lie in no part: {_some(o.label for o in unassigned)}")
    merged = split.options.get("merged_spellings")
    if merged:
        found.append(f"conditions whose perturbation is spelled in two ways, counted as one: {merged}")
    return tuple(found)


def _rows(cells: Cells, part: Iterable[Condition]) -> Rows:
    return np.concatenate([_none(), *(cells.rows_of(one) for one in sorted(part))])


def _none() -> Rows:
    return np.empty(0, dtype=np.int64)


def _some(names: Iterable[object]) -> str:
    listed = [str(one) for one in names]
    more = len(listed) - NAMED_AT_MOST
    return ", ".join(listed[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
