"""A sentence-transformers model is used as it is, and what it does not read is counted."""

import sys
import types

import numpy as np
import pytest

from pertura.core.errors import BadDataError, MissingError
from pertura.priors.encoders.sentence import SentenceEncoder


class Network:
    """Counts words; reads four of them, as `max_seq_length` says."""

    max_seq_length = 4

    def __init__(self, model):
        if model == "absent":
            raise OSError("no such model")
        self.model = model

    def tokenizer(self, text):
        return {"input_ids": text.split()}

    def encode(self, texts, *, batch_size, convert_to_numpy, show_progress_bar):
        assert convert_to_numpy
        assert not show_progress_bar
        value = np.nan if self.model == "broken" else 1.0
        return np.asarray([[len(one.split()[:4]), value] for one in texts], dtype=np.float64)


@pytest.fixture
def package(monkeypatch):
    made = types.ModuleType("sentence_transformers")
    made.SentenceTransformer = Network
    monkeypatch.setitem(sys.modules, "sentence_transformers", made)


@pytest.mark.usefixtures("package")
def test_rows_are_those_of_the_model_and_cut_texts_are_counted():
    encoder = SentenceEncoder("some/model")
    table = encoder.encode(["one two", "one two three four five", "one"])
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table, [[2, 1], [4, 1], [1, 1]])
    assert (encoder.truncated, encoder.name) == (1, "sentence-transformers:some/model")


@pytest.mark.usefixtures("package")
def test_broken_and_absent_models_say_so():
    with pytest.raises(MissingError, match="no such model"):
        SentenceEncoder("absent").encode(["a"])
    with pytest.raises(BadDataError, match="not finite"):
        SentenceEncoder("broken").encode(["a"])


def test_an_absent_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingError, match=r"pip install 'pertura\[text\]'"):
        SentenceEncoder("some/model").encode(["a"])
