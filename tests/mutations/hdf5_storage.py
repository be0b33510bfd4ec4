"""Changes to what an HDF5 file stores and where: numbers, types, shapes, storage, objects, links."""

from typing import Any

import h5py
import numpy as np

from mutations.hdf5_places import instead, some
from mutations.text import STRINGS, pick

NUMBERS = (np.nan, np.inf, -np.inf, -1.0, -0.0, 0.0, 0.5, 1e-310, 1e308, 3.4e38, 35.0, 2.0**31, 2.0**63, 1e6)
WHOLE = (-1, -2, 0, 1, 29, 30, 127, 255, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
ENCODINGS = (
    *("array", "string-array", "string", "categorical", "csr_matrix", "csc_matrix", "dataframe", "dict", "rec-array"),
    *("nullable-integer", "nullable-boolean", "nullable-string-array", "awkward-array", "numeric-scalar", "null", "x"),
)
DTYPES = ("i1", "u1", "i4", "u8", "f2", "f4", "f8", ">f4", ">i8", "c16", "?", "S5", "V3", "M8[s]", "O")


def _another_number(file: h5py.File, rng: np.random.Generator) -> None:
    item = some(file, rng, h5py.Dataset)
    if item.dtype.kind not in "iuf" or not item.size:
        raise TypeError("no numbers")
    values = item[()].reshape(-1)
    among = NUMBERS if item.dtype.kind == "f" else WHOLE
    kind = int(rng.integers(3))
    if kind == 0:
        values[rng.integers(len(values), size=3)] = pick(rng, among)
    elif kind == 1:
        values[:] = pick(rng, among)
    else:
        rng.shuffle(values)
    item[()] = values.reshape(item.shape)


def _another_type(file: h5py.File, rng: np.random.Generator) -> None:
    item = some(file, rng, h5py.Dataset)
    dtype = pick(rng, DTYPES)
    if dtype == "O":
        instead(item, np.asarray([str(one) for one in np.atleast_1d(item[()])], dtype=h5py.string_dtype()))
    elif dtype == "M8[s]":
        instead(item, item[()].astype("i8").astype(h5py.opaque_dtype(np.dtype("M8[s]"))))
    else:
        with np.errstate(all="ignore"):
            instead(item, item[()].astype(dtype))


def _another_shape(file: h5py.File, rng: np.random.Generator) -> None:
    item = some(file, rng, h5py.Dataset)
    values = np.atleast_1d(item[()])
    shapes = (
        values[:-1],
        values[:0],
        values[:1],
        np.concatenate([values, values[:1]]),
        np.concatenate([values, values]),
        values[:, None],
        values[None],
        values.T,
        values.reshape(-1)[0],
        values[None, None],
    )
    instead(item, pick(rng, shapes))


def _another_kind(file: h5py.File, rng: np.random.Generator) -> None:
    """A scalar, nothing, a table of records, a type of its own, or a group where something else belongs."""
    item = some(file, rng)
    if item.name in ("/", "/obs") and rng.random() < 0.5:
        raise ValueError("too dull")
    records = np.zeros(5, dtype=[("_index", "S5"), ("condition", "S5"), ("count", "f4")])
    scalars = (
        3,
        2.5,
        "word",
        b"\xff\xfe",
        h5py.Empty("f4"),
        h5py.Empty(h5py.string_dtype()),
        records,
        np.zeros((2, 0)),
    )
    if rng.random() < 0.3:
        parent, name = item.parent, item.name.rsplit("/", 1)[1]
        del parent[name]
        parent.create_group(name).attrs["encoding-type"] = pick(rng, ENCODINGS)
    else:
        instead(item, pick(rng, scalars))


def _odd_types(file: h5py.File, rng: np.random.Generator) -> None:
    """Lists of lists, names for numbers, and references to other places."""
    item = some(file, rng, h5py.Dataset)
    size = max(int(item.size or 0), 1)
    kind = int(rng.integers(3))
    if kind == 0:
        made = instead(item, np.empty(0), dtype="f4", maxshape=(None,))
        made = instead(made, None, shape=(size,), dtype=h5py.vlen_dtype(np.int32))
        made[0] = np.arange(3)
    elif kind == 1:
        instead(item, np.zeros(size, dtype="i1"), dtype=h5py.enum_dtype({"NO": 0, "YES": 1}, basetype="i1"))
    else:
        made = instead(item, None, shape=(size,), dtype=pick(rng, (h5py.ref_dtype, h5py.regionref_dtype)))
        if made.dtype == h5py.ref_dtype:
            made[0] = file.ref


def _another_storage(file: h5py.File, rng: np.random.Generator) -> None:
    """Chunks, filters and byte orders that are sound and rare."""
    item = some(file, rng, h5py.Dataset)
    how: tuple[dict[str, Any], ...] = (
        {"chunks": True, "compression": "lzf", "shuffle": True},
        {"chunks": True, "compression": "gzip", "fletcher32": True},
        {"chunks": tuple(1 for _ in item.shape)},
        {
            "maxshape": tuple(None for _ in item.shape),
            "chunks": tuple(2**14 if i == 0 else 1 for i in range(item.ndim)),
        },
        {"chunks": True, "scaleoffset": 0},
    )
    instead(item, item[()], **pick(rng, how))


def _huge(file: h5py.File, rng: np.random.Generator) -> None:
    """Declare far more than is stored."""
    item = some(file, rng, h5py.Dataset)
    size = int(pick(rng, (10**6, 10**9, 2**40)))
    shape = pick(rng, ((size,), (size, 30), (*item.shape[:1], size)))
    instead(item, None, shape=shape, dtype=pick(rng, ("f4", "i8", h5py.string_dtype())), chunks=True)


def _gone(file: h5py.File, rng: np.random.Generator) -> None:
    item = some(file, rng)
    del file[item.name]


def _exchanged(file: h5py.File, rng: np.random.Generator) -> None:
    one, other = some(file, rng).name, some(file, rng).name
    if one.startswith(other) or other.startswith(one):
        raise ValueError("one holds the other")
    file.move(one, "/exchanged")
    file.move(other, one)
    file.move("/exchanged", other)


def _copied(file: h5py.File, rng: np.random.Generator) -> None:
    """The content of one place in another, or under a new name."""
    one, other = some(file, rng).name, some(file, rng)
    name = pick(rng, (other.name, f"{other.parent.name}/{pick(rng, STRINGS)}"))
    if one.startswith(name):
        raise ValueError("one holds the other")
    file.copy(one, "/copied")
    if name in file:
        del file[name]
    file.move("/copied", name)


def _linked(file: h5py.File, rng: np.random.Generator) -> None:
    """Links in a circle, to nothing, out of the file, or to one thing twice."""
    item = some(file, rng)
    links: tuple[Any, ...] = (
        h5py.SoftLink(item.name),
        h5py.SoftLink("/nowhere"),
        h5py.SoftLink("/"),
        h5py.SoftLink("../../obs"),
        h5py.SoftLink(some(file, rng).name),
        h5py.ExternalLink("/etc/passwd", "/"),
        h5py.ExternalLink("screen.h5ad", "/X"),
        h5py.ExternalLink("", "/"),
        file["/"],
        item.parent,
        some(file, rng),
    )
    link = pick(rng, links)
    name = item.name if rng.random() < 0.5 else f"{item.parent.name}/linked"
    if name in file:
        del file[name]
    file[name] = link


def _kept_elsewhere(file: h5py.File, rng: np.random.Generator) -> None:
    """Values that lie in another file."""
    item = some(file, rng, h5py.Dataset)
    parent, name, shape = item.parent, item.name.rsplit("/", 1)[1], item.shape
    if not shape or not item.size:
        raise ValueError("nothing to keep")
    del parent[name]
    if rng.random() < 0.5:
        parent.create_dataset(name, shape, dtype="f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout(shape, dtype="f4")
        layout[...] = h5py.VirtualSource(pick(rng, ("/etc/passwd", "screen.h5ad")), "X", shape)
        parent.create_virtual_dataset(name, layout)


def _crowded(file: h5py.File, rng: np.random.Generator) -> None:
    """Groups in groups, or many of them."""
    group = some(file, rng, h5py.Group) if rng.random() < 0.5 else file.require_group("uns")
    if rng.random() < 0.5:
        for _ in range(int(pick(rng, (20, 60, 1000)))):
            group = group.create_group("in")
    else:
        for i in range(300):
            group[f"further{i}"] = i


STORAGE = (
    *(_another_number, _another_type) * 2,
    *(_another_shape, _another_kind, _odd_types, _another_storage, _huge),
    *(_gone, _exchanged, _copied, _linked, _linked, _kept_elsewhere, _crowded),
)
