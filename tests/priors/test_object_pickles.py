"""Pickles of objects: structure without execution."""

import os
import pickle
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pertura.core.errors import BadDataError
from pertura.priors.object_pickles import Inert, LackingError, array, entry, listed, mapping, read_objects, words


def stored(folder: Path, value: Any, protocol: int = 5) -> Any:
    path = folder / "value.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return read_objects(path)


class Slotted:
    """An object whose state is a pair of dicts."""

    __slots__ = ("__dict__", "held")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_words_and_structure_come_back(protocol, tmp_path):
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = {"a": [1, 2.5, "word"], "b": (None, True), "c": {"d": numbers}, "e": OrderedDict(f=1), "g": {"h"}}
    found = stored(tmp_path, value, protocol)
    assert listed(found["a"]) == [1, 2.5, "word"]
    assert found["b"] == (None, True)
    np.testing.assert_array_equal(array(entry(found["c"], "d")), numbers)
    assert mapping(found["e"]) == {"f": 1}


@pytest.mark.parametrize("values", [np.float64(2.5), np.asarray([[1, 2], [3, 4]], order="F"), np.zeros((0, 3), "i2")])
def test_arrays_come_back_with_type_and_order(values, tmp_path):
    found = array(entry(stored(tmp_path, {"values": values}), "values"))
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.asarray(values).dtype


def test_words_of_an_array_of_objects_come_back(tmp_path):
    assert words(stored(tmp_path, np.asarray(["G1", "G22"], dtype=object))) == ["G1", "G22"]


def test_attributes_are_found_wherever_an_object_keeps_them(tmp_path):
    one = Slotted()
    one.held, one.open = 3, 4
    found = stored(tmp_path, one)
    assert (entry(found, "held"), entry(found, "open")) == (3, 4)
    with pytest.raises(LackingError, match="'closed'"):
        entry(found, "closed")


def test_keys_that_are_no_words_lie_apart(tmp_path):
    found = stored(tmp_path, {"a": 1, 0: "zero", (1, 2): "pair"})
    assert dict(found) == {"a": 1}
    assert found.others == [(0, "zero"), ((1, 2), "pair")]


def test_objects_are_records_of_what_would_have_made_them(tmp_path):
    found = stored(tmp_path, Fraction(1, 3))
    assert isinstance(found, Inert)
    assert (found.kind, found.arguments) == ("Fraction", ("1/3",)) or found.arguments == (1, 3)


class Call:
    """An object that would call something."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def test_calls_are_not_made(tmp_path):
    found = stored(tmp_path, [Call(tmp_path / "made")])
    assert listed(found)[0].kind == "mkdir"
    assert not (tmp_path / "made").exists()
    with pytest.raises(LackingError):
        array(listed(found)[0])


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x05", b"N.N", b"\x80\x05]\x94.x", b"(lp0\nS'a'\n", b"P1\n.", b"\x82\x01."]
)
def test_what_is_no_whole_pickle_is_refused(content, tmp_path):
    (tmp_path / "bad.pkl").write_bytes(content)
    with pytest.raises(BadDataError, match=r"bad\.pkl"):
        read_objects(tmp_path / "bad.pkl")


def test_arrays_whose_bytes_are_not_those_of_their_shape_are_refused(tmp_path):
    whole = pickle.dumps(np.arange(4, dtype=np.int16), protocol=5)
    (tmp_path / "value.pkl").write_bytes(whole.replace(b"i2", b"i4"))
    with pytest.raises(BadDataError, match="8 bytes"):
        array(read_objects(tmp_path / "value.pkl"))
