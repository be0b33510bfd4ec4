"""Laws of what a network sees of a cell: nothing but its content, whatever stands around it."""

import numpy as np
import pytest
import torch
from small_networks import small_base, small_view, sparse_cells, symbols

from pertura.annotation.embedding import FrozenEmbedding
from pertura.annotation.feeding import Deck
from pertura.annotation.tokens import Reading, batch_of, bucketed, ranked, tokenised
from pertura.annotation.view import view_of
from pertura.core.expression import InMemory
from pertura.models.scgpt.cell_embedding import EmbedOptions, embed

GENES = 30


def view(base, matrix, order=None):
    names = symbols(GENES) if order is None else [symbols(GENES)[place] for place in order]
    ids = np.asarray([f"c{number}" for number in range(len(matrix))], dtype=object)
    return view_of(InMemory(matrix if order is None else matrix[:, order]), tuple(names), ids, tuple(names), base.vocab)


def tokens(base, one, row):
    cell = tokenised(one, np.asarray([row]), base)
    batch = batch_of(cell, base, Reading(longest=12))
    return batch.ids[0].tolist(), batch.values[0].tolist()


def test_tokens_depend_on_neither_row_name_gene_order_nor_scale():
    base = small_base(symbols(GENES))
    counts = sparse_cells(8, GENES)
    shuffled = np.random.default_rng(4).permutation(GENES)
    totals = counts.sum(axis=1, keepdims=True)
    others = [
        view(base, counts[::-1].copy()),
        view(base, counts, shuffled),
        view(base, np.log1p(counts / totals * 1e4)),
        view(base, np.log2(1 + counts / totals * 1e3)),
    ]
    for row in range(8):
        mine = tokens(base, view(base, counts), row)
        found = [tokens(base, one, 7 - row if place == 0 else row) for place, one in enumerate(others)]
        assert found == [mine] * 4


def test_ranks_keep_order_and_ties():
    values = np.asarray([0.0, 3.5, 1.0, 3.5, 0.0, 7.0], dtype=np.float32)
    assert ranked(values).tolist() == [0, 2, 1, 2, 0, 3]


def test_vectors_of_a_cell_alone_and_in_any_batch_are_the_same():
    base = small_base(symbols(GENES))
    counts = sparse_cells(20, GENES)
    whole = FrozenEmbedding(base, Reading(batch=20)).place(view(base, counts), np.arange(20))
    for size in (1, 3, 7):
        found = FrozenEmbedding(base, Reading(batch=size)).place(view(base, counts), np.arange(20))
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-6)
    alone = FrozenEmbedding(base).place(view(base, counts[5:6]), np.arange(1))
    np.testing.assert_allclose(alone[0], whole[5], rtol=1e-4, atol=1e-6)


def test_the_vectors_are_those_of_the_published_embedding_where_no_value_is_tied():
    base = small_base(symbols(GENES))
    matrix = np.random.default_rng(0).uniform(0.5, 9, size=(6, GENES)) * (sparse_cells(6, GENES) > 0)
    mine = view(base, matrix)
    theirs = embed(
        base.checkpoint.network, base.vocab, mine.expression, (tuple(symbols(GENES)), mine.ids), EmbedOptions()
    )
    np.testing.assert_allclose(FrozenEmbedding(base).place(mine, np.arange(6)), theirs.vectors, rtol=1e-4, atol=1e-6)


def test_a_silent_cell_has_no_place():
    base = small_base(symbols(GENES))
    matrix = np.concatenate([np.zeros((1, GENES), dtype=np.float32), sparse_cells(3, GENES)])
    found = FrozenEmbedding(base).place(view(base, matrix), np.arange(4))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:]).all()
    np.testing.assert_allclose(np.linalg.norm(found[1:], axis=1), 1, rtol=1e-5)


def test_batches_are_of_like_length_and_hold_every_cell_that_speaks():
    base = small_base(symbols(GENES))
    cells = tokenised(small_view(base, 40), np.arange(40), base)
    chosen = list(bucketed(cells, 7))
    assert sorted(np.concatenate(chosen).tolist()) == [place for place, one in enumerate(cells) if not one.silent]
    longest = [max(len(cells[place]) for place in one) for one in chosen]
    assert longest == sorted(longest)
    batch = batch_of([cells[place] for place in chosen[0]], base, Reading())
    assert batch.ids.shape[1] == longest[0]


def test_an_embedding_is_computed_once_for_the_same_content(tmp_path):
    base, counts = small_base(symbols(GENES)), sparse_cells(10, GENES)
    first = FrozenEmbedding(base, cache=tmp_path)
    whole = view(base, counts)
    first.remember(whole)
    assert not first.from_cache
    again = FrozenEmbedding(base, cache=tmp_path)
    mine = view(base, counts[::-1].copy())
    again.remember(mine)
    assert again.from_cache
    every = np.arange(10)
    np.testing.assert_array_equal(again.place(mine, every)[::-1], first.place(whole, every))
    for changed in (FrozenEmbedding(small_base(symbols(GENES), seed=9), cache=tmp_path), again):
        other = view(changed.base, counts if changed is not again else counts[:9])
        changed.remember(other)
        assert not changed.from_cache


def test_a_spoiled_cache_is_made_again(tmp_path):
    base, mine = small_base(symbols(GENES)), None
    for content in (None, b"", b"nonsense" * 20):
        if content is not None:
            next(tmp_path.iterdir()).write_bytes(content)
        mine = view(base, sparse_cells(5, GENES))
        made = FrozenEmbedding(base, cache=tmp_path)
        made.remember(mine)
        assert not made.from_cache
    assert np.isfinite(made.place(mine, np.arange(5))).all()


@pytest.mark.parametrize("balanced", [False, True])
def test_an_epoch_holds_every_cell_or_every_class_equally(balanced):
    codes = np.repeat([0, 1, 2], [20, 6, 4])
    deck = Deck(codes, 8, seed=1, balanced=balanced)
    drawn = [place for step in range(deck.steps) for place in deck.places(0, step)]
    assert len(drawn) == len(codes)
    if balanced:
        assert np.bincount(codes[drawn]).tolist() == [10, 10, 10]
    else:
        assert sorted(drawn) == list(range(len(codes)))
    assert drawn != [place for step in range(deck.steps) for place in deck.places(1, step)]
    assert drawn == [p for step in range(deck.steps) for p in Deck(codes, 8, 1, balanced).places(0, step)]


def test_the_digest_of_a_base_knows_its_weights():
    base, same, other = (small_base(symbols(GENES), seed=seed) for seed in (0, 0, 1))
    assert base.digest == same.digest != other.digest
    with torch.no_grad():
        same.checkpoint.network.encoder.layers[0].linear1.bias[0] += 1e-3
    assert small_base(symbols(GENES), network=same.checkpoint.network).digest != base.digest
