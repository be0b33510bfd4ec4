"""Laws of labels and of divisions: nothing is lost in silence, nothing is on two sides, no order has influence."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pertura.annotation.folds import Divisible, FoldPlan, folds, train_and_valid
from pertura.annotation.labels import groups_of, read_labels
from pertura.core.errors import BadDataError, UsageError


def obs(values):
    return pd.DataFrame({"type": values}, index=[f"c{i}" for i in range(len(values))])


@pytest.mark.parametrize(
    "values",
    [
        ["B", "T", None, "B", "T", np.nan, "nan", "NA", ""],
        pd.Categorical(["B", "T", None, "B", "T", None, None, None, None], categories=["unused", "T", "B"]),
        pd.array(["B", "T", pd.NA, "B", "T", pd.NA, pd.NA, pd.NA, pd.NA], dtype="string"),
    ],
    ids=["words", "categories with one unused", "nullable words"],
)
def test_missing_labels_are_counted_and_are_no_class(values):
    found = read_labels(obs(values), "type")
    assert found.classes == ("B", "T")
    assert found.missing == 5
    assert found.codes.tolist() == [0, 1, -1, 0, 1, -1, -1, -1, -1]
    assert any("5 of 9 cells have no label" in one for one in found.warnings)


def test_whole_numbers_are_labels_and_keep_their_spelling():
    assert read_labels(obs([0, 1, 1, 0, 2, 2]), "type").classes == ("0", "1", "2")
    assert read_labels(obs([0.0, 1.0, 1.0, 0.0, np.nan]), "type").classes == ("0", "1")


def test_classes_that_are_too_small_are_left_out_and_named():
    found = read_labels(obs(["B"] * 5 + ["T"] * 4 + ["rare"]), "type")
    assert found.classes == ("B", "T")
    assert found.rare == {"rare": 1}
    assert any("rare (1)" in one for one in found.warnings)
    assert read_labels(obs(["B"] * 5 + ["T"] * 4 + ["rare"]), "type", min_cells=1).classes == ("B", "T", "rare")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["B"] * 6, "1 class .B."),
        ([None] * 6, "0 classes"),
        (["B"] * 6 + ["T"], "1 class .B.; 1 more have too few cells: T"),
        (list(np.linspace(0, 1, 60)), "no cell types"),
        ([f"cell {i}" for i in range(60)], "no cell types"),
    ],
)
def test_what_is_no_column_of_types_is_refused(values, problem):
    with pytest.raises(BadDataError, match=problem):
        read_labels(obs(values), "type")


def test_an_unknown_column_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'type'"):
        read_labels(obs(["B", "T"]), "typ")
    with pytest.raises(UsageError, match="did you mean 'Doublet'"):
        read_labels(obs(["B", "B", "T", "T", "Doublet"]), "type", exclude=("doublet",))


def test_labels_that_are_no_types_are_told_and_can_be_left_out():
    values = ["B"] * 3 + ["T"] * 3 + ["Unknown"] * 3
    assert any("Unknown" in one for one in read_labels(obs(values), "type").warnings)
    found = read_labels(obs(values), "type", exclude=("Unknown",))
    assert found.classes == ("B", "T")
    assert found.excluded == {"Unknown": 3}


def test_a_cell_without_a_group_is_refused():
    with pytest.raises(BadDataError, match="1 cells have no group"):
        groups_of(obs(["d1", "d2", None]), "type")


def divisible(sizes, groups=None):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    ids = np.asarray([f"cell{i}" for i in range(len(codes))], dtype=object)
    return Divisible(ids, codes, groups)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(2, 6), st.integers(0, 3))
def test_parts_do_not_overlap_and_every_cell_is_tested_once_a_repeat(sizes, count, seed):
    cells = divisible(sizes)
    if sum(sizes) < count:
        return
    made = list(folds(cells, FoldPlan(count, 2), seed))
    for one in made:
        parts = np.concatenate([one.train, one.valid, one.test])
        assert sorted(parts.tolist()) == list(range(sum(sizes)))
    for repeat in range(2):
        tested = np.concatenate([one.test for one in made if one.repeat == repeat])
        assert sorted(tested.tolist()) == list(range(sum(sizes)))
    spread = np.asarray([np.bincount(cells.codes[one.test], minlength=len(sizes)) for one in made])
    assert (spread.max(axis=0) - spread.min(axis=0) <= 1).all()


def test_a_class_keeps_a_train_cell_when_valid_is_taken():
    for one in folds(divisible([2, 40]), FoldPlan(2, 3), 0):
        assert (divisible([2, 40]).codes[one.train] == 0).any()


def test_no_group_is_on_two_sides():
    groups = np.arange(120) % 8
    cells = divisible([60, 40, 20], groups)
    for one in folds(cells, FoldPlan(4, 2), 1):
        sides = [set(groups[part].tolist()) for part in (one.train, one.valid, one.test)]
        assert not sides[0] & sides[1]
        assert not (sides[0] | sides[1]) & sides[2]
        assert all(sides)
    with pytest.raises(BadDataError, match="one group"):
        list(folds(divisible([5, 5], np.zeros(10, dtype=np.int64)), FoldPlan(2), 0))


@pytest.mark.parametrize("groups", [None, np.arange(90) % 9])
def test_folds_do_not_depend_on_the_order_of_the_cells(groups):
    cells = divisible([50, 30, 10], groups)
    order = np.random.default_rng(2).permutation(90)
    other = Divisible(cells.ids[order], cells.codes[order], None if groups is None else groups[order])
    for one, same in zip(folds(cells, FoldPlan(3), 0), folds(other, FoldPlan(3), 0), strict=True):
        for part, there in ((one.train, same.train), (one.valid, same.valid), (one.test, same.test)):
            assert cells.ids[part].tolist() == other.ids[there].tolist()


def test_a_single_division_is_seven_to_fifteen_to_fifteen():
    one = next(folds(divisible([300, 200, 100]), FoldPlan(1), 0))
    assert len(one.test) == pytest.approx(0.15 * 600, abs=6)
    assert len(one.valid) == pytest.approx(0.15 * 510, abs=6)
    train, valid = train_and_valid(divisible([300, 200, 100]), 0.15, 0)
    assert len(train) + len(valid) == 600


@pytest.mark.parametrize("sizes", [[2, 2], [4, 1, 1, 1, 1], [1, 1]])
def test_a_handful_of_cells_is_still_divided(sizes):
    one = next(folds(divisible(sizes), FoldPlan(1), 42))
    assert len(one.train)
    assert len(one.test)


def test_groups_of_one_class_each_are_spread_over_parts_too():
    codes = np.repeat(np.arange(5), 30)
    ids = np.asarray([f"c{i}" for i in range(150)], dtype=object)
    for one in folds(Divisible(ids, codes, codes), FoldPlan(5, 2), 0):
        assert len(one.train)
        assert len(one.valid)
        assert len(set(codes[one.test])) == 1
    assert {len(one.test) for one in folds(Divisible(ids, codes, codes), FoldPlan(2, 1), 0)} == {60, 90}
