import json

import pytest

from pertura.core.errors import BadDataError, LeakError, MissingError
from pertura.core.perturbation import Mode
from pertura.core.split import Outline
from pertura.data.datasets import DATASETS
from pertura.data.splits.conditions_file import read_conditions
from pertura.data.splits.files import read_split, write_split
from pertura.data.splits.gears_simulation import gears_simulation
from pertura.data.splits.held_out import held_out_context


@pytest.mark.parametrize(
    "split",
    [
        gears_simulation(Outline.of(DATASETS["norman-500"].load())),
        held_out_context(Outline.of(DATASETS["mcfaline-500"].load()), context="T98G", controls="unseen"),
    ],
    ids=lambda split: split.name,
)
def test_a_split_comes_back_as_it_was_written(split, tmp_path):
    write_split(split, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == split


def test_a_split_file_lists_parts_strata_and_both_sides_of_the_controls(tmp_path):
    write_split(gears_simulation(Outline.of(DATASETS["norman-500"].load())), tmp_path / "split.json")
    content = json.loads((tmp_path / "split.json").read_text())
    everything = content["train"] + content["valid"] + content["test"]
    assert len(everything) == len(set(everything)) == 33
    assert "MAP2K6" in everything
    assert not any("ctrl" in name or "control" in name for name in everything)
    assert [len(side) for side in content["controls"]["K562"]] == [50, 50]


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        read_split(tmp_path / "split.json")


def test_a_folder_is_no_split(tmp_path):
    with pytest.raises(BadDataError):
        read_split(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '"x"', "[" * 100_000, '{"a": NaN}'])
def test_what_is_no_split_is_named(text, tmp_path):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(BadDataError, match=r"split\.json"):
        read_split(tmp_path / "split.json")


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "split.json").write_bytes(b"\x89HDF\r\n\x1a\n\xff")
    with pytest.raises(BadDataError, match="not readable as JSON"):
        read_split(tmp_path / "split.json")


@pytest.mark.parametrize(
    "change",
    [
        {"train": "ABC"},
        {"train": [1]},
        {"test": None},
        {"test": [""]},
        {"test": [" A"]},
        {"strata": []},
        {"strata": {"a": "A"}},
        {"controls": {"K562": [["a"]]}},
        {"controls": {"K562": [["a"], "b"]}},
        {"unseen": "K562"},
        {"format": "another"},
        {"version": 99},
        {"version": "x"},
        {"seed": None},
        {"modes": ["psychic"]},
        {"modes": []},
        {"options": 3},
        {"contexts": 3},
    ],
    ids=str,
)
def test_a_malformed_entry_is_refused(change, tmp_path):
    content = gears_simulation(Outline.of(DATASETS["norman-500"].load())).to_json() | change
    (tmp_path / "split.json").write_text(json.dumps(content))
    with pytest.raises((BadDataError, LeakError)):
        read_split(tmp_path / "split.json")


def test_a_file_whose_parts_overlap_is_a_leak(tmp_path):
    content = gears_simulation(Outline.of(DATASETS["norman-500"].load())).to_json()
    content["train"] = [*content["train"], content["test"][0]]
    (tmp_path / "split.json").write_text(json.dumps(content))
    with pytest.raises(LeakError):
        read_split(tmp_path / "split.json")


def test_a_list_of_conditions_skips_control_and_blank_lines(tmp_path):
    (tmp_path / "list.txt").write_text("ctrl\n\nB+A\nA+ctrl\nctrl+B\n  C \nctrl+A\nA+B\n")
    found = read_conditions(tmp_path / "list.txt", Mode.ACTIVATION)
    assert sorted(one.label for one in found.outline.conditions) == ["A", "A+B", "B", "C"]
    assert found.respelled == ("B+A", "ctrl+A")
    assert {mode for one in found.outline.conditions for mode in one.perturbation.modes} == {Mode.ACTIVATION}


def test_a_list_may_name_contexts(tmp_path):
    (tmp_path / "list.txt").write_text("A@x\nA@y\nctrl@x\n")
    assert read_conditions(tmp_path / "list.txt").outline.contexts == ("x", "y")


@pytest.mark.parametrize(("text", "place"), [("A\nA++B\n", "line 2"), ("ctrl\n", "no condition but control")])
def test_a_bad_list_names_the_line(text, place, tmp_path):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(BadDataError, match=place):
        read_conditions(tmp_path / "list.txt")
