"""HDF5 files that were tampered with through h5py: they still open, and hold what does not belong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mutations.text import STRINGS, json_changed, pick

Node = "h5py.Dataset | h5py.Group"
LARGEST_READ = 10**7
NUMBERS = (np.nan, np.inf, -np.inf, -1.0, -0.0, 0.0, 0.5, 1e-310, 1e308, 3.4e38, 35.0, 2.0**31, 2.0**63, 1e6)
WHOLE = (-1, -2, 0, 1, 29, 30, 127, 255, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
DTYPES = ("i1", "u1", "i4", "u8", "f2", "f4", "f8", ">f4", ">i8", "c16", "?", "S5", "V3", "M8[s]", "O")
ENCODINGS = (
    *("array", "string-array", "string", "categorical", "csr_matrix", "csc_matrix", "dataframe", "dict", "rec-array"),
    *("nullable-integer", "nullable-boolean", "nullable-string-array", "awkward-array", "numeric-scalar", "null", "x"),
)
VERSIONS = ("0.1.0", "0.2.0", "9.9.9", "", "x")
LABELS = (
    *("A+", "+", "+A", "ctrl+ctrl", "GENE1+GENE1", "GENE1+GENE2+GENE3+GENE4", "A@x", "A|B", "A,B", "A;B", "-", " GENE1 "),
    *("control", "non-targeting", "NT", "0", "True", "GENE1_2", "GENE1-AS1", "1-Mar", "imatinib", "ENSG00000000003"),
)
NAMES = (*STRINGS, *LABELS, "GENE0", "cell0", "g" * 300_000, "/", "_index", "ENSG0", "Gapdh")


def hdf5_changed(path: Path, rng: np.random.Generator) -> None:
    """Change one to three things in an HDF5 file; it opens as before."""
    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            _one_change(file, rng)


def _one_change(file: h5py.File, rng: np.random.Generator) -> None:
    """Some changes do not go with some objects: another is drawn then."""
    for _ in range(100):
        try:
            pick(rng, CHANGES)(file, rng)
            return
        except (KeyError, OSError, ValueError, TypeError, RuntimeError, OverflowError, IndexError, AttributeError):
            continue
    raise RuntimeError("no change was possible")


# ---- where


def _objects(file: h5py.File) -> list[str]:
    """Every object by name; links that lead nowhere are left out."""
    found: list[str] = []
    file.visit(found.append)
    return found


def _some(file: h5py.File, rng: np.random.Generator, kind: type = object) -> Any:
    """An object of the file. Those that are always read come as often as all others together."""
    names = _objects(file)
    central = [name for name in names if name.split("/")[0] in ("X", "obs", "var", "matrix")]
    others = [name for name in names if name not in central]
    among = pick(rng, [one for one in (central, others) if one])
    item = file[pick(rng, [name for name in among if isinstance(file[name], kind)])]
    if isinstance(item, h5py.Dataset) and int(item.size or 0) > LARGEST_READ:
        raise ValueError("claims too much to be read")
    return item


def _instead(item: Any, value: Any, **how: Any) -> Any:
    """Put a value in the place of an object, with the same attributes."""
    parent, name = item.parent, item.name.rsplit("/", 1)[1]
    attributes = {key: item.attrs[key] for key in item.attrs}
    del parent[name]
    made = parent.create_dataset(name, data=value, **how)
    for key, one in attributes.items():
        made.attrs[key] = one
    return made


def _words(item: h5py.Dataset) -> list[str]:
    if h5py.check_string_dtype(item.dtype) is None or item.ndim != 1 or not item.size:
        raise TypeError("no list of words")
    return [str(one) for one in item.asstr(errors="replace")[:]]


# ---- values, types and shapes


def _another_number(file: h5py.File, rng: np.random.Generator) -> None:
    item = _some(file, rng, h5py.Dataset)
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
    item = _some(file, rng, h5py.Dataset)
    dtype = pick(rng, DTYPES)
    if dtype == "O":
        _instead(item, np.asarray([str(one) for one in np.atleast_1d(item[()])], dtype=h5py.string_dtype()))
    elif dtype == "M8[s]":
        _instead(item, item[()].astype("i8").astype(h5py.opaque_dtype(np.dtype("M8[s]"))))
    else:
        with np.errstate(all="ignore"):
            _instead(item, item[()].astype(dtype))


def _another_shape(file: h5py.File, rng: np.random.Generator) -> None:
    item = _some(file, rng, h5py.Dataset)
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
    _instead(item, pick(rng, shapes))


def _another_kind(file: h5py.File, rng: np.random.Generator) -> None:
    """A scalar, nothing, a table of records, a type of its own, or a group where something else belongs."""
    item = _some(file, rng)
    if item.name in ("/", "/obs") and rng.random() < 0.5:
        raise ValueError("too dull")
    records = np.zeros(5, dtype=[("_index", "S5"), ("condition", "S5"), ("count", "f4")])
    scalars = (3, 2.5, "word", b"\xff\xfe", h5py.Empty("f4"), h5py.Empty(h5py.string_dtype()), records, np.zeros((2, 0)))
    if rng.random() < 0.3:
        parent, name = item.parent, item.name.rsplit("/", 1)[1]
        del parent[name]
        parent.create_group(name).attrs["encoding-type"] = pick(rng, ENCODINGS)
    else:
        _instead(item, pick(rng, scalars))


def _odd_types(file: h5py.File, rng: np.random.Generator) -> None:
    """Lists of lists, names for numbers, and references to other places."""
    item = _some(file, rng, h5py.Dataset)
    size = max(int(item.size or 0), 1)
    kind = int(rng.integers(3))
    if kind == 0:
        made = _instead(item, np.empty(0), dtype="f4", maxshape=(None,))
        made = _instead(made, None, shape=(size,), dtype=h5py.vlen_dtype(np.int32))
        made[0] = np.arange(3)
    elif kind == 1:
        _instead(item, np.zeros(size, dtype="i1"), dtype=h5py.enum_dtype({"NO": 0, "YES": 1}, basetype="i1"))
    else:
        made = _instead(item, None, shape=(size,), dtype=pick(rng, (h5py.ref_dtype, h5py.regionref_dtype)))
        if made.dtype == h5py.ref_dtype:
            made[0] = file.ref


def _another_storage(file: h5py.File, rng: np.random.Generator) -> None:
    """Chunks, filters and byte orders that are sound and rare."""
    item = _some(file, rng, h5py.Dataset)
    how: tuple[dict[str, Any], ...] = (
        {"chunks": True, "compression": "lzf", "shuffle": True},
        {"chunks": True, "compression": "gzip", "fletcher32": True},
        {"chunks": tuple(1 for _ in item.shape)},
        {"maxshape": tuple(None for _ in item.shape), "chunks": tuple(2**14 if i == 0 else 1 for i in range(item.ndim))},
        {"chunks": True, "scaleoffset": 0},
    )
    _instead(item, item[()], **pick(rng, how))


def _huge(file: h5py.File, rng: np.random.Generator) -> None:
    """Declare far more than is stored."""
    item = _some(file, rng, h5py.Dataset)
    size = int(pick(rng, (10**6, 10**9, 2**40)))
    shape = pick(rng, ((size,), (size, 30), (*item.shape[:1], size)))
    _instead(item, None, shape=shape, dtype=pick(rng, ("f4", "i8", h5py.string_dtype())), chunks=True)


# ---- objects and links


def _gone(file: h5py.File, rng: np.random.Generator) -> None:
    item = _some(file, rng)
    del file[item.name]


def _exchanged(file: h5py.File, rng: np.random.Generator) -> None:
    one, other = _some(file, rng).name, _some(file, rng).name
    if one.startswith(other) or other.startswith(one):
        raise ValueError("one holds the other")
    file.move(one, "/exchanged")
    file.move(other, one)
    file.move("/exchanged", other)


def _copied(file: h5py.File, rng: np.random.Generator) -> None:
    """The content of one place in another, or under a new name."""
    one, other = _some(file, rng).name, _some(file, rng)
    name = pick(rng, (other.name, f"{other.parent.name}/{pick(rng, NAMES[:40])}"))
    if one.startswith(name):
        raise ValueError("one holds the other")
    file.copy(one, "/copied")
    if name in file:
        del file[name]
    file.move("/copied", name)


def _linked(file: h5py.File, rng: np.random.Generator) -> None:
    """Links in a circle, to nothing, out of the file, or to one thing twice."""
    item = _some(file, rng)
    links: tuple[Any, ...] = (
        h5py.SoftLink(item.name),
        h5py.SoftLink("/nowhere"),
        h5py.SoftLink("/"),
        h5py.SoftLink("../../obs"),
        h5py.SoftLink(_some(file, rng).name),
        h5py.ExternalLink("/etc/passwd", "/"),
        h5py.ExternalLink("screen.h5ad", "/X"),
        h5py.ExternalLink("", "/"),
        file["/"],
        item.parent,
        _some(file, rng),
    )
    link = pick(rng, links)
    name = item.name if rng.random() < 0.5 else f"{item.parent.name}/linked"
    if name in file:
        del file[name]
    file[name] = link


def _kept_elsewhere(file: h5py.File, rng: np.random.Generator) -> None:
    """Values that lie in another file."""
    item = _some(file, rng, h5py.Dataset)
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
    group = _some(file, rng, h5py.Group) if rng.random() < 0.5 else file.require_group("uns")
    if rng.random() < 0.5:
        for _ in range(int(pick(rng, (20, 60, 1000)))):
            group = group.create_group("in")
    else:
        for i in range(300):
            group[f"further{i}"] = i


# ---- attributes


def _another_attribute(file: h5py.File, rng: np.random.Generator) -> None:
    item = _some(file, rng) if rng.random() < 0.8 else file["/"]
    known = [*item.attrs, "encoding-type", "encoding-version", "shape", "_index", "column-order", "categories", "ordered"]
    name = pick(rng, known)
    if name in item.attrs and rng.random() < 0.2:
        del item.attrs[name]
        return
    usual: dict[str, Sequence[Any]] = {"encoding-type": ENCODINGS, "encoding-version": VERSIONS, "shape": SHAPES}
    if name in usual and rng.random() < 0.7:
        item.attrs[name] = pick(rng, usual[name])
    elif name == "categories" and rng.random() < 0.5:
        item.attrs[name] = _some(file, rng).ref
    else:
        item.attrs[name] = pick(rng, ATTRIBUTES)


SHAPES = (
    *((0, 0), (-1, 30), (100, -1), (2**62, 2**62), (10**9, 30), (100, 10**9), (1, 1), (101, 30), (30, 100), (3,), (1, 2, 3)),
    *("100 x 30", (100.0, 30.0), (np.nan, 1.0), 100, np.zeros((2, 2))),
)
ATTRIBUTES: tuple[Any, ...] = (
    *(3, -1, 2.5, np.nan, True, "", "x", "condition", "nowhere", "a\0b"[:1], b"\xff", h5py.Empty("f4"), [], [1, 2]),
    *(["condition"], ["nowhere"], ["condition", "condition"], "y" * 60_000, np.zeros((3, 3)), np.zeros(7000), "/", ".."),
    np.zeros(2, dtype=[("a", "i4"), ("b", "S3")]),
)


# ---- names, labels, columns


def _another_word(file: h5py.File, rng: np.random.Generator) -> None:
    """Names and labels that repeat, are empty, endless, or are no text at all."""
    item = _some(file, rng, h5py.Dataset)
    words = _words(item)
    for i in rng.integers(len(words), size=int(pick(rng, (1, 1, 3, len(words))))):
        words[i] = pick(rng, (pick(rng, NAMES), pick(rng, LABELS), words[0]))
    raw: list[Any] = [one.encode("utf-8", "surrogatepass") for one in words]
    if rng.random() < 0.15:
        raw[0] = b"\xff\xfe\x80"
    if rng.random() < 0.2:
        _instead(item, np.asarray(raw, dtype="S"))
    else:
        item[:] = np.asarray(raw, dtype=object)


def _one_word_for_all(file: h5py.File, rng: np.random.Generator) -> None:
    item = _some(file, rng, h5py.Dataset)
    item[:] = np.asarray([pick(rng, NAMES)] * len(_words(item)), dtype=object)


def _another_column(file: h5py.File, rng: np.random.Generator) -> None:
    """A further column of a name that means something, with values that do not."""
    table = file[pick(rng, ("obs", "var"))]
    length = len(table[table.attrs["_index"]])
    names = ("control", "condition", "gene", "perturbation", "batch", "dose", "dose_value", "nperts", "guide_id", "mode")
    names += ("cell_type", "cell_line", "ncounts", "total_counts", "perturbation_type", "gene_name", "symbol", "organism")
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
        group["categories"] = pick(rng, (["a", "b", "a"], [1.5, np.nan, 2.0], [3, 2, 1], ["a"], [True, False], [""] * 3))
    else:
        table[name] = value
    if rng.random() < 0.7:
        table.attrs["column-order"] = [*table.attrs["column-order"], name]


def _another_record(file: h5py.File, rng: np.random.Generator) -> None:
    """Text of JSON that stays JSON."""
    item = _some(file, rng, h5py.Dataset)
    if h5py.check_string_dtype(item.dtype) is None or item.ndim:
        raise TypeError("no word")
    _instead(item, json_changed(item.asstr()[()], rng))


# ---- matrices


def _another_matrix(file: h5py.File, rng: np.random.Generator) -> None:
    """The right encoding with entries in disorder, twice, out of range, or pointers that run backwards."""
    groups = [file[name] for name in _objects(file) if isinstance(file[name], h5py.Group) and "indptr" in file[name]]
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
    _instead(matrix["indices"], indices.astype(pick(rng, (indices.dtype, np.dtype("i8"), np.dtype("u8")))))
    _instead(matrix["indptr"], pointers)


Change = Callable[[h5py.File, np.random.Generator], None]
CHANGES: tuple[Change, ...] = (
    _another_number,
    _another_number,
    _another_type,
    _another_type,
    _another_shape,
    _another_kind,
    _odd_types,
    _another_storage,
    _huge,
    _gone,
    _exchanged,
    _copied,
    _linked,
    _linked,
    _kept_elsewhere,
    _crowded,
    _another_attribute,
    _another_attribute,
    _another_attribute,
    _another_word,
    _another_word,
    _another_word,
    _one_word_for_all,
    _another_column,
    _another_column,
    _another_record,
    _another_matrix,
    _another_matrix,
)
