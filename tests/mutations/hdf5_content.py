"""Changes to what an .h5ad file means: attributes, names, labels, columns, records, sparse matrices."""

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from mutations.hdf5_places import instead, objects, some, words_of
from mutations.hdf5_storage import ENCODINGS, WHOLE
from mutations.text import STRINGS, json_changed, pick

VERSIONS = ("0.1.0", "0.2.0", "9.9.9", "", "x")
LABELS = (
    *(
        "A+",
        "+",
        "+A",
        "ctrl+ctrl",
        "GENE1+GENE1",
        "GENE1+GENE2+GENE3+GENE4",
        "A@x",
        "A|B",
        "A,B",
        "A;B",
        "-",
        " GENE1 ",
    ),
    *("control", "non-targeting", "NT", "0", "True", "GENE1_2", "GENE1-AS1", "1-Mar", "imatinib", "ENSG00000000003"),
)
NAMES = (*STRINGS, *LABELS, "GENE0", "cell0", "g" * 10_000, "/", "_index", "ENSG0", "Gapdh")


def _another_attribute(file: h5py.File, rng: np.random.Generator) -> None:
    item = some(file, rng) if rng.random() < 0.8 else file["/"]
    known = [
        *item.attrs,
        "encoding-type",
        "encoding-version",
        "shape",
        "_index",
        "column-order",
        "categories",
        "ordered",
    ]
    name = pick(rng, known)
    if name in item.attrs and rng.random() < 0.2:
        del item.attrs[name]
        return
    usual: dict[str, Sequence[Any]] = {"encoding-type": ENCODINGS, "encoding-version": VERSIONS, "shape": SHAPES}
    if name in usual and rng.random() < 0.7:
        item.attrs[name] = pick(rng, usual[name])
    elif name == "categories" and rng.random() < 0.5:
        item.attrs[name] = some(file, rng).ref
    else:
        item.attrs[name] = pick(rng, ATTRIBUTES)


SHAPES = (
    *(
        (0, 0),
        (-1, 30),
        (100, -1),
        (2**62, 2**62),
        (10**9, 30),
        (100, 10**9),
        (1, 1),
        (101, 30),
        (30, 100),
        (3,),
        (1, 2, 3),
    ),
    *("100 x 30", (100.0, 30.0), (np.nan, 1.0), 100, np.zeros((2, 2))),
)
ATTRIBUTES: tuple[Any, ...] = (
    *(3, -1, 2.5, np.nan, True, "", "x", "condition", "nowhere", "a\0b"[:1], b"\xff", h5py.Empty("f4"), [], [1, 2]),
    *(
        ["condition"],
        ["nowhere"],
        ["condition", "condition"],
        "y" * 60_000,
        np.zeros((3, 3)),
        np.zeros(7000),
        "/",
        "..",
    ),
    np.zeros(2, dtype=[("a", "i4"), ("b", "S3")]),
)


def _another_word(file: h5py.File, rng: np.random.Generator) -> None:
    """Names and labels that repeat, are empty, endless, or are no text at all."""
    item = some(file, rng, h5py.Dataset)
    words = words_of(item)
    for i in rng.integers(len(words), size=int(pick(rng, (1, 1, 3, len(words))))):
        words[i] = pick(rng, (pick(rng, NAMES), pick(rng, LABELS), words[0]))
    raw: list[Any] = [one.encode("utf-8", "surrogatepass") for one in words]
    if rng.random() < 0.15:
        raw[0] = b"\xff\xfe\x80"
    if rng.random() < 0.2:
        instead(item, np.asarray(raw, dtype="S"))
    else:
        item[:] = np.asarray(raw, dtype=object)


def _one_word_for_all(file: h5py.File, rng: np.random.Generator) -> None:
    item = some(file, rng, h5py.Dataset)
    item[:] = np.asarray([pick(rng, NAMES)] * len(words_of(item)), dtype=object)


def _another_column(file: h5py.File, rng: np.random.Generator) -> None:
    """A further column of a name that means something, with values that do not."""
    table = file[pick(rng, ("obs", "var"))]
    length = len(table[table.attrs["_index"]])
    names = (
        "control",
        "condition",
        "gene",
        "perturbation",
        "batch",
        "dose",
        "dose_value",
        "nperts",
        "guide_id",
        "mode",
    )
    names += (
        "cell_type",
        "cell_line",
        "ncounts",
        "total_counts",
        "perturbation_type",
        "gene_name",
        "symbol",
        "organism",
    )
    columns: tuple[Any, ...] = (
        rng.integers(-2, 3, size=length),
        rng.normal(size=length),
        np.full(length, np.nan),
        np.asarray([pick(rng, (*LABELS, *STRINGS[:20])).replace("\0", "") for _ in range(length)], dtype=object),
        np.resize(np.asarray(["ctrl", "GENE1", "GENE2"], dtype=object), length),
        rng.random(length) < 0.5,
        np.full(length, 2**63 - 1),
        np.zeros((length, 2)),
    )
    name, value = pick(rng, names), pick(rng, columns)
    if name in table:
        del table[name]
    if rng.random() < 0.3:
        group = table.create_group(name)
        group.attrs["encoding-type"], group.attrs["encoding-version"] = "categorical", "0.2.0"
        group.attrs["ordered"] = bool(rng.random() < 0.5)
        group["codes"] = rng.integers(-1, 3, size=length).astype(pick(rng, ("i1", "i8", "u1")))
        group["categories"] = pick(
            rng, (["a", "b", "a"], [1.5, np.nan, 2.0], [3, 2, 1], ["a"], [True, False], [""] * 3)
        )
    else:
        table[name] = value
    if rng.random() < 0.7:
        table.attrs["column-order"] = [*table.attrs["column-order"], name]


def _another_record(file: h5py.File, rng: np.random.Generator) -> None:
    """Text of JSON that stays JSON."""
    item = some(file, rng, h5py.Dataset)
    if h5py.check_string_dtype(item.dtype) is None or item.ndim:
        raise TypeError("no word")
    instead(item, json_changed(item.asstr()[()], rng))


def _another_matrix(file: h5py.File, rng: np.random.Generator) -> None:
    """The right encoding with entries in disorder, twice, out of range, or pointers that run backwards."""
    groups = [file[name] for name in objects(file) if isinstance(file[name], h5py.Group) and "indptr" in file[name]]
    matrix = pick(rng, groups)
    indices, pointers = matrix["indices"][:], matrix["indptr"][:]
    last = len(pointers) - 1
    kind = int(rng.integers(7))
    if kind == 0:
        indices[: int(pointers[1])] = indices[: int(pointers[1])][::-1]
    elif kind == 1:
        indices[int(rng.integers(len(indices)))] = pick(rng, WHOLE)
    elif kind == 2:
        indices[1] = indices[0]
    elif kind == 3:
        pointers[int(rng.integers(last))] = pick(rng, WHOLE)
    elif kind == 4:
        pointers[1:last] = pointers[1:last][::-1].copy()
    elif kind == 5:
        pointers = pointers + 1
    else:
        pointers[-1] = pick(rng, WHOLE)
    instead(matrix["indices"], indices.astype(pick(rng, (indices.dtype, np.dtype("i8"), np.dtype("u8")))))
    instead(matrix["indptr"], pointers)


CONTENT = (
    *(_another_attribute,) * 3,
    *(_another_word, _another_column) * 4,
    *(_one_word_for_all, _one_word_for_all, _another_record, _another_matrix, _another_matrix),
)
"""Names, labels and columns come more often: only a file that is sound as a file meets what reads them."""
