"""Texts of the user's, as a table or as JSON."""

import gzip
import json

import pytest

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.priors.build import build_prior
from pertura.priors.sources import knowledge_of

TEXTS = {"B": "binds DNA in nuclei", "A": "binds lipids", "C": "membrane channel"}


def written(folder, name, text):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return f"file:{path}"


@pytest.mark.parametrize("name", ["own.tsv", "own.tsv.gz", "own.json", "own.json.gz", "own.txt"])
def test_table_and_json_give_the_same_knowledge(tmp_path, name):
    text = json.dumps(TEXTS) if "json" in name else "".join(f"{gene}\t{said}\n" for gene, said in TEXTS.items())
    found = knowledge_of(written(tmp_path, name, text))
    assert found.genes == ("A", "B", "C")
    assert dict(zip(found.genes, found.texts)) == {gene: f"{said}." for gene, said in TEXTS.items()}
    assert found.name == f"file:{name}"


def test_a_header_and_empty_lines_are_passed_over(tmp_path):
    assert knowledge_of(written(tmp_path, "own.tsv", "\ufeffsymbol\ttext\n\nA\tbinds DNA\n")).genes == ("A",)


def test_a_gene_that_is_there_twice_has_both_texts_and_lists_are_parts(tmp_path):
    found = knowledge_of(written(tmp_path, "own.tsv", "A\tbinds DNA\nA\tcuts DNA\n"))
    assert found.parts == (("binds DNA", "cuts DNA"),)
    assert knowledge_of(written(tmp_path, "own.json", '{"A": ["binds DNA", "cuts DNA"]}')).parts == found.parts


def test_texts_that_say_nothing_are_counted(tmp_path):
    found = knowledge_of(written(tmp_path, "own.tsv", "A\tbinds DNA\nB\t \nC\tUncharacterized protein.\n"))
    assert (found.genes, found.dropped) == (("A",), {"says nothing": 2})


@pytest.mark.parametrize(
    ("name", "text", "culprit"),
    [
        ("own.tsv", "A\tone\tmore\n", "line 1"),
        ("own.tsv", "A\tone\n\tnameless\n", "line 2"),
        ("own.tsv", "A one\n", "line 1"),
        ("own.tsv", "", "no gene has a text"),
        ("own.json", "[1]", "list"),
        ("own.json", '{"A": 1}', "A: "),
        ("own.json", "{", "not JSON"),
        ("own.json", "[" * 100_000, "not JSON"),
        ("own.json", f'{{"A": {"9" * 5000}}}', "not JSON"),
    ],
)
def test_a_file_that_is_something_else_is_refused_by_place(tmp_path, name, text, culprit):
    with pytest.raises(BadDataError, match=culprit):
        knowledge_of(written(tmp_path, name, text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    for name, content in (("own.tsv", b"\xff\xfe\x00"), ("own.tsv.gz", b"no gzip")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadDataError, match="not readable"):
            knowledge_of(f"file:{tmp_path / name}")


def test_no_file_and_no_source_are_told_apart(tmp_path):
    with pytest.raises(MissingError, match="no file"):
        knowledge_of(f"file:{tmp_path / 'none.tsv'}")
    with pytest.raises(UsageError, match="go-all"):
        knowledge_of("gocc")


def test_a_prior_of_own_texts_says_which_file_it_is_of(tmp_path):
    prior = build_prior(written(tmp_path, "own.json", json.dumps(TEXTS)), dim=2)
    assert prior.name == "file:own.json/tfidf-svd-2"
    assert prior.facts.licence == "not stated"
