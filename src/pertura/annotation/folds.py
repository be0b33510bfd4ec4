"""Which cells are train, valid and test: repeated folds, by class or by donor, or one part of each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Shaped

from pertura.core.errors import BadDataError, UsageError
from pertura.core.seeds import shuffled

VALID_SHARE = 0.15
Rows = Int[np.ndarray, " _"]
Ids = Shaped[np.ndarray, " cells"]


@dataclass(frozen=True)
class FoldPlan:
    """`folds` parts, `repeats` times over; `folds` of 1 is a single division with a test part of `test_share`."""

    folds: int = 5
    repeats: int = 1
    valid_share: float = VALID_SHARE
    test_share: float = 0.15

    def __post_init__(self) -> None:
        if self.folds < 1 or self.repeats < 1:
            raise UsageError("--folds and --repeats are 1 or more")


@dataclass(frozen=True, eq=False)
class Fold:
    """One division; rows stand in the order of the cells' names, so that no result depends on the order of a file."""

    repeat: int
    number: int
    train: Rows
    valid: Rows
    test: Rows

    @property
    def name(self) -> str:
        """Repeat and fold, counted from 1."""
        return f"{self.repeat + 1}.{self.number + 1}"


@dataclass(frozen=True, eq=False)
class Divisible:
    """What folds are made of: names of cells, the class of each, and the group of each where folds are by group."""

    ids: Ids
    codes: Int[np.ndarray, " cells"]
    groups: Int[np.ndarray, " cells"] | None = None


def folds(cells: Divisible, plan: FoldPlan, seed: int) -> Iterator[Fold]:
    """Yield the folds of every repeat. Each class is spread over the folds as evenly as it goes.

    With groups no group is on two sides; fewer groups than two raise `BadDataError`.
    """
    for repeat in range(plan.repeats):
        if plan.folds == 1:
            yield _single(cells, plan, (seed, repeat))
            continue
        parts = _parts(cells, np.arange(len(cells.ids)), plan.folds, (seed, "folds", repeat))
        for number in range(int(parts.max()) + 1):
            rest = np.flatnonzero(parts != number)
            held = _held(cells, rest, plan.valid_share, (seed, "valid", repeat, number))
            test = np.flatnonzero(parts == number)
            yield Fold(repeat, number, *(_by_name(cells, one) for one in (rest[~held], rest[held], test)))


def train_and_valid(cells: Divisible, share: float, seed: int) -> tuple[Rows, Rows]:
    """Return a division of all cells into train and valid."""
    every = np.arange(len(cells.ids))
    held = _held(cells, every, share, (seed, "final"))
    return _by_name(cells, every[~held]), _by_name(cells, every[held])


def _single(cells: Divisible, plan: FoldPlan, key: tuple[int, int]) -> Fold:
    every = np.arange(len(cells.ids))
    tested = _held(cells, every, plan.test_share, (*key, "test"))
    if not tested.any():
        tested[shuffled(cells.ids, key[0], "lone test", key[1])[0]] = True
    rest = every[~tested]
    held = _held(cells, rest, plan.valid_share, (*key, "valid"))
    return Fold(key[1], 0, *(_by_name(cells, one) for one in (rest[~held], rest[held], every[tested])))


def _held(cells: Divisible, rows: Rows, share: float, key: tuple[object, ...]) -> Bool[np.ndarray, " _"]:
    """Which rows are held out: about `share`, spread over the classes; whole groups where there are several.

    At least one cell of each class stays.
    """
    if share <= 0:
        return np.zeros(len(rows), dtype=bool)
    count = max(2, round(1 / share))
    groups = None if cells.groups is None else cells.groups[rows]
    if groups is not None and len(np.unique(groups)) < 2:
        groups = None
    part = Divisible(cells.ids[rows], cells.codes[rows], groups)
    held = _parts(part, np.arange(len(rows)), count, key) == 0
    if groups is None:
        for code in np.unique(part.codes):
            mine = np.flatnonzero(part.codes == code)
            if held[mine].all():
                held[mine] = False
    return held


def _parts(cells: Divisible, rows: Rows, count: int, key: tuple[object, ...]) -> Rows:
    """The part of each row. Classes are dealt out one after the other, so that parts differ by one cell at most."""
    if cells.groups is not None:
        return _grouped(cells, count, key)
    order = shuffled(cells.ids[rows], int(str(key[0])), *key[1:])
    dealt = order[np.argsort(cells.codes[rows][order], kind="stable")]
    parts = np.empty(len(rows), dtype=np.int64)
    parts[dealt] = np.arange(len(rows)) % count
    return parts


def _grouped(cells: Divisible, count: int, key: tuple[object, ...]) -> Rows:
    """Whole groups to parts: the largest first, each to the part whose class counts it disturbs least.

    Of equal parts the one with fewest cells: groups that hold one class each would otherwise all go to the first.
    """
    groups = np.asarray(cells.groups)
    names = np.unique(groups)
    if len(names) < 2:
        raise BadDataError("all cells are of one group", remedy="folds by group take two or more donors or batches")
    first = {int(group): str(min(cells.ids[groups == group])) for group in names}
    order = names[shuffled(np.asarray([first[int(one)] for one in names], dtype=object), int(str(key[0])), *key[1:])]
    sizes = {int(one): np.bincount(cells.codes[groups == one], minlength=int(cells.codes.max()) + 1) for one in names}
    totals = np.zeros((min(count, len(names)), int(cells.codes.max()) + 1))
    whole = np.maximum(sum(sizes.values()), 1)
    parts = np.empty(len(groups), dtype=np.int64)
    for group in sorted(order.tolist(), key=lambda one: -int(sizes[one].sum())):
        shares = (totals + sizes[group]) / whole
        others = totals / whole
        cost = (shares**2).sum(axis=1) - (others**2).sum(axis=1)
        chosen = int(np.lexsort((totals.sum(axis=1), np.round(cost, 12)))[0])
        totals[chosen] += sizes[group]
        parts[groups == group] = chosen
    return parts


def _by_name(cells: Divisible, rows: Rows) -> Rows:
    return rows[np.argsort(cells.ids[rows].astype(str), kind="stable")]
