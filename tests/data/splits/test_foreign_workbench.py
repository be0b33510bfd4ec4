"""The JSON of the comparison workbench is read and written."""

import json

import pytest
from split_screens import cells_of, spelled_outline

from pertura.core.errors import BadDataError, LeakError, UsageError
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.split import Outline, Split
from pertura.data.datasets import DATASETS
from pertura.data.splits import SPLITS
from pertura.data.splits.audit import audit
from pertura.data.splits.files import write_split
from pertura.data.splits.foreign import TEST_WINS, Rules
from pertura.data.splits.foreign_files import split_from_file
from pertura.data.splits.foreign_workbench import write_workbench

OUTLINE = spelled_outline(["A+ctrl", "ctrl+B", "C+ctrl", "A+B", "C+A"])

REFUSING = Rules()


def read(tmp_path, content, outline=OUTLINE, rules=REFUSING):
    path = tmp_path / "simulation_42_0.75.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return split_from_file(path, outline, rules)


def lists(train=(), val=(), test=(), **more):
    return {"split_type": "simulation", "seed": 42, "train": [*train], "val": [*val], "test": [*test], **more}


def labels(part):
    return {one.label for one in part}


def test_labels_are_read_in_either_order_and_control_is_no_condition(tmp_path):
    found = read(tmp_path, lists(["ctrl", "B+ctrl", "A+C"], ["ctrl+A"], ["B+A", "control"], train_gene_set_size=0.75))
    assert labels(found.split.train) == {"B", "A+C"}
    assert labels(found.split.valid) == {"A"}
    assert labels(found.split.test) == {"A+B"}
    assert {name: labels(members) for name, members in found.split.strata.items()} == {"combo_seen2": {"A+B"}}
    assert "2 entries are control: its cells are cut in two here, for models and to judge by" in found.lines
    assert found.split.options["its_seed"] == "42"
    assert found.split.options["its_train_gene_set_size"] == "0.75"
    assert [one.label for one in audit(found.split).unassigned] == []
    assert found.split.options["in_no_part"] == "1: C"


def test_two_spellings_of_one_condition_in_two_parts_overlap(tmp_path):
    content = lists(["A+B"], ["C+ctrl"], ["B+A"])
    with pytest.raises(LeakError, match=r"1 conditions are in two parts \(A\+B\)"):
        read(tmp_path, content)
    assert labels(read(tmp_path, content, rules=Rules(TEST_WINS)).split.test) == {"A+B"}


def test_unknown_labels_are_named_and_old_symbols_are_found(tmp_path):
    outline = spelled_outline(["MAP3K21+ctrl", "B+ctrl", "C+ctrl"])
    found = read(tmp_path, lists(["B+ctrl", "X+Y"], ["C+ctrl"], ["KIAA1804+ctrl"]), outline)
    assert labels(found.split.test) == {"MAP3K21"}
    assert "1 labels name a gene by another symbol: KIAA1804+ctrl is MAP3K21" in found.lines
    assert "warning: 1 of its train conditions are not in this screen: X+Y" in found.lines


def test_without_contexts_a_label_holds_in_all_of_them(tmp_path):
    cells = cells_of([Condition(Perturbation.of(gene), context) for context in "xy" for gene in "AB"], "xy")
    found = read(tmp_path, lists(["B+ctrl"], [], ["A+ctrl"]), Outline.of(cells))
    assert labels(found.split.test) == {"A@x", "A@y"}
    assert "the file has no contexts: its labels hold in each of the 2 here" in found.lines
    assert audit(found.split, cells).cells["test"] == 6


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"a": ' * 100_000, "cannot be read"),
        ("{}", "is no split"),
        (lists(train=["A"]) | {"val": "B"}, "val is not a list of names"),
        (lists(train=["A", 3]), "train is not a list of names"),
        (lists(train=["A", " "]), "train is not a list of names"),
        (lists(train=["A"], strata=[]), "strata is not a table"),
        (lists(train=["A"], strata={"x": 3}), "strata x is not a list"),
        (lists(train=["X"], test=["Y"]), "none of its conditions to choose or judge by"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_split_is_refused(content, words, tmp_path):
    with pytest.raises(BadDataError, match=words):
        read(tmp_path, content)


def test_own_files_and_data_sets_are_sent_elsewhere(tmp_path):
    write_split(Split("s", frozenset(), frozenset(), frozenset()), tmp_path / "own.json")
    with pytest.raises(UsageError, match="is a split of pertura already"):
        split_from_file(tmp_path / "own.json", OUTLINE, Rules())
    (tmp_path / "w.json").write_text(json.dumps(lists(["A+ctrl"])))
    with pytest.raises(UsageError, match="--dataset goes with a TOML"):
        split_from_file(tmp_path / "w.json", OUTLINE, Rules(), "r")
    with pytest.raises(UsageError, match="--overlap both"):
        Rules("both")


@pytest.mark.parametrize("seed", [1, 42])
def test_what_is_written_is_read_back_as_the_same_split(seed, tmp_path):
    cells = DATASETS["norman-500"].load()
    outline = Outline.of(cells)
    made = SPLITS["gears-simulation"](outline, seed=seed)
    write_workbench(made, tmp_path / "w.json")
    content = json.loads((tmp_path / "w.json").read_text())
    assert content["seed"] == seed
    assert content["train_gene_set_size"] == 0.75
    assert "ctrl" in content["train"]
    assert all(content[name] == sorted(content[name]) for name in ("train", "val", "test"))
    assert sum(len(content[name]) for name in ("train", "val", "test")) == len(cells.perturbed) + 1
    back = split_from_file(tmp_path / "w.json", outline, Rules(seed=seed)).split
    for part in ("train", "valid", "test", "controls"):
        assert getattr(back, part) == getattr(made, part)
    assert dict(back.strata) == {name: members for name, members in made.strata.items() if members}


def test_parts_that_differ_between_contexts_cannot_be_written(tmp_path):
    cells = DATASETS["mcfaline-500"].load()
    made = SPLITS["held-out-context"](Outline.of(cells), context="A172")
    with pytest.raises(UsageError, match="this format has no contexts; write split"):
        write_workbench(made, tmp_path / "w.json")
    assert not (tmp_path / "w.json").exists()
