"""What every entry of `SPLITS` keeps, on every screen it can cut."""

import inspect
from functools import lru_cache

import numpy as np
import pytest

from pertura.core import Outline
from pertura.data.datasets import DATASETS
from pertura.data.splits import SPLITS
from pertura.data.splits.audit import audit
from pertura.data.splits.files import read_split, write_split
from screens import reordered

HOLDS_OUT = {name for name, rule in SPLITS.items() if "context" in inspect.signature(rule).parameters}


@lru_cache
def cells_of(screen):
    return DATASETS[screen].load()


def cases():
    for name in SPLITS:
        for screen in DATASETS:
            if name not in HOLDS_OUT or len(cells_of(screen).contexts) > 1:
                yield name, screen


class Case:
    """A rule on a screen, with a context to hold out where it takes one."""

    def __init__(self, name, screen):
        self.name, self.cells = name, cells_of(screen)

    def split(self, seed=1, cells=None, **options):
        if self.name in HOLDS_OUT:
            options = {"context": self.cells.contexts[0]} | options
        return SPLITS[self.name](Outline.of(cells or self.cells), seed=seed, **options)


@pytest.fixture(params=list(cases()), ids="-".join)
def case(request):
    return Case(*request.param)


def test_every_rule_is_tested_on_some_screen():
    assert {name for name, _ in cases()} == set(SPLITS)


def test_a_split_carries_the_name_of_its_rule_and_its_seed(case):
    split = case.split(seed=3)
    assert (split.name, split.seed) == (case.name, 3)
    assert all(isinstance(one, str) for pair in split.options.items() for one in pair)


def test_there_is_something_to_train_on_and_something_to_judge(case):
    split = case.split()
    assert split.train
    assert split.test


def test_every_condition_is_in_one_part_or_named_as_left_out(case):
    split = case.split()
    parts = [split.train, split.valid, split.test]
    assert sum(map(len, parts)) == len(frozenset().union(*parts))
    assert frozenset().union(*parts) <= set(case.cells.perturbed)
    told = " ".join(split.options.values())
    for one in set(case.cells.perturbed) - frozenset().union(*parts):
        assert one.label in told


def test_strata_are_parts_of_test_and_do_not_overlap(case):
    split = case.split()
    assert sum(map(len, split.strata.values())) == len(frozenset().union(*split.strata.values()))
    assert frozenset().union(*split.strata.values()) <= split.test


def test_the_controls_of_every_context_are_cut_in_two(case):
    split = case.split()
    assert set(split.controls) == set(case.cells.contexts)
    for context, sides in split.controls.items():
        assert not set(sides.model) & set(sides.judge)
        assert {*sides.model, *sides.judge} == set(case.cells.ids[case.cells.control_rows(context)])
        assert abs(len(sides.model) - len(sides.judge)) <= 1


def test_a_fitting_model_sees_no_test_cell_and_no_judge_control(case):
    split = case.split()
    seen = set(split.visible(case.cells).ids)
    hidden = [case.cells.rows_of(one) for one in split.test]
    hidden += [split.judge_controls(case.cells, context) for context in case.cells.contexts]
    assert not seen & set(case.cells.ids[np.concatenate(hidden)])


def test_the_order_of_the_file_changes_nothing(case):
    assert case.split(cells=reordered(case.cells)).fingerprint == case.split().fingerprint


def test_the_same_seed_gives_the_same_split_and_another_seed_another(case):
    assert case.split(seed=2) == case.split(seed=2)
    splits = [case.split(seed=seed) for seed in range(1, 6)]
    assert len({one.fingerprint for one in splits}) == 5
    assert len({(one.train, one.valid, one.test) for one in splits}) > 1
    assert len({one.controls[case.cells.contexts[0]] for one in splits}) == 5


def test_an_audit_finds_no_leak(case):
    found = audit(case.split(), case.cells)
    assert set(found.exposures) == case.split().test
    assert not any("SHARED" in text for text in found.warnings)


def test_a_split_survives_its_file(case, tmp_path):
    split = case.split()
    write_split(split, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == split


def test_shared_controls_are_recorded_and_warned_of(case):
    split = case.split(shared_controls=True)
    assert split.options["shared_controls"] == "true"
    assert all(one.is_shared for one in split.controls.values())
    assert any("SHARED CONTROLS" in text for text in audit(split, case.cells).warnings)
