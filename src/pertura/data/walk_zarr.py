"""Looks through an untrusted zarr store, in a process of its own, as `pertura.data.walk` does for HDF5.

`python -m pertura.data.walk_zarr FOLDER SECONDS BYTES` prints one JSON object of the same form. Before zarr sees the
store, its folder is gone through: nothing may lead out of it, and what its metadata ask for (codecs, types, pieces)
must be on a short list, for some codecs run code that lies in the data.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pertura.data.stores import ROOTS, Array, Group, names_in, root_of
from pertura.data.values import Refusal
from pertura.data.walk import BLOCK_BYTES, DEEPEST, LARGEST_RATIO, MOST_OBJECTS, SUSPICIOUS_BYTES, facts_of, main

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
LARGEST_METADATA = 64 << 20
LARGEST_PIECE = 1 << 30
MOST_FILES = 5_000_000
PACKED = frozenset({"blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "shuffle", "vlen-utf8", "crc32c"})
"""Codecs of version 2. Others run code that lies in the data (pickle), or mean objects of other kinds."""
CODECS = frozenset({"bytes", "gzip", "zstd", "blosc", "crc32c", "vlen-utf8", "transpose", "sharding_indexed"})
TYPES = frozenset(
    {"bool", "string", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))}
    | {"float16", "float32", "float64", "complex64", "complex128"}
)
REWRITE = "write the store again with a current anndata"
READ = ("/obs", "/var", "/X", "/layers/counts")
"""What is read in any case on the way to the facts."""


def walk_zarr(path: str, look: Callable[[Group], dict[str, object]] = facts_of) -> dict[str, object]:
    """Return what `look` tells of a zarr store that holds an AnnData; raise `Refusal` at what makes it unusable."""
    folder = Path(path)
    check_folder(folder)
    root = _opened(folder)
    facts = look(root)
    _decode_the_rest(root)
    return facts


def _opened(folder: Path) -> Group:
    import zarr

    # each thread reserves address space of its own, and that is limited
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 2})
    try:
        return root_of(folder)
    except Exception as error:
        raise Refusal("is no zarr store that can be opened", remedy=REWRITE) from error


def check_folder(folder: Path) -> None:
    """Raise where anything in the folder of a store leads out of it, runs code, or expands without bound."""
    if not any((folder / name).is_file() for name in ROOTS):
        raise Refusal("is a folder without the metadata of a zarr store", remedy="give an .h5ad, or a .zarr of anndata")
    objects = 0
    for entry in _entries(folder):
        if entry.name in METADATA:
            objects += 1
            if objects > MOST_OBJECTS:
                raise Refusal("groups and arrays are too many", remedy=REWRITE)
            _check_metadata(Path(entry.path), os.path.relpath(entry.path, folder))


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield the files of a folder, however deep; raise at links and at what is neither file nor folder."""
    waiting, seen = [(str(folder), 0)], 0
    while waiting:
        here, depth = waiting.pop()
        if depth > DEEPEST:
            raise Refusal("folders are nested too deep", os.path.relpath(here, folder), REWRITE)
        with os.scandir(here) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                seen += 1
                place = os.path.relpath(entry.path, folder)
                if entry.is_symlink():
                    raise Refusal("a link: what it leads to may lie elsewhere", place, "copy the data into the store")
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    yield entry
                else:
                    raise Refusal("neither a file nor a folder", place, "remove it")
                if seen > MOST_FILES:
                    raise Refusal("the store has too many files", remedy=f"{REWRITE}, in larger pieces")


# ---- what the metadata ask for


def _check_metadata(path: Path, place: str) -> None:
    if path.stat().st_size > LARGEST_METADATA:
        raise Refusal("metadata of this size are none", place, REWRITE)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"metadata are no JSON ({type(error).__name__})", place, REWRITE) from error
    if not isinstance(content, dict):
        raise Refusal("metadata are no table", place, REWRITE)
    if path.name == ".zarray":
        _check_old_array(content, place)
    elif path.name == "zarr.json" and content.get("node_type") != "group":
        _check_array(content, place)
    else:
        return
    _check_size(content, path.parent, place)


def _check_old_array(content: Mapping[str, object], place: str) -> None:
    """An array of version 2: codecs from the list; objects only where they are words."""
    filters = content.get("filters") or []
    if not isinstance(filters, list):
        raise Refusal("filters are no list", place, REWRITE)
    asked = [*filters, *([content["compressor"]] if content.get("compressor") is not None else [])]
    for one in asked:
        _check_name(one.get("id") if isinstance(one, dict) else one, PACKED, "codec", place)
    kind = content.get("dtype")
    if not isinstance(kind, str) or not kind.strip("<>|=")[:1].isalpha():
        raise Refusal(f"holds values of the unknown type {kind!r}", place, REWRITE)
    if kind.endswith("O") and not any(isinstance(one, dict) and one.get("id") == "vlen-utf8" for one in filters):
        raise Refusal("objects that are not words", place, REWRITE)


def _check_array(content: Mapping[str, object], place: str) -> None:
    """An array of version 3: types and codecs from the lists, those inside a shard too."""
    kind = content.get("data_type")
    if isinstance(kind, dict):
        _check_name(kind.get("name"), frozenset({"fixed_length_utf32"}), "type", place)
    else:
        _check_name(kind, TYPES, "type", place)
    if content.get("storage_transformers"):
        raise Refusal("asks for a transformer of its storage", place, REWRITE)
    _check_codecs(content.get("codecs"), place)


def _check_codecs(codecs: object, place: str) -> None:
    waiting = [codecs]
    while waiting:
        listed = waiting.pop()
        if not isinstance(listed, list):
            raise Refusal("codecs are no list", place, REWRITE)
        for one in listed:
            _check_name(one.get("name") if isinstance(one, dict) else one, CODECS, "codec", place)
            inner = one.get("configuration") if isinstance(one, dict) else None
            if isinstance(inner, dict):
                waiting += [inner[name] for name in ("codecs", "index_codecs") if name in inner]


def _check_name(name: object, known: frozenset[str], what: str, place: str) -> None:
    if not isinstance(name, str) or name not in known:
        raise Refusal(f"asks for the {what} {str(name)[:60]!r}, which is not read", place, REWRITE)


def _check_size(content: Mapping[str, object], folder: Path, place: str) -> None:
    """An array must not claim more than its stored bytes can hold, in all or in one piece."""
    grid = content.get("chunk_grid")
    inner = grid.get("configuration") if isinstance(grid, dict) else None
    pieces = inner.get("chunk_shape") if isinstance(inner, dict) else content.get("chunks")
    values, piece = (_values(one, place) for one in (content.get("shape"), pieces))
    if piece > LARGEST_PIECE:
        raise Refusal(f"is stored in pieces of {piece:,} values", place, f"{REWRITE}, in smaller pieces")
    if values <= SUSPICIOUS_BYTES:
        return
    stored = sum(one.stat().st_size for one in _entries(folder))
    if values > LARGEST_RATIO * stored:
        raise Refusal(f"{stored:,} stored bytes claim to hold {values:,} values", place, "it is damaged or hostile")


def _values(shape: object, place: str) -> int:
    if not isinstance(shape, list) or not all(type(one) is int and one >= 0 for one in shape):
        raise Refusal("has no shape of whole numbers", place, REWRITE)
    return math.prod(shape)


# ---- what else can be read of it


def _decode_the_rest(root: Group) -> None:
    """Read every other array once: unpacking it must need no more than this process may use."""
    waiting = [("", root)]
    while waiting:
        place, group = waiting.pop()
        for name in names_in(group):
            here, item = f"{place}/{name}", group[name]
            if here in READ:
                continue
            if isinstance(item, Array):
                _decode(item, here)
            else:
                waiting.append((here, item))


def _decode(array: Array, place: str) -> None:
    try:
        if array.ndim == 0:
            array[()]
            return
        rows = max(1, BLOCK_BYTES // max(math.prod(array.shape[1:]) * array.dtype.itemsize, 1))
        rows = max(array.chunks[0], rows // array.chunks[0] * array.chunks[0])
        for start in range(0, array.shape[0], rows):
            array[start : start + rows]
    except MemoryError:
        raise
    except Exception as error:
        problem = " ".join(f"cannot be read ({type(error).__name__}: {error})".split())[:300]
        raise Refusal(problem, place, REWRITE) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], walk_zarr))
