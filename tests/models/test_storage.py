"""The model folder: sealed content is read, anything else is refused with the file named."""

import json

import numpy as np
import pytest

from pertura.core import Condition, Mode, Perturbation, Scale, Target
from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.models import storage
from pertura.models.table import load_model, model_named

ARRAYS = {"b": np.arange(6.0).reshape(2, 3), "a": np.zeros((0, 4))}


def test_what_is_written_is_read(tmp_path):
    storage.write_model(tmp_path, {"model": "mine", "panel": ["A", "Ä"]}, ARRAYS)
    header = storage.read_header(tmp_path)
    arrays = storage.read_weights(tmp_path, header)
    assert (header["model"], header["panel"]) == ("mine", ["A", "Ä"])
    assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)


def test_the_digest_goes_by_content_not_by_order_or_layout():
    turned = {"a": ARRAYS["a"], "b": np.asfortranarray(ARRAYS["b"])}
    assert storage.sealed({"model": "mine"}, ARRAYS) == storage.sealed({"model": "mine"}, turned)
    other = storage.sealed({"model": "mine"}, {**ARRAYS, "b": ARRAYS["b"] + 1})
    assert other[0]["digest"] != storage.sealed({"model": "mine"}, ARRAYS)[0]["digest"]


@pytest.mark.parametrize("content", ["{", "[1]", json.dumps({"format": "another"}), "[" * 100_000])
def test_another_file_in_its_place_is_refused(content, tmp_path):
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(BadDataError, match=r"model\.json"):
        load_model(tmp_path)


def test_a_newer_format_is_refused_with_its_version(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps({"format": "pertura-model", "version": 99}))
    with pytest.raises(BadDataError, match="version 99"):
        load_model(tmp_path)


def test_sealed_content_of_another_shape_is_refused(tmp_path):
    for content in ({"model": "nobody"}, {"model": "linear"}, {"model": "linear", "config": {"components": "x"}}):
        storage.write_model(tmp_path, content, ARRAYS)
        with pytest.raises(BadDataError, match=r"model\.json"):
            load_model(tmp_path)


def test_an_empty_folder_and_an_unknown_name_are_refused(tmp_path):
    with pytest.raises(MissingError, match="no fitted model"):
        load_model(tmp_path)
    with pytest.raises(UsageError, match="train-mean"):
        model_named("trainmean")


def test_conditions_and_scales_survive_json():
    targets = frozenset({Target("B", Mode.KNOCKOUT), Target("A", Mode.ACTIVATION)})
    condition = Condition(Perturbation(targets), "K562")
    assert storage.condition_from_json(json.loads(json.dumps(storage.condition_to_json(condition)))) == condition
    scale = Scale("lognormalised", 1e4, float(np.e), True, "said so")
    assert storage.scale_from_json(json.loads(json.dumps(storage.scale_to_json(scale)))) == scale
