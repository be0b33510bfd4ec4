"""From texts to a prior: names, facts, the mean of terms, and the same bytes twice."""

import hashlib
import sys
from functools import lru_cache
from os import wait4
from pathlib import Path
from subprocess import PIPE, Popen
from time import monotonic

import numpy as np
import pytest

from pertura.core.errors import UsageError
from pertura.priors.build import build_prior, encoder_for, prior_of
from pertura.priors.encoders.tfidf import TfidfEncoder
from pertura.priors.prior import PriorFacts
from pertura.priors.sources import SOURCES, Knowledge, knowledge_of
from pertura.priors.sources.ontology import LICENCE

pytestmark = pytest.mark.slow  # builds priors of thousands of genes

TERMS = Knowledge(
    "made",
    ("A", "B", "C"),
    (("binds lipids",), ("binds lipids", "cuts proteins"), ("cuts proteins", "joins strands")),
    "free",
)
SECONDS, MEBIBYTES = 180, 4096


class Counting:
    """Vectors that can be computed by hand: how often each letter occurs."""

    name = "counting"

    def __init__(self):
        self.seen = []

    def encode(self, texts):
        self.seen.extend(texts)
        return np.asarray([[text.count(letter) for letter in "abcdef"] for text in texts], dtype=np.float32)


@lru_cache
def components():
    return build_prior("go-c", dim=32)


def test_a_prior_is_named_after_source_and_encoder_and_carries_its_facts():
    prior = components()
    assert prior.name == "go-c/tfidf-svd-32"
    assert prior.table.shape == (len(prior.genes), 32)
    assert prior.table.dtype == np.float32
    assert prior.facts == PriorFacts("go-c", "tfidf-svd-32", LICENCE, knowledge_of("go-c").sha256)


def test_proteins_are_counted_in_runs_of_three_and_the_name_says_so():
    proteins = Knowledge("protein", ("A", "B", "C"), (("MKTAYI",), ("MKTAYV",), ("GGGPPW",)), "free", "protein")
    assert encoder_for(proteins, "tfidf-svd").name == "tfidf-svd-512-of-3-mers"
    assert encoder_for(proteins, "tfidf-svd:2-mers", dim=2).name == "tfidf-svd-2-of-2-mers"


def test_concat_encodes_one_text_for_each_gene():
    encoder = Counting()
    assert prior_of(TERMS, encoder).name == "made/counting"
    assert encoder.seen == ["binds lipids.", "binds lipids. cuts proteins.", "cuts proteins. joins strands."]


def test_mean_is_the_mean_of_the_vectors_of_the_terms_each_encoded_once():
    encoder = Counting()
    prior = prior_of(TERMS, encoder, "mean")
    assert encoder.seen == sorted({part for parts in TERMS.parts for part in parts})
    expected = [Counting().encode(parts).mean(axis=0) for parts in TERMS.parts]
    np.testing.assert_allclose(prior.table, expected)
    assert prior.name == "made-mean/counting"
    assert "mean" in prior.facts.encoder


def test_a_mean_of_single_texts_is_refused():
    with pytest.raises(UsageError, match="use concat"):
        prior_of(Knowledge("made", ("A", "B"), (("one",), ("two",)), "free"), Counting(), "mean")


def test_genes_whose_vector_is_zero_have_no_row():
    knowledge = Knowledge("made", ("A", "B", "C"), (("kinase",), ("the of",), ("kinase channel",)), "free")
    assert prior_of(knowledge, TfidfEncoder(1)).genes == ("A", "C")


def test_building_twice_gives_the_same_bytes():
    again = build_prior("go-c", dim=32)
    assert again.genes == components().genes
    assert again.table.tobytes() == components().table.tobytes()


def test_the_limit_of_terms_changes_the_digest_of_the_texts():
    assert knowledge_of("go-c", term_limit=100).sha256 != components().facts.text_sha256


def built_in_a_process(source: str, path: Path, *more: str) -> tuple[float, float]:
    """Build a prior by the command in a process of its own; return its seconds and its peak memory in MiB."""
    code = "from pertura.cli.prior import prior_application; prior_application()()"
    command = [sys.executable, "-c", code, "build", "--source", source, "-o", str(path), *more]
    start = monotonic()
    child = Popen(command, stderr=PIPE)
    _, status, used = wait4(child.pid, 0)
    assert status == 0, child.stderr.read().decode()
    child.returncode = 0
    child.stderr.close()
    return monotonic() - start, used.ru_maxrss / 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "how"),
    [
        *(pytest.param(one, "concat", marks=pytest.mark.proof) for one in SOURCES if one != "go-c"),
        ("go-c", "concat"),
        pytest.param("go-all", "mean", marks=pytest.mark.proof),
        ("go-c", "mean"),
    ],
)
def test_every_source_builds_quickly_in_little_memory_and_twice_the_same(tmp_path, source, how):
    digests = set()
    for name in ("first.safetensors", "second.safetensors"):
        seconds, mebibytes = built_in_a_process(source, tmp_path / name, "--how", how)
        print(f"{source} {how}: {seconds:.1f} s, {mebibytes:.0f} MiB")
        assert seconds < SECONDS
        assert mebibytes < MEBIBYTES
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
