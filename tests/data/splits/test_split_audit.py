from dataclasses import replace

import numpy as np
import pytest
from split_screens import cells_of

from pertura.core.errors import BadDataError, LeakError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import ControlPartition, Outline
from pertura.data.datasets import DATASETS
from pertura.data.splits.audit import Way, audit
from pertura.data.splits.gears_simulation import gears_simulation
from pertura.data.splits.held_out import held_out_context


@pytest.fixture
def cells():
    conditions = [
        Condition(Perturbation.of(*genes), context) for genes in ("A", "B", "C", "AB", "BC") for context in "xy"
    ]
    return cells_of(conditions, "xy")


@pytest.fixture
def split(cells):
    return held_out_context(Outline.of(cells), context="x")


def planted(split, **changes):
    """The split with parts that its constructor would refuse."""
    made = replace(split)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def test_a_sound_split_passes_and_counts_every_cell_once(split, cells):
    found = audit(split, cells)
    assert sum(found.cells.values()) == len(cells)
    assert found.warnings == ()


def test_a_condition_in_two_parts_is_refused(split, cells):
    one = min(split.test)
    with pytest.raises(LeakError, match=f"in train and in test: {one.label}".replace("+", r"\+")):
        audit(planted(split, train=split.train | {one}), cells)


def test_a_control_cell_on_both_sides_is_refused(split, cells):
    side = split.controls["x"]
    leaking = {**split.controls, "x": ControlPartition(side.model, (*side.judge, side.model[0]))}
    with pytest.raises(LeakError, match=f"both sides: {side.model[0]}"):
        audit(replace(split, controls=leaking), cells)


def test_one_pool_on_both_sides_is_refused_where_it_was_not_asked_for(split, cells):
    pool = ControlPartition.shared([*split.controls["x"].model, *split.controls["x"].judge])
    with pytest.raises(LeakError, match="both sides"):
        audit(replace(split, controls={**split.controls, "x": pool}), cells)


def test_a_perturbed_cell_among_the_controls_is_refused(split, cells):
    stray = str(cells.ids[cells.rows_of(min(split.test))[0]])
    leaking = {**split.controls, "x": ControlPartition((*split.controls["x"].model, stray), split.controls["x"].judge)}
    with pytest.raises(LeakError, match="1 cells listed as controls of x are A@x"):
        audit(replace(split, controls=leaking), cells)


def test_a_control_of_another_context_is_refused(split, cells):
    swapped = {"x": split.controls["y"], "y": split.controls["x"]}
    with pytest.raises(LeakError, match="are control@"):
        audit(replace(split, controls=swapped), cells)


def test_a_control_cell_in_two_contexts_is_refused(split, cells):
    both = {**split.controls, "x": split.controls["y"]}
    with pytest.raises(LeakError, match="is a control of x and of y"):
        audit(replace(split, controls=both), cells)


def test_a_split_of_another_file_is_refused(split, cells):
    renamed = replace(cells, ids=np.asarray([f"other{i}" for i in range(len(cells))]))
    with pytest.raises(BadDataError, match="not in cells"):
        audit(split, renamed)


def test_conditions_without_cells_and_cells_without_part_are_named(split, cells):
    ghost = Condition(Perturbation.of("Z"), "x")
    lost = min(split.train)
    found = audit(replace(split, test=split.test | {ghost}, train=split.train - {lost}), cells)
    assert found.absent == (ghost,)
    assert found.unassigned == (lost,)
    assert any("Z@x" in text for text in found.warnings)
    assert any(lost.label in text for text in found.warnings)


def test_each_gene_of_a_test_condition_says_how_it_was_seen():
    one, two = "x", "y"
    train = frozenset(
        Condition(Perturbation.of(*genes), context) for genes, context in [("A", one), ("B", two), ("CD", one)]
    )
    test = frozenset(Condition(Perturbation.of(*genes), one) for genes in ("AB", "CE", "B"))
    base = held_out_context(Outline.of(cells_of([*train, *test], "xy")), context="y")
    found = audit(replace(base, train=train, valid=frozenset(), test=test, strata={}))
    ways = {condition.perturbation.label: dict(seen.ways) for condition, seen in found.exposures.items()}
    assert ways == {
        "A+B": {"A": (Way.SINGLE_HERE,), "B": (Way.SINGLE_ELSEWHERE,)},
        "B": {"B": (Way.SINGLE_ELSEWHERE,)},
        "C+E": {"C": (Way.TOGETHER_HERE,), "E": (Way.NOWHERE,)},
    }
    again = {condition.label: seen.perturbation_seen_elsewhere for condition, seen in found.exposures.items()}
    assert again == {"A+B@x": False, "B@x": True, "C+E@x": False}
    assert found.ways[Way.SINGLE_ELSEWHERE] == 2


def test_what_the_data_brought_is_listed():
    cells = DATASETS["norman-500"].load()
    lines = audit(gears_simulation(Outline.of(cells)), cells).lines
    assert any("500-gene panel was chosen" in line for line in lines)
