"""One table in a safetensors file, written and read in blocks of rows, never as a whole.

The layout is: 8 bytes of little-endian header length, a JSON header, the numbers row by row. The library that defines
it wants a whole array at once and orders the metadata at random; here neither memory nor bytes depend on that.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float

from pertura.core.atomic import replacing
from pertura.core.errors import BadDataError, MissingError

KEY = "embeddings"
LENGTH_BYTES = 8
LONGEST_HEADER = 100_000_000
"""Bytes; the library that defines the layout refuses longer headers too."""
BLOCK_BYTES = 16 * 2**20
DTYPES: Mapping[str, str] = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
REMEDY = "the file was cut short, damaged or is of another kind: write or fetch it again"
Block = Float[np.ndarray, "rows width"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows, columns and number type of a table; `dtype` is F16, BF16, F32 or F64."""

    rows: int
    width: int
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * np.dtype(DTYPES[self.dtype]).itemsize

    @property
    def block_rows(self) -> int:
        """How many rows are held at a time."""
        return max(1, BLOCK_BYTES // max(self.row_bytes, 1))


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table that lies on disk: its shape, its metadata, and where its numbers begin."""

    path: Path
    shape: Shape
    metadata: Mapping[str, str]
    start: int

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield (first row, rows) from top to bottom; each block is mapped on its own, so that only one is held.

        bfloat16, which numpy lacks, comes as float32 of the same value; everything else as it is stored.
        """
        for first in range(0, self.shape.rows, self.shape.block_rows):
            rows = min(self.shape.block_rows, self.shape.rows - first)
            stored = self._mapped(first, rows)
            yield first, _widened(stored) if self.shape.dtype == "BF16" else stored

    def sha256(self) -> str:
        """Return the digest of the stored numbers."""
        digest = hashlib.sha256()
        for first in range(0, self.shape.rows, self.shape.block_rows):
            digest.update(self._mapped(first, min(self.shape.block_rows, self.shape.rows - first)).tobytes())
        return digest.hexdigest()

    def _mapped(self, first: int, rows: int) -> np.ndarray:
        offset = self.start + first * self.shape.row_bytes
        kind = DTYPES[self.shape.dtype]
        return np.memmap(self.path, dtype=kind, mode="r", offset=offset, shape=(rows, self.shape.width))


def write_table(
    path: Path, shape: Shape, blocks: Iterable[Block], metadata: Callable[[str], Mapping[str, str]] | None = None
) -> None:
    """Write blocks of rows, top to bottom, as one table; the file is whole or absent.

    `metadata` gets the sha256 of the numbers and returns what the header says; its length may not depend on the
    digest. The same input gives the same bytes.
    """
    describe = metadata or (lambda digest: {})
    blank = _header(shape, describe("0" * 64))
    with replacing(path) as temporary, temporary.open("r+b") as out:
        out.write(blank)
        digest = hashlib.sha256()
        written = 0
        for block in blocks:
            content = np.ascontiguousarray(block, dtype=DTYPES[shape.dtype]).tobytes()
            digest.update(content)
            out.write(content)
            written += len(block)
        header = _header(shape, describe(digest.hexdigest()))
        if written != shape.rows or len(header) != len(blank):
            raise ValueError(f"{written} rows were given for a table of {shape.rows}")
        out.seek(0)
        out.write(header)


def open_table(path: Path) -> TableFile:
    """Return the table of a file, checked for size and layout but not yet read.

    `MissingError` where there is no such file; `BadDataError` where it does not hold exactly one two-dimensional
    table `embeddings` of floating-point numbers.
    """
    if not path.is_file():
        raise MissingError(f"{path}: no such file")
    with path.open("rb") as source:
        header, start = _read_header(source, path)
    raw = header.pop("__metadata__", {})
    if not isinstance(raw, dict) or not all(isinstance(one, str) for one in raw.values()):
        raise BadDataError("the metadata are not words", file=path, remedy=REMEDY)
    if set(header) != {KEY}:
        named = ", ".join(sorted(map(str, header))[:5]) or "none"
        raise BadDataError(f"expected one table `{KEY}`, found: {named}", file=path)
    shape = _shape(header[KEY], path)
    found, expected = path.stat().st_size - start, shape.rows * shape.row_bytes
    if found != expected:
        problem = f"{found} bytes of numbers; {shape.rows} rows x {shape.width} of {shape.dtype} are {expected}"
        raise BadDataError(problem, file=path, remedy=REMEDY)
    return TableFile(path, shape, raw, start)


def _header(shape: Shape, metadata: Mapping[str, str]) -> bytes:
    table = {
        "dtype": shape.dtype,
        "shape": [shape.rows, shape.width],
        "data_offsets": [0, shape.rows * shape.row_bytes],
    }
    content = {"__metadata__": dict(sorted(metadata.items())), KEY: table} if metadata else {KEY: table}
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # numbers begin on a multiple of 8, as readers that map the file expect
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def _read_header(source: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(source.read(LENGTH_BYTES), "little")
    if not 2 <= length <= min(LONGEST_HEADER, path.stat().st_size - LENGTH_BYTES):
        raise BadDataError("not a safetensors file, or cut short", file=path, remedy=REMEDY)
    try:
        header = json.loads(source.read(length))
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"the header is not JSON ({type(error).__name__})", file=path, remedy=REMEDY) from error
    if not isinstance(header, dict):
        raise BadDataError("the header is not a JSON object", file=path, remedy=REMEDY)
    return header, LENGTH_BYTES + length


def _shape(described: Any, path: Path) -> Shape:
    """Return the shape in a header; where it contradicts itself, say so."""
    try:
        dtype, (rows, width), (begin, end) = described["dtype"], described["shape"], described["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise BadDataError(f"`{KEY}` is not a two-dimensional table", file=path, remedy=REMEDY) from error
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise BadDataError(f"`{KEY}` holds {dtype!r}; readable are {', '.join(DTYPES)}", file=path)
    if not all(type(one) is int and one >= 0 for one in (rows, width, begin, end)) or width == 0:
        raise BadDataError(f"the shape of `{KEY}` is not one", file=path, remedy=REMEDY)
    shape = Shape(rows, width, dtype)
    if (begin, end) != (0, rows * shape.row_bytes):
        raise BadDataError(f"{rows} rows x {width} of {dtype} do not end at byte {end}", file=path, remedy=REMEDY)
    return shape


def _widened(stored: np.ndarray) -> Float[np.ndarray, "rows width"]:
    return (stored.astype(np.uint32) << 16).view(np.float32)
