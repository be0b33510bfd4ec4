"""TF-IDF and truncated SVD against closed forms, and the same bytes whatever the threads."""

import hashlib

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pertura.core.errors import UsageError
from pertura.priors.encoders import ENCODERS, Encoder, encoder_named
from pertura.priors.encoders.tfidf import TfidfEncoder

WORDS = np.asarray([f"word{number}" for number in range(300)])


def made_texts(count, seed=0):
    """Texts whose words follow one of ten topics."""
    rng = np.random.default_rng(seed)
    return [" ".join(WORDS[rng.integers(0, 30, 25) + 27 * (row % 10)]) for row in range(count)]


def weights_by_hand(texts):
    """Return damped counts x rarity, rows of length 1, from their definition."""
    words = sorted({word for text in texts for word in text.split()})
    counts = np.asarray([[text.split().count(word) for word in words] for text in texts], dtype=np.float64)
    damped = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
    rarity = np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0))) + 1
    weighted = damped * rarity
    return weighted / np.linalg.norm(weighted, axis=1, keepdims=True)


def test_products_of_vectors_are_those_of_the_best_approximation():
    texts = made_texts(60)
    weights = weights_by_hand(texts)
    left, values, _ = np.linalg.svd(weights, full_matrices=False)
    best = (left[:, :10] * values[:10]) @ (left[:, :10] * values[:10]).T
    found = TfidfEncoder(10).encode(texts).astype(np.float64)
    np.testing.assert_allclose(found @ found.T, best, atol=1e-3)
    np.testing.assert_allclose((found**2).sum(), (values[:10] ** 2).sum(), rtol=1e-5)


def test_columns_are_orthogonal_ordered_and_signed():
    table = TfidfEncoder(12).encode(made_texts(60)).astype(np.float64)
    products = table.T @ table
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-5)
    assert (np.diff(np.diag(products)) <= 1e-9).all()
    assert (table[np.abs(table).argmax(axis=0), range(12)] > 0).all()


def test_the_same_texts_give_the_same_bytes_whatever_the_threads():
    texts = made_texts(400)
    digests = set()
    for threads in (1, 2, 2):
        with threadpool_limits(limits=threads):
            digests.add(hashlib.sha256(TfidfEncoder(64).encode(texts).tobytes()).hexdigest())
    assert len(digests) == 1


def test_texts_in_another_order_have_the_same_vectors_within_rounding():
    texts = made_texts(80)
    order = np.random.default_rng(1).permutation(80)
    straight, turned = (TfidfEncoder(8).encode(one) for one in (texts, [texts[i] for i in order]))
    np.testing.assert_allclose(np.abs(turned), np.abs(straight[order]), atol=1e-4)


def test_common_words_say_nothing_and_a_text_of_them_is_zero():
    table = TfidfEncoder(1).encode(["the kinase", "kinase of ribosomes", "the of and"])
    assert not table[2].any()
    assert table[:2].all()


def test_a_hyphenated_word_is_one_word():
    table = TfidfEncoder(2).encode(["zinc-finger", "zinc", "finger", "zinc-finger"])
    assert abs(float(table[0] @ table[3]) - 1) < 1e-5
    assert abs(float(table[0] @ table[1])) < 1e-5


def test_proteins_are_compared_by_runs_of_residues():
    table = encoder_named("tfidf-svd:3-mers", dim=3).encode(["MKTAYIAKQR", "MKTAYIAKQR", "GGGGGPPPPP", "WWHWWHWWHC"])
    np.testing.assert_allclose(table[0], table[1], atol=1e-6)
    assert abs(float(table[0] @ table[2])) < 1e-5


@pytest.mark.parametrize("dim", [60, 512])
def test_more_dimensions_than_there_are_is_refused_with_both_numbers(dim):
    with pytest.raises(UsageError, match=rf"59 dimensions, {dim} were asked for"):
        TfidfEncoder(dim).encode(made_texts(60))


def test_texts_without_a_word_are_refused():
    with pytest.raises(UsageError, match="has a word"):
        TfidfEncoder(1).encode(["the", "of and"])


def test_names_tell_two_tables_apart():
    assert encoder_named("tfidf-svd").name == "tfidf-svd-512"
    assert encoder_named("tfidf-svd", dim=64).name == "tfidf-svd-64"
    assert encoder_named("tfidf-svd:4-mers", dim=64).name == "tfidf-svd-64-of-4-mers"
    assert isinstance(encoder_named("tfidf-svd"), Encoder)


@pytest.mark.parametrize(
    "spec", ["tf-idf", "", "tfidf-svd:words", "tfidf-svd:9-mers", "esm2", "endpoint:", "sentence-transformers"]
)
def test_a_spec_that_is_not_understood_is_refused(spec):
    with pytest.raises(UsageError):
        encoder_named(spec)


@pytest.mark.parametrize("spec", ["esm2:NAME", "endpoint:NAME", "sentence-transformers:NAME"])
def test_a_model_with_a_width_of_its_own_takes_no_dimension(spec):
    with pytest.raises(UsageError, match="--dim 64"):
        encoder_named(spec, dim=64)


def test_every_encoder_says_what_it_reads():
    assert all(entry.reads and entry.description for entry in ENCODERS.values())
