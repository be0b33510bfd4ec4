"""Counts from the triple of text files: matrix.mtx, barcodes.tsv, features.tsv (or genes.tsv), gzip or not."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int

from pertura.core.errors import BadDataError
from pertura.data.imports.counts import EXPORT, EXPRESSION, LARGEST_COUNT, Counts, Features, counts_of_genes
from pertura.data.imports.text import LONGEST_LINE, lines, pieces

BLOCK_BYTES = 16 << 20
MOST_NAMES = 50_000_000
BANNER = "%%matrixmarket"


@dataclass(frozen=True, slots=True)
class Triple:
    """The three files of one matrix."""

    matrix: Path
    barcodes: Path
    features: Path


@dataclass(frozen=True, slots=True)
class Size:
    """What the head of a matrix states, and how many lines the head has."""

    rows: int
    columns: int
    entries: int
    lines: int


def read_triple(triple: Triple) -> Counts:
    """Return the counts of three text files; whatever is malformed raises `BadDataError` with file and line."""
    features = read_features(triple.features)
    barcodes = _names(triple.barcodes)
    size, blocks = _opened(triple.matrix)
    for stated, found, what in (
        (size.rows, len(features.ids), triple.features),
        (size.columns, len(barcodes), triple.barcodes),
    ):
        if stated != found:
            problem = f"states {size.rows:,} features x {size.columns:,} cells, but {what.name} has {found:,} lines"
            raise BadDataError(problem, file=triple.matrix, place=f"line {size.lines}", remedy=EXPORT)
    return counts_of_genes(triple.matrix, _matrix(triple.matrix, size, blocks), barcodes, features)


def read_features(path: Path) -> Features:
    """Return id, name and type of each feature; older files (genes.tsv) have no type and hold genes only."""
    found: list[tuple[str, str, str]] = []
    for number, line in lines(path):
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) < 2 or not parts[0] or number > MOST_NAMES:
            remedy = "it holds id, name and type of a feature in each line, between tabs"
            raise BadDataError("is not a feature", file=path, place=f"line {number}", remedy=remedy)
        found.append((parts[0], parts[1], parts[2] if len(parts) > 2 else EXPRESSION))
    return Features(tuple(one[0] for one in found), tuple(one[1] for one in found), tuple(one[2] for one in found))


def _names(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for number, line in lines(path):
        name = line.strip()
        if not name or "\t" in name or number > MOST_NAMES:
            raise BadDataError("is not a barcode", file=path, place=f"line {number}", remedy="one barcode a line")
        found.append(name)
    return tuple(found)


# ---- the matrix


def _opened(path: Path) -> tuple[Size, Iterator[bytes]]:
    """Return the stated size, and the entries in blocks of whole lines."""
    blocks = _blocks(path)
    head = next(blocks, b"")
    size, start = _head(path, head)

    def entries() -> Iterator[bytes]:
        yield head[start:]
        yield from blocks

    return size, entries()


def _blocks(path: Path) -> Iterator[bytes]:
    rest = b""
    for piece in pieces(path, BLOCK_BYTES):
        whole, mark, rest_of_line = (rest + piece).rpartition(b"\n")
        rest = rest_of_line
        if len(rest) > LONGEST_LINE:
            raise BadDataError(f"a line is longer than {LONGEST_LINE:,} bytes", file=path, remedy=EXPORT)
        if mark:
            yield whole + mark
    if rest.strip():
        yield rest + b"\n"


def _head(path: Path, block: bytes) -> tuple[Size, int]:
    at = number = 0
    while at < len(block):
        end = block.index(b"\n", at)
        line = block[at:end].decode("ascii", "replace").strip()
        number, at = number + 1, end + 1
        if number == 1:
            _check_banner(path, line)
        elif line and not line.startswith("%"):
            return _size(path, line, number), at
    raise BadDataError("has no line with its size", file=path, place=f"line {max(number, 1)}", remedy=EXPORT)


def _check_banner(path: Path, line: str) -> None:
    words = line.lower().split()
    if len(words) != 5 or words[0] != BANNER or words[1:3] != ["matrix", "coordinate"]:
        remedy = "give a sparse matrix in Matrix Market format"
        raise BadDataError(f"begins with {line[:60]!r}", file=path, place="line 1", remedy=remedy)
    if words[3] not in ("integer", "real") or words[4] != "general":
        remedy = "give counts (integer general)"
        raise BadDataError(f"holds {words[3]} {words[4]} numbers", file=path, place="line 1", remedy=remedy)


def _size(path: Path, line: str, number: int) -> Size:
    words = line.split()
    if len(words) != 3 or not all(word.isascii() and word.isdigit() and len(word) < 16 for word in words):
        remedy = "features, cells and entries stand there"
        raise BadDataError(f"is {line[:60]!r}", file=path, place=f"line {number}", remedy=remedy)
    rows, columns, entries = map(int, words)
    if max(rows, columns) > MOST_NAMES or entries > rows * columns:
        problem = f"states {entries:,} entries in {rows:,} x {columns:,}"
        raise BadDataError(problem, file=path, place=f"line {number}", remedy="the file is damaged")
    return Size(rows, columns, entries, number)


def _matrix(path: Path, size: Size, blocks: Iterator[bytes]) -> sp.csr_matrix:
    """Return cells x features; memory grows with what is there, not with what is stated."""
    parts: list[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"], Int[np.ndarray, " _"]]] = []
    read, line = 0, size.lines
    for block in blocks:
        part = _entries(path, block, size, line)
        parts.append(part)
        read, line = read + len(part[0]), line + block.count(b"\n")
        if read > size.entries:
            break
    if read != size.entries:
        problem = f"holds {'more than' if read > size.entries else 'only'} {min(read, size.entries):,} entries"
        remedy = "copy or download it again"
        raise BadDataError(f"{problem}, and states {size.entries:,}", file=path, place=f"line {line}", remedy=remedy)
    rows, columns, values = (np.concatenate([part[i] for part in parts]) for i in range(3))
    made = sp.coo_matrix((values, (columns, rows)), shape=(size.columns, size.rows)).tocsr()
    if made.nnz != read:
        problem = f"{read - made.nnz:,} entries stand in a place that another has taken"
        raise BadDataError(problem, file=path, remedy=EXPORT)
    return made


def _entries(
    path: Path, block: bytes, size: Size, line: int
) -> tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"], Int[np.ndarray, " _"]]:
    """Feature, cell (both from 0) and count of each line of a block; `line` lines stand before it."""
    try:
        table = pd.read_csv(io.BytesIO(block), sep=r"\s+", header=None, dtype=np.float64, na_filter=False, quoting=3)
        numbers = table.to_numpy() if len(table) else np.empty((0, 3))
    except pd.errors.EmptyDataError:
        numbers = np.empty((0, 3))
    except (ValueError, OverflowError):
        numbers = None
    if numbers is None or numbers.shape[1] != 3 or not _sound(numbers, size):
        raise _first_wrong(path, block, size, line)
    return (
        (numbers[:, 0] - 1).astype(np.int32),
        (numbers[:, 1] - 1).astype(np.int32),
        numbers[:, 2].astype(np.int32),
    )


def _sound(numbers: Float[np.ndarray, "entries 3"], size: Size) -> bool:
    if not len(numbers):
        return True
    low, high = numbers.min(axis=0), numbers.max(axis=0)
    bounds = bool((low >= [1, 1, 0]).all() and (high <= [size.rows, size.columns, LARGEST_COUNT]).all())
    return bounds and bool((numbers == np.rint(numbers)).all())


def _first_wrong(path: Path, block: bytes, size: Size, line: int) -> BadDataError:
    """What is wrong with the first line of a block that is wrong; slow, and only called where one is."""
    for i, text in enumerate(block.split(b"\n")):
        words = text.decode("ascii", "replace").split()
        problem = _wrong(words, size) if words else ""
        if problem:
            return BadDataError(problem, file=path, place=f"line {line + i + 1}", remedy=EXPORT)
    return BadDataError("cannot be read as feature, cell and count", file=path, place=f"line {line + 1}", remedy=EXPORT)


def _wrong(words: list[str], size: Size) -> str:
    shown = " ".join(words)[:60]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return f"{shown!r} is not feature, cell and count"
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        return f"{shown!r} is not feature, cell and count"
    if any(number != int(number) for number in numbers) or not 0 <= numbers[2] <= LARGEST_COUNT:
        return f"the value in {shown!r} is not a count: give raw counts, whole and not negative"
    if not (1 <= numbers[0] <= size.rows and 1 <= numbers[1] <= size.columns):
        return f"{shown!r} lies outside {size.rows:,} features x {size.columns:,} cells"
    return ""
