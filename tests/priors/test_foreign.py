"""Vectors in pickles and torch files of others are those that pickle and torch themselves read."""

import io
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from pertura.core.errors import BadDataError, MissingError
from pertura.priors.foreign import read_foreign

RNG = np.random.default_rng(0)
VECTORS = {"TP53": RNG.normal(size=7), "KRAS": RNG.normal(size=7), "größe": RNG.normal(size=7)}
EXPECTED = np.asarray(list(VECTORS.values())).astype(np.float32)


def written(tmp_path, content, name="vectors.pickle"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def agrees(prior):
    assert prior.genes == tuple(VECTORS)
    assert prior.table.dtype == np.float32
    np.testing.assert_array_equal(prior.table, EXPECTED)


WAYS = {
    "lists": lambda one: one.tolist(),
    "tuples": lambda one: tuple(one.tolist()),
    "arrays": lambda one: one,
    "rows": lambda one: one[None, :],
    "columns first": lambda one: np.asfortranarray(one[:, None]),
    "big endian": lambda one: one.astype(">f8"),
    "strided": lambda one: np.repeat(one, 2)[::2],
    "lists of numpy numbers": lambda one: list(one),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("way", WAYS)
def test_pickles_of_every_protocol_are_read(tmp_path, protocol, way):
    content = pickle.dumps({gene: WAYS[way](one) for gene, one in VECTORS.items()}, protocol)
    agrees(read_foreign(written(tmp_path, content)))


@pytest.mark.parametrize("protocol", range(6))
def test_the_pickler_in_plain_python_writes_the_same_to_us(tmp_path, protocol):
    out = io.BytesIO()
    pickle._Pickler(out, protocol).dump({gene: one.tolist() for gene, one in VECTORS.items()})
    agrees(read_foreign(written(tmp_path, out.getvalue())))


@pytest.mark.parametrize("kind", ["f2", "f4", "i4", "u1"])
def test_arrays_of_other_numbers_keep_their_values(tmp_path, kind):
    vectors = {"A": np.arange(5, dtype=kind), "B": np.arange(5, 10, dtype=kind)}
    read = read_foreign(written(tmp_path, pickle.dumps(vectors)))
    np.testing.assert_array_equal(read.table, np.arange(10).reshape(2, 5))


def test_long_lists_across_frames_and_batches_are_whole(tmp_path):
    vectors = {f"G{one}": RNG.normal(size=1536).tolist() for one in range(1100)}
    read = read_foreign(written(tmp_path, pickle.dumps(vectors, 4)))
    assert read.genes == tuple(vectors)
    np.testing.assert_array_equal(read.table, np.asarray(list(vectors.values())).astype(np.float32))


def test_whole_numbers_and_shared_vectors_are_read(tmp_path):
    shared = [1, 2.5, 3]
    read = read_foreign(written(tmp_path, pickle.dumps({"A": shared, "B": shared})))
    np.testing.assert_array_equal(read.table, [shared, shared])


def test_ordered_dicts_are_dicts(tmp_path):
    agrees(read_foreign(written(tmp_path, pickle.dumps(OrderedDict(VECTORS)))))


def saved(value, **options):
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int32])
def test_torch_files_give_what_torch_gives(tmp_path, kind):
    tensors = {gene: (torch.tensor(one) * 100).to(kind) for gene, one in VECTORS.items()}
    read = read_foreign(written(tmp_path, saved(tensors), "protein_embeddings.pt"))
    assert read.name == "protein_embeddings"
    np.testing.assert_array_equal(read.table, np.stack([one.float().numpy() for one in tensors.values()]))


def test_views_of_one_storage_are_told_apart(tmp_path):
    whole = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    tensors = {"row": whole[2], "column": whole[:4, 1], "backwards": whole.t()[3, :4]}
    read = read_foreign(written(tmp_path, saved(tensors)))
    np.testing.assert_array_equal(read.table, np.stack([one.numpy() for one in tensors.values()]))


def test_parameters_and_ordered_dicts_of_torch_are_read(tmp_path):
    tensors = OrderedDict(A=torch.nn.Parameter(torch.ones(3)), B=torch.zeros(3))
    np.testing.assert_array_equal(read_foreign(written(tmp_path, saved(tensors))).table, [[1, 1, 1], [0, 0, 0]])


def test_the_other_byte_order_is_followed(tmp_path):
    content = saved({"A": torch.arange(3.0)})
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for one in old.namelist():
            body = old.read(one)
            if one.endswith("/byteorder"):
                body = b"big"
            elif one.endswith("/data/0"):
                body = np.frombuffer(body, "<f4").astype(">f4").tobytes()
            new.writestr(one, body)
    np.testing.assert_array_equal(read_foreign(written(tmp_path, out.getvalue())).table, [[0, 1, 2]])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0], "found list"),
        ({}, "empty"),
        ({"A": []}, "'A'"),
        ({"A": [1.0], "B": [1.0, 2.0]}, "'B' has 2 numbers, the genes before it 1"),
        ({"A": [1.0, float("nan")]}, "not finite"),
        ({"A": [1e300]}, "not finite"),
        ({"A": [10**400]}, "integer"),
        ({"A": ["1"]}, "list of str"),
        ({"A": [True]}, "list of bool"),
        ({"A": "text"}, "'A' has no vector of numbers but str"),
        ({"A": None}, "NoneType"),
        ({"A": [[1.0]]}, "list of list"),
        ({"A": np.ones((2, 2))}, r"an array \(2, 2\)"),
        ({"A": np.asarray(["x"], dtype=object)}, "content is a list"),
        ({"A": np.asarray(["x"])}, "'U1'"),
        ({"A": np.zeros(2, dtype=[("x", "f4")])}, "array of"),
        ({3: [1.0]}, "a key that is no word but int"),
        ({("A",): [1.0]}, "a key that is no word but tuple"),
    ],
)
def test_what_is_no_table_of_vectors_says_what_it_is(tmp_path, value, said):
    path = written(tmp_path, pickle.dumps(value))
    with pytest.raises(BadDataError, match=said) as error:
        read_foreign(path)
    assert error.value.file == path


def test_every_truncation_is_refused(tmp_path):
    for content in (
        pickle.dumps({"A": [1.0, 2.0], "B": np.ones(2)}),
        pickle.dumps({"A": [1.0, 2.0]}, 0),
        saved({"A": torch.ones(2)}),
    ):
        for length in range(0, len(content), 1 if len(content) < 500 else 23):
            with pytest.raises(BadDataError):
                read_foreign(written(tmp_path, content[:length]))


def test_a_flipped_bit_in_a_torch_file_is_refused_or_changes_nothing(tmp_path):
    content = saved({"A": torch.ones(64)})
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 4
        try:
            read = read_foreign(written(tmp_path, bytes(damaged)))
        except BadDataError:
            continue
        assert read.genes == ("A",)
        np.testing.assert_array_equal(read.table, np.ones((1, 64)))


def test_old_torch_files_say_the_way_out(tmp_path):
    content = saved({"A": torch.ones(2)}, _use_new_zipfile_serialization=False)
    with pytest.raises(BadDataError, match="save it again"):
        read_foreign(written(tmp_path, content))


def test_an_absent_file_is_missing(tmp_path):
    with pytest.raises(MissingError):
        read_foreign(tmp_path / "absent.pt")
