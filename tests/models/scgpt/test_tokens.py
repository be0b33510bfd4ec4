"""Binning, tokens and embeddings against the official functions' own answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pertura.core.errors import BadDataError
from pertura.core.expression import InMemory
from pertura.models.scgpt.cell_embedding import EmbedOptions, embed
from pertura.models.scgpt.foreign import load_foreign
from pertura.models.scgpt.tokens import CellTokens, binned, collated, sequence

REFERENCE = Path(__file__).parents[2] / "reference/scgpt"


@pytest.fixture(scope="module")
def data():
    with np.load(REFERENCE / "data/golden.npz") as stored:
        return {name: np.asarray(stored[name]) for name in stored.files}


@pytest.fixture(scope="module")
def pretrained():
    return load_foreign(REFERENCE / "pretrained")


def test_bins_equal_the_official_ones_with_the_official_random_stream(data):
    stream = np.random.RandomState(20240601)
    mine = np.stack([binned(row, 51, stream) for row in data["rows"].astype(np.float64)])
    np.testing.assert_array_equal(mine, data["binned"])


def test_bins_of_values_without_ties_do_not_depend_on_the_generator(data):
    for seed in range(3):
        mine = np.stack([binned(row, 51, np.random.default_rng(seed)) for row in data["cont"]])
        np.testing.assert_array_equal(mine, data["binned_cont"])


def test_the_smallest_value_is_bin_one_the_largest_the_last_and_zeros_stay():
    values = np.asarray([0.0, 3.0, 0.0, 9.0, 1.0])
    digits = binned(values, 51, np.random.default_rng(0))
    assert digits[4] == 1
    assert digits[3] == 50
    assert not digits[[0, 2]].any()
    assert not binned(np.zeros(4), 51, np.random.default_rng(0)).any()


@pytest.mark.parametrize(("kind", "zeros"), [("nonzero", False), ("all", True)])
def test_sequences_equal_the_official_ones(data, kind, zeros):
    ids = np.arange(80) % 200
    rows = [
        sequence(row, ids, cls_id=int(data["cls"]), cls_value=0.0, zeros=zeros)
        for row in data["rows"].astype(np.float64)
    ]
    rngs = [np.random.default_rng(0)] * len(rows)
    batch = collated(rows, rngs, bins=None, longest=200, pad_id=int(data["pad"]))
    np.testing.assert_array_equal(batch.ids.numpy(), data[f"tok_{kind}_genes"])
    np.testing.assert_array_equal(batch.values.numpy(), data[f"tok_{kind}_values"])


def test_collated_cells_equal_the_official_ones(data):
    cells = [CellTokens(data[f"collate_in_genes{i}"], data[f"collate_in_expr{i}"].astype(np.float64)) for i in range(2)]
    rngs = [np.random.default_rng(0)] * 2
    batch = collated(cells, rngs, bins=51, longest=120, pad_id=int(data["pad"]))
    np.testing.assert_array_equal(batch.ids.numpy(), data["collated_gene"][:2])
    np.testing.assert_array_equal(batch.values.numpy(), data["collated_expr"][:2])


def test_a_long_cell_keeps_its_first_tokens_and_its_order():
    cell = CellTokens(np.arange(50), np.arange(50.0), kept=3)
    batch = collated([cell], [np.random.default_rng(1)], bins=None, longest=10, pad_id=99)
    ids = batch.ids[0].tolist()
    assert ids[:3] == [0, 1, 2]
    assert ids == sorted(ids)
    assert len(set(ids)) == 10


def embedded(pretrained, rows=slice(None), **options):
    with np.load(REFERENCE / "embed/golden.npz") as stored:
        X, ids, wanted = stored["X"][rows], stored["gene_ids"], stored["embedding"][rows]
    symbols = np.asarray(sorted(pretrained.vocab.ids, key=pretrained.vocab.ids.get))[ids]
    cells = np.asarray([f"cell {i}" for i in range(5)], dtype=object)[rows]
    made = embed(
        pretrained.network, pretrained.vocab, InMemory(X), (tuple(symbols.tolist()), cells), EmbedOptions(**options)
    )
    return made, wanted


def test_embeddings_equal_the_official_ones(pretrained):
    made, wanted = embedded(pretrained)
    np.testing.assert_allclose(made.vectors, wanted, atol=1e-5)
    assert made.unknown == ()


def test_a_cells_embedding_depends_on_neither_row_nor_batch(pretrained):
    options = {"longest": 20, "seed": 3}
    whole, _ = embedded(pretrained, **options)
    turned, _ = embedded(pretrained, slice(None, None, -1), batch=2, **options)
    np.testing.assert_allclose(turned.vectors[::-1], whole.vectors, atol=1e-5)


def test_a_cell_without_an_expressed_gene_is_named_not_invented(pretrained):
    X = np.zeros((2, 3))
    X[0] = 1.0
    genes = ("GENE0", "GENE1", "not a gene")
    made = embed(pretrained.network, pretrained.vocab, InMemory(X), (genes, np.asarray(["a", "b"], dtype=object)))
    assert made.silent.tolist() == [1]
    assert np.isnan(made.vectors[1]).all()
    assert made.unknown == ("not a gene",)
    with pytest.raises(BadDataError, match="none of 1 genes"):
        embed(pretrained.network, pretrained.vocab, InMemory(X[:, :1]), (("x",), np.asarray(["a", "b"], dtype=object)))
    assert torch.is_inference_mode_enabled() is False
