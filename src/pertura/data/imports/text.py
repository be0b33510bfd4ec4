"""Untrusted text, plain or gzip-compressed: line by line, never more of it than its size allows for."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from pertura.core.errors import BadDataError, MissingError

GZIP = b"\x1f\x8b"
PIECE_BYTES = 1 << 20
LONGEST_LINE = 1 << 20
FREE_BYTES = 64 << 20
LARGEST_RATIO = 100
"""Tables of counts and barcodes shrink three- to tenfold; what grows beyond this was made to fill the memory."""
FRESH_COPY = "copy or download it again"


def pieces(path: Path, size: int) -> Iterator[bytes]:
    """Yield a file's content, decompressed where it begins like gzip, in pieces of at most `size` bytes.

    `MissingError` where there is no file; `BadDataError` for what is no file, is damaged, or grows out of proportion.
    """
    limit, seen = _limit(path), 0
    try:
        with _opened(path) as stream:
            while piece := stream.read(size):
                seen += len(piece)
                if seen > limit:
                    raise BadDataError(
                        f"{path.stat().st_size:,} bytes grow to more than {limit:,}",
                        file=path,
                        remedy="no table of counts shrinks like that; decompress it yourself if you trust it",
                    )
                yield piece
    except (EOFError, zlib.error, OSError) as error:
        raise BadDataError(f"cannot be read to its end ({error})", file=path, remedy=FRESH_COPY) from error


def _limit(path: Path) -> int:
    if not path.exists():
        raise MissingError(f"{path}: no such file")
    if not path.is_file():
        raise BadDataError("is not a file", file=path)
    return max(FREE_BYTES, LARGEST_RATIO * path.stat().st_size)


def _opened(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as stream:
        zipped = stream.read(len(GZIP)) == GZIP
    return gzip.open(path, "rb") if zipped else path.open("rb")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number (from 1) and text of each line, without its end; what is not text raises `BadDataError`."""
    number, rest = 0, b""
    for piece in pieces(path, PIECE_BYTES):
        whole, mark, rest = (rest + piece).rpartition(b"\n")
        if mark:
            for line in _decoded(whole, path, number):
                number += 1
                yield number, line
        if len(rest) > LONGEST_LINE:
            raise BadDataError(f"is longer than {LONGEST_LINE:,} bytes", file=path, place=f"line {number + 1}")
    if rest:
        yield number + 1, _decoded(rest, path, number)[0]


def _decoded(block: bytes, path: Path, before: int) -> list[str]:
    """The lines of a block, with `before` lines in front of it; raise at the first that is no text."""
    block = block if before else block.removeprefix(codecs.BOM_UTF8)
    if b"\0" in block:
        place = f"line {before + 1 + block[: block.index(0)].count(10)}"
        raise BadDataError("holds a NUL byte: not a text file", file=path, place=place)
    try:
        text = block.decode()
    except UnicodeDecodeError as error:
        at = block.rfind(b"\n", 0, error.start) + 1
        place = f"line {before + 1 + block[:at].count(10)}"
        problem = f"byte {error.start - at + 1} is not UTF-8"
        raise BadDataError(problem, file=path, place=place, remedy="save it as UTF-8 text") from error
    return [line.removesuffix("\r") for line in text.split("\n")]
