"""Prior files give back what was put in, and nothing that was altered, cut, or belongs to another vocabulary."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import numpy as tensors
from safetensors import safe_open

from pertura.core.errors import BadDataError, MissingError
from pertura.genes.vocab import Vocab
from pertura.priors.prior import GenePrior, PriorFacts
from pertura.priors.store import load_prior, read_scgpt_table, save_prior, write_scgpt_table
from pertura.priors.table_file import BLOCK_BYTES

FACTS = PriorFacts("go-c", "tfidf-svd", "CC-BY 4.0", "ab" * 32, "combined", ("a prior", "größer"))
VOCAB = Vocab({"<pad>": 0, "B": 1, "A": 2, "<cls>": 3, "C": 4, "LATE": 7})


def prior(genes=("A", "B", "Ω1"), width=3, dtype=np.float32, seed=0, facts=FACTS):
    table = np.random.default_rng(seed).normal(size=(len(genes), width)).astype(dtype)
    return GenePrior("my prior", tuple(genes), table, facts)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_prior_comes_back_bit_for_bit_with_its_facts(tmp_path, dtype):
    made = prior(dtype=dtype)
    save_prior(made, tmp_path / "p.safetensors")
    read = load_prior(tmp_path / "p.safetensors")
    assert (read.name, read.genes, read.facts) == (made.name, made.genes, made.facts)
    assert read.table.dtype == dtype
    np.testing.assert_array_equal(read.table, made.table)


def test_the_library_of_the_layout_reads_the_file(tmp_path):
    made = prior()
    save_prior(made, tmp_path / "p.safetensors")
    with safe_open(tmp_path / "p.safetensors", framework="np") as opened:
        assert list(opened.keys()) == ["embeddings"]
        np.testing.assert_array_equal(opened.get_tensor("embeddings"), made.table)
        said = opened.metadata()
    assert json.loads(said["genes"]) == list(made.genes)
    assert (said["source"], said["encoder"], said["licence"], said["dimension"]) == (*FACTS_NAMED, "3")
    assert said["table_sha256"] == hashlib.sha256(made.table.tobytes()).hexdigest()


FACTS_NAMED = (FACTS.source, FACTS.encoder, FACTS.licence)


def test_equal_priors_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_prior(prior(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "p.safetensors"
    save_prior(prior(), path)
    return path.read_bytes()


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused(whole, tmp_path_factory, place, bit):
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(damaged)
    with pytest.raises(BadDataError):
        load_prior(path)


def test_a_file_cut_or_grown_anywhere_is_refused(whole, tmp_path):
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(BadDataError):
            load_prior(tmp_path / "cut")
    (tmp_path / "cut").write_bytes(whole + b"\0")
    with pytest.raises(BadDataError):
        load_prior(tmp_path / "cut")


def test_the_hash_and_not_only_the_layout_catches_a_changed_number(whole, tmp_path):
    damaged = bytearray(whole)
    damaged[-1] ^= 1
    (tmp_path / "flipped").write_bytes(damaged)
    with pytest.raises(BadDataError, match="sha256 of the table"):
        load_prior(tmp_path / "flipped")


def test_an_exchanged_gene_is_caught_by_the_digest_of_the_header(whole, tmp_path):
    (tmp_path / "edited").write_bytes(whole.replace(b'[\\"A\\"', b'[\\"Z\\"'))
    with pytest.raises(BadDataError, match="header does not match"):
        load_prior(tmp_path / "edited")


def test_another_width_names_both_numbers(whole, tmp_path):
    (tmp_path / "p").write_bytes(whole)
    with pytest.raises(BadDataError, match=r"3 numbers where 512"):
        load_prior(tmp_path / "p", width=512)
    assert load_prior(tmp_path / "p", width=3).table.shape == (3, 3)


def test_other_files_say_what_they_are_not(tmp_path):
    tensors.save_file({"embeddings": np.zeros((2, 2), np.float32)}, tmp_path / "plain")
    with pytest.raises(BadDataError, match="not a pertura-prior"):
        load_prior(tmp_path / "plain")
    tensors.save_file({"a": np.zeros((2, 2), np.float32), "b": np.zeros(1, np.float32)}, tmp_path / "two")
    with pytest.raises(BadDataError, match="found: a, b"):
        load_prior(tmp_path / "two")
    tensors.save_file({"embeddings": np.zeros((2, 2), np.int32)}, tmp_path / "whole")
    with pytest.raises(BadDataError, match="'I32'"):
        load_prior(tmp_path / "whole")
    with pytest.raises(MissingError):
        load_prior(tmp_path / "absent")


@pytest.mark.parametrize(
    "header",
    [
        b"[1]",
        b'{"embeddings":3}',
        b'{"embeddings":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
        b'{"embeddings":{"dtype":"F32","shape":[-2,-2],"data_offsets":[0,16]}}',
        b'{"embeddings":{"dtype":"F32","shape":[1000000000000,0],"data_offsets":[0,0]}}',
        b'{"embeddings":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]}}',
        b'{"embeddings":{"dtype":"F32","shape":[2,2.0],"data_offsets":[0,16]}}',
        b'{"embeddings":{"dtype":["F32"],"shape":[2,2],"data_offsets":[0,16]}}',
        b'{"__metadata__":{"genes":3},"embeddings":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}',
        b'{"embeddings":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}',
        b"[" * 100_000,
    ],
)
def test_headers_that_lie_are_refused(tmp_path, header):
    (tmp_path / "p").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 16)
    with pytest.raises(BadDataError):
        load_prior(tmp_path / "p")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"genes": None}, "'genes'"),
        ({"licence": None}, "'licence'"),
        ({"genes": "[1,2,3]"}, "not a list of words"),
        ({"genes": '{"A":1,"B":2,"C":3}'}, "not a list of words"),
        ({"genes": "["}, "JSONDecodeError"),
        ({"made_from": '"one"'}, "not a list of words"),
        ({"made_from": "[" * 100_000}, "RecursionError"),
    ],
    ids=str,
)
def test_a_header_that_fits_its_digest_and_lacks_facts_is_refused(whole, tmp_path, change, words):
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:end])
    facts = {name: one for name, one in {**header["__metadata__"], **change}.items() if one is not None}
    sealed = {name: one for name, one in facts.items() if name != "digest"}
    text = json.dumps(sealed, sort_keys=True, separators=(",", ":"))
    header["__metadata__"] = {**sealed, "digest": hashlib.sha256(text.encode()).hexdigest()}
    content = json.dumps(header).encode()
    (tmp_path / "p").write_bytes(len(content).to_bytes(8, "little") + content + whole[end:])
    with pytest.raises(BadDataError, match=words):
        load_prior(tmp_path / "p")


def test_a_failed_write_leaves_what_was_there(tmp_path):
    save_prior(prior(), tmp_path / "p")
    before = (tmp_path / "p").read_bytes()
    with pytest.raises(BadDataError, match="A has numbers beyond 65504"):
        write_scgpt_table(GenePrior("big", ("A",), np.full((1, 2), 1e6)), VOCAB, tmp_path / "p", half=True)
    assert (tmp_path / "p").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["p"]


def test_a_table_by_token_has_the_rows_where_the_ids_are(tmp_path):
    made = GenePrior("p", ("C", "Q", "A", "B"), np.asarray([[1, 2], [3, 4], [5, 6], [0, 0]], np.float32))
    placed = write_scgpt_table(made, VOCAB, tmp_path / "t.safetensors")
    assert (placed.rows, placed.outside, placed.empty) == (2, ("Q",), ("B",))
    stored = tensors.load_file(tmp_path / "t.safetensors")
    expected = np.zeros((8, 2), np.float32)
    expected[2], expected[4] = (5, 6), (1, 2)
    assert set(stored) == {"embeddings"}
    assert stored["embeddings"].dtype == np.float32
    np.testing.assert_array_equal(stored["embeddings"], expected)


def test_a_published_table_is_read_as_a_prior(tmp_path):
    table = np.zeros((8, 2), np.float32)
    table[[1, 7]] = [[1, 2], [3, 4]]
    tensors.save_file({"embeddings": table}, tmp_path / "scgpt_esm_prior.safetensors")
    read = read_scgpt_table(tmp_path / "scgpt_esm_prior.safetensors", VOCAB)
    assert (read.prior.genes, read.empty, read.specials) == (("B", "LATE"), ("A", "C"), ())
    np.testing.assert_array_equal(read.prior.table, table[[1, 7]])
    assert read.prior.facts.kind == "file"


def test_vectors_of_special_tokens_are_named_and_left_out(tmp_path):
    table = np.zeros((8, 1), np.float32)
    table[[0, 1]] = 1
    tensors.save_file({"embeddings": table}, tmp_path / "t")
    read = read_scgpt_table(tmp_path / "t", VOCAB)
    assert (read.prior.genes, read.specials) == (("B",), ("<pad>",))


def test_a_vector_without_a_token_is_refused(tmp_path):
    table = np.zeros((8, 1), np.float32)
    table[6] = 1
    tensors.save_file({"embeddings": table}, tmp_path / "t")
    with pytest.raises(BadDataError, match="row 6"):
        read_scgpt_table(tmp_path / "t", VOCAB)


def test_another_vocabulary_or_width_names_both_numbers(tmp_path):
    tensors.save_file({"embeddings": np.zeros((5, 2), np.float32)}, tmp_path / "t")
    with pytest.raises(BadDataError, match=r"5 rows.* 8 token ids"):
        read_scgpt_table(tmp_path / "t", VOCAB)
    tensors.save_file({"embeddings": np.zeros((8, 2), np.float32)}, tmp_path / "t")
    with pytest.raises(BadDataError, match=r"2 numbers where 5120"):
        read_scgpt_table(tmp_path / "t", VOCAB, width=5120)


@pytest.mark.parametrize("half", [False, True])
def test_a_table_by_token_returns_the_same_vectors(tmp_path, half):
    made = prior(("A", "B", "C", "LATE"), width=5)
    write_scgpt_table(made, VOCAB, tmp_path / "t", half=half)
    read = read_scgpt_table(tmp_path / "t", VOCAB).prior
    expected = made.table.astype(np.float16 if half else np.float32).astype(np.float32)
    assert read.table.dtype == np.float32
    np.testing.assert_array_equal(read.aligned_to(made.genes)[0], expected)
    assert (tmp_path / "t").stat().st_size < 8 * 5 * (2 if half else 4) + 200


def test_brain_floats_are_read_exactly(tmp_path):
    import torch
    from safetensors.torch import save_file

    table = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    table[[0, 3, 5, 6]] = 0
    save_file({"embeddings": table}, tmp_path / "t")
    read = read_scgpt_table(tmp_path / "t", VOCAB).prior
    np.testing.assert_array_equal(read.table, table[[1, 2, 4, 7]].float().numpy())


def test_vectors_that_vanish_in_half_precision_are_named(tmp_path):
    made = GenePrior("p", ("A", "B"), np.asarray([[1e-9], [1.0]], np.float32))
    assert write_scgpt_table(made, VOCAB, tmp_path / "t", half=True).empty == ("A",)


@pytest.mark.slow
def test_tables_of_several_blocks_are_whole(tmp_path):
    rows = 3 * BLOCK_BYTES // (4 * 4096) + 17
    vocab = Vocab({f"G{one}": one for one in range(rows)})
    table = np.random.default_rng(0).normal(size=(rows, 4096)).astype(np.float32)
    made = GenePrior("p", tuple(f"G{one}" for one in range(rows)), table)
    write_scgpt_table(made, vocab, tmp_path / "t")
    np.testing.assert_array_equal(read_scgpt_table(tmp_path / "t", vocab).prior.table, table)
    save_prior(made, tmp_path / "p")
    np.testing.assert_array_equal(load_prior(tmp_path / "p").table, table)


MEASURED = """
import resource, sys
import numpy as np
from pathlib import Path
from pertura.genes.vocab import Vocab
from pertura.priors.prior import GenePrior
from pertura.priors.store import read_scgpt_table, write_scgpt_table

rows, width, path = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
vocab = Vocab({f"G{one}": one for one in range(rows)})
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
if sys.argv[1] == "write":
    before = peak()
    made = GenePrior("p", tuple(vocab.ids), np.ones((rows, width), np.float32))
    write_scgpt_table(made, vocab, path)
else:
    before = peak()
    assert read_scgpt_table(path, vocab).prior.table.shape == (rows, width)
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("rows", "width"), [(12_000, 4096), pytest.param(60_697, 5120, marks=pytest.mark.slow)], ids=["part", "published"]
)
def test_no_second_copy_is_in_memory(tmp_path, rows, width):
    table = rows * width * 4 / 2**20
    for what in ("write", "read"):
        command = [sys.executable, "-c", MEASURED, what, str(rows), str(width), str(tmp_path / "t")]
        grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert grown < table + 6 * BLOCK_BYTES / 2**20, (what, grown, table)
