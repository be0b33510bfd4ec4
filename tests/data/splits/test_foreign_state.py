"""TOML files of State become splits of a screen, word for word of their grammar."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_screens import CONTEXTS, cells_of

from pertura.core.errors import BadDataError, LeakError, MissingError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline
from pertura.data.splits.audit import audit
from pertura.data.splits.foreign import TEST_WINS, Rules
from pertura.data.splits.foreign_files import split_from_file

GENES = ("AARS", "TUFM", "NUP107", "RPUSD4")
REFUSING = Rules()
CELLS = cells_of([Condition(Perturbation.of(gene), context) for context in CONTEXTS for gene in GENES])
HEAD = '[datasets]\nr = "/data/r/"\n[training]\nr = "train"\n'


def read(tmp_path, content, cells=CELLS, rules=REFUSING, dataset=None):
    path = tmp_path / "split.toml"
    path.write_text(content)
    return split_from_file(path, Outline.of(cells), rules, dataset)


def labels(part):
    return {one.label for one in part}


def test_lists_hold_out_perturbations_of_a_context_and_all_else_trains(tmp_path):
    text = HEAD + '[fewshot]\n[fewshot."r.x"]\nval = ["AARS"]\ntest = ["NUP107", "RPUSD4", "non-targeting"]\n'
    found = read(tmp_path, text)
    assert labels(found.split.valid) == {"AARS@x"}
    assert labels(found.split.test) == {"NUP107@x", "RPUSD4@x"}
    assert labels(found.split.train) == {"TUFM@x", *(f"{gene}@{context}" for context in "yz" for gene in GENES)}
    assert any("1 entries are control" in line for line in found.lines)
    checked = audit(found.split, CELLS)
    assert checked.cells == {"train": 27, "valid": 3, "test": 6, "model controls": 9, "judge controls": 9}
    assert not checked.unassigned


def test_a_whole_context_is_held_out(tmp_path):
    found = read(tmp_path, HEAD + '[zeroshot]\n"r.y" = "test"\n"r.z" = "val"\n[fewshot]\n')
    assert {one.context for one in found.split.test} == {"y"}
    assert {one.context for one in found.split.valid} == {"z"}
    assert {one.context for one in found.split.train} == {"x"}
    assert "controls of y, z are seen in training (their model side)" in found.lines
    assert found.split.unseen == frozenset()


def test_overlapping_lists_are_refused_or_test_wins(tmp_path):
    text = HEAD + '[fewshot."r.x"]\nval = ["AARS", "TUFM"]\ntest = ["AARS"]\n'
    with pytest.raises(LeakError, match=r"1 conditions are in two parts \(AARS@x\); --overlap test-wins"):
        read(tmp_path, text)
    found = read(tmp_path, text, rules=Rules(TEST_WINS))
    assert labels(found.split.test) == {"AARS@x"}
    assert labels(found.split.valid) == {"TUFM@x"}
    assert "kept in a later part alone, though valid has them too: 1: AARS@x" in found.lines
    assert found.split.options["overlap"] == TEST_WINS


def test_unknown_conditions_and_contexts_are_counted_and_named(tmp_path):
    text = HEAD + '[zeroshot]\n"r.q" = "val"\n[fewshot."r.X"]\ntest = ["AARS", "GONE1", "GONE2"]\n'
    found = read(tmp_path, text)
    assert "warning: 2 of its test conditions are not in this screen: GONE1@x, GONE2@x" in found.lines
    assert "warning: the screen has no context q, which the file holds out" in found.lines
    assert "X is x here" in found.lines
    assert found.split.options["unknown"] == "2"
    with pytest.raises(BadDataError, match="the contexts of this screen are x, y, z"):
        read(tmp_path, HEAD + '[fewshot."r.q"]\ntest = ["AARS"]\n')
    with pytest.raises(BadDataError, match=r"none of its conditions.*\(GONE@x\)"):
        read(tmp_path, HEAD + '[fewshot."r.x"]\ntest = ["GONE"]\n')


def test_a_context_that_no_table_trains_lies_in_no_part(tmp_path):
    found = read(tmp_path, '[fewshot."r.x"]\ntest = ["AARS"]\n')
    assert labels(found.split.train) == {"TUFM@x", "NUP107@x", "RPUSD4@x"}
    assert "warning: y, z do not train: [training] does not name 'r'" in found.lines
    assert len(audit(found.split, CELLS).unassigned) == 8


def test_of_several_data_sets_one_is_chosen(tmp_path):
    text = '[training]\nr = "train"\n"s.1" = "train"\n[zeroshot]\n"r.x" = "val"\n"s.1.x" = "test"\n'
    with pytest.raises(UsageError, match=r"say which this screen is with --dataset \(r, s\.1\)"):
        read(tmp_path, text)
    assert {one.context for one in read(tmp_path, text, dataset="s.1").split.test} == {"x"}
    assert {one.context for one in read(tmp_path, text, dataset="r").split.valid} == {"x"}
    with pytest.raises(UsageError, match="--dataset 't'"):
        read(tmp_path, text, dataset="t")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it says nothing of a split"),
        ("a = ", "cannot be read"),
        ("[data]\n", r"unknown table \[data\]"),
        ("training = 3\n", "training is not a table"),
        ('[training]\nr = "test"\n', r"\[training\] r is 'test'"),
        ('[zeroshot]\n"r.x" = "train"\n', r"\[zeroshot\] r.x is 'train'"),
        ('[zeroshot]\n"r.x" = ["test"]\n', r"\[zeroshot\] r.x is \['test'\]"),
        ('[zeroshot]\nrx = "test"\n', "'rx' is not dataset.context"),
        ('[zeroshot]\n"r." = "test"\n', "'r.' is not dataset.context"),
        ("[fewshot]\nr = 3\n", r"\[fewshot\] r is not a table of lists"),
        ('[fewshot."r.x"]\ntrain = []\n', "has 'train', not val or test"),
        ('[fewshot."r.x"]\ntest = "AARS"\n', "test is not a list of names"),
        ('[fewshot."r.x"]\ntest = [3]\n', "test is not a list of names"),
        ('[fewshot."r.x"]\ntest = ["AARS"]\n[zeroshot]\n"r.x" = "val"\n', "x is held out whole and by lists"),
        ("a = " + "[" * 100_000, "cannot be read"),
    ],
)
def test_what_is_not_of_the_grammar_is_refused_with_its_place(text, words, tmp_path):
    with pytest.raises(BadDataError, match=words) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path))
    assert len(str(refused.value)) < 1000


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        split_from_file(tmp_path / "none.toml", Outline.of(CELLS), Rules())
    with pytest.raises(BadDataError, match="is no file"):
        split_from_file(tmp_path, Outline.of(CELLS), Rules())
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadDataError, match="cannot be read"):
        split_from_file(tmp_path / "a.toml", Outline.of(CELLS), Rules())


@settings(deadline=None, max_examples=50)
@given(
    valid=st.sets(st.sampled_from([*GENES, "GONE"])),
    test=st.sets(st.sampled_from([*GENES, "GONE"]), min_size=1),
    whole=st.sampled_from(["", "val", "test"]),
    seed=st.integers(0, 3),
)
def test_every_condition_is_in_one_part_and_the_order_of_lists_plays_no_role(
    valid, test, whole, seed, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("s")
    zeroshot = f'[zeroshot]\n"r.y" = "{whole}"\n' * bool(whole)
    files = [
        f'{HEAD}{zeroshot}[fewshot."r.x"]\nval = {json.dumps(order(valid))}\ntest = {json.dumps(order(test))}\n'
        for order in (sorted, lambda one: sorted(one, reverse=True))
    ]
    if test == {"GONE"} and not valid - {"GONE"} and not whole:
        return
    first, second = (read(folder, one, rules=Rules(TEST_WINS, seed)) for one in files)
    assert first.split.to_json() | {"options": {}} == second.split.to_json() | {"options": {}}
    parts = first.split.train, first.split.valid, first.split.test
    assert sum(map(len, parts)) == len(frozenset().union(*parts)) == len(CELLS.perturbed)
    assert labels(first.split.test) >= {f"{gene}@x" for gene in test - {"GONE"}}
    assert np.all([len(one.model) == len(one.judge) == 3 for one in first.split.controls.values()])
