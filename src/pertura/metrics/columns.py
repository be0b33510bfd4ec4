"""Genes of a block laid out one after another, each sorted: what every rank test starts from.

A value becomes an unsigned integer of its own width in the same order, its key. Zeros, stored or not, are left out:
all zeros of a gene are one block of ties whose size is known. With each key goes a tag, the group or the cell: sorted
genes are made of entries (key << 32 | tag), where keys have been replaced by others in the same order if need be.

Kernels that call one another stand in one file: the cache of compiled kernels notices changes of that file only.
"""

import typing
from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Int, UInt

from pertura.core.errors import BadDataError
from pertura.core.geneblocks import GeneBlock

DIGIT = 11
"""Bits of a key that one pass of the radix sort takes at most."""
TILE_GENES = 512
"""Genes laid out at once: so many ends to write at stay in the fast caches."""
TAG = np.uint64(0xFFFFFFFF)
"""The half of an entry that is the tag: two entries are tied where only it differs."""

Tags = UInt[np.ndarray, " cells"]
Kernel = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """Genes `first`, `first` + 1, ...: the j-th has the entries from `starts[j]` to `ends[j]`, ascending.

    Equal values of a gene have equal keys and stand in the order of their cells. The first `negative[j]` entries are
    of values below zero. A tile is good until the next one is laid out.
    """

    first: int
    entries: UInt[np.ndarray, " stored"]
    starts: Int[np.ndarray, " genes"]
    ends: Int[np.ndarray, " genes"]
    negative: Int[np.ndarray, " genes"]

    @property
    def arrays(self) -> Kernel:
        """What a kernel takes."""
        return self.entries, self.starts, self.ends, self.negative


def tiles(
    block: GeneBlock, rows: Int[np.ndarray, " cells"], tags: Tags, stretch: tuple[int, int], memory: int
) -> Iterator[Tile]:
    """Yield the columns of a stretch of a block; cell i is row `rows[i]` and has `tags[i]`. NaN are refused.

    What is laid out at a time takes at most `memory` bytes (one gene at the least).
    """
    layout = _Layout.of(block, rows, tags, stretch)
    stops = _stops(layout.counts, max(memory // layout.bytes_each, 1))
    pieces = list(zip([0, *stops[:-1]], stops))
    most = max(int(layout.counts[i:j].sum()) for i, j in pieces)
    entries, laid = np.empty(most, np.uint64), np.empty(0 if layout.narrow else most, np.uint32)
    room = _buffers(int(layout.counts.max()))
    for i, j in pieces:
        starts = np.concatenate([[0], np.cumsum(layout.counts[i:j])])
        ends = starts[:-1].copy()
        if layout.lay(stretch[0] + i, (ends, entries, laid, layout.zero)) > layout.infinity:
            genes = f"{block.start + stretch[0] + i} to {block.start + stretch[0] + j - 1}"
            raise BadDataError(
                f"expression is not a number (NaN) somewhere in genes {genes}, counted from 0",
                remedy="leave out the cells or genes that have NaN",
            )
        negative = _sort((entries, laid, starts, ends, layout.zero), room)
        yield Tile(block.start + stretch[0] + i, entries, starts[:-1], ends, negative)


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """How the values of some cells of a block are turned into columns; stored values are looked at as bits.

    `begin` is where each row has got to, `counts` how many values each gene has at most. `zero` is the key of zero.
    """

    bits: UInt[np.ndarray, "..."]
    places: tuple[np.ndarray, np.ndarray] | None
    rows: Int[np.ndarray, " cells"]
    tags: Tags
    begin: Int[np.ndarray, " begun"]
    counts: Int[np.ndarray, " genes"]
    infinity: int

    @classmethod
    def of(cls, block: GeneBlock, rows: Int[np.ndarray, " cells"], tags: Tags, stretch: tuple[int, int]) -> "_Layout":
        matrix = block.matrix
        values = matrix if isinstance(matrix, np.ndarray) else matrix.data
        bits = values.view(np.uint32 if values.dtype == np.float32 else np.uint64)
        infinity = int(np.array(np.inf, values.dtype).view(bits.dtype)[()])
        if isinstance(matrix, np.ndarray):
            counts = np.full(stretch[1] - stretch[0], len(rows), dtype=np.int64)
            return cls(bits, None, rows, tags, np.empty(0, dtype=np.int64), counts, infinity)
        places = matrix.indices, matrix.indptr.astype(np.int64, copy=False)
        begin, counts = _enter(*places, rows, *stretch)
        return cls(bits, places, rows, tags, begin, counts, infinity)

    @property
    def narrow(self) -> bool:
        """Whether key and tag share one entry from the beginning."""
        return self.bits.dtype == np.uint32

    @property
    def bytes_each(self) -> int:
        """Memory of a value that is laid out."""
        return 8 if self.narrow else 12

    @property
    def zero(self) -> np.uint64:
        return np.uint64(1 << (31 if self.narrow else 63))

    def lay(self, first: int, goal: tuple[np.ndarray, np.ndarray, np.ndarray, np.uint64]) -> int:
        """Fill the columns from `first` on; return the largest magnitude met, as bits."""
        if self.places is None:
            return int(_lay_dense(self.bits, self.rows, self.tags, first, goal))
        return int(_lay_sparse((self.bits, *self.places), self.rows, self.begin, self.tags, first, goal))


def _stops(counts: Int[np.ndarray, " genes"], most: int) -> list[int]:
    """Cut genes where a tile would hold more than `most` values or `TILE_GENES` genes."""
    stops, held, start = [], 0, 0
    for gene, count in enumerate(counts.tolist()):
        if gene > start and (held + count > most or gene - start == TILE_GENES):
            stops.append(gene)
            start, held = gene, 0
        held += count
    return [*stops, len(counts)]


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _enter(
    indices: np.ndarray, indptr: np.ndarray, rows: np.ndarray, first: int, last: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where each row enters the columns first..last-1, and how many values each of them has."""
    begin = np.empty(len(rows), np.int64)
    counts = np.zeros(last - first, np.int64)
    for i in range(len(rows)):
        low, stop = indptr[rows[i]], indptr[rows[i] + 1]
        high = stop
        while low < high and indices[low] < first:
            middle = (low + high) >> 1
            if indices[middle] < first:
                low = middle + 1
            else:
                high = middle
        begin[i] = low
        while low < stop and indices[low] < last:
            counts[indices[low] - first] += 1
            low += 1
    return begin, counts


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _lay_sparse(matrix: tuple, rows: np.ndarray, begin: np.ndarray, tags: np.ndarray, first: int, goal: tuple) -> int:
    """Scatter stored values to their genes, cell after cell; return the largest magnitude."""
    bits, indices, indptr = matrix
    ends, entries, laid, zero = goal
    last, worst = first + len(ends), np.uint64(0)
    for i in range(len(rows)):
        k, stop, tag = begin[i], indptr[rows[i] + 1], np.uint64(tags[i])
        while k < stop and indices[k] < last:
            one, gene = np.uint64(bits[k]), indices[k] - first
            k += 1
            magnitude = one & (zero - np.uint64(1))
            if magnitude == 0:
                continue
            worst = max(worst, magnitude)
            _put(_key(one, magnitude, zero), tag, ends[gene], entries, laid)
            ends[gene] += 1
        begin[i] = k
    return worst


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _lay_dense(bits: np.ndarray, rows: np.ndarray, tags: np.ndarray, first: int, goal: tuple) -> int:
    """Turn dense rows into columns without their zeros; return the largest magnitude."""
    ends, entries, laid, zero = goal
    worst = np.uint64(0)
    for i in range(len(rows)):
        row, tag = rows[i], np.uint64(tags[i])
        for j in range(len(ends)):
            one = np.uint64(bits[row, first + j])
            magnitude = one & (zero - np.uint64(1))
            if magnitude == 0:
                continue
            worst = max(worst, magnitude)
            _put(_key(one, magnitude, zero), tag, ends[j], entries, laid)
            ends[j] += 1
    return worst


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _key(one: int, magnitude: int, zero: int) -> int:
    """Bits in the order of the values: the larger the magnitude of a negative one, the smaller its key."""
    return (one | zero) if one == magnitude else (zero - np.uint64(1)) - magnitude


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _put(key: int, tag: int, at: int, entries: np.ndarray, laid: np.ndarray) -> None:
    """Write key and tag, in one entry where they fit."""
    if len(laid):
        entries[at], laid[at] = key, tag
    else:
        entries[at] = key << np.uint64(32) | tag


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _sort(tile: tuple, room: tuple) -> np.ndarray:
    """Sort each gene of a tile where it stands; return how many of its entries are of negative values."""
    entries, _, starts, ends, _ = tile
    negative = np.zeros(len(ends), np.int64)
    for j in range(len(ends)):
        column, negative[j] = _sorted(tile, j, room)
        for i in range(len(column)):
            entries[starts[j] + i] = column[i]
    return negative


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _sorted(tile: tuple, j: int, room: tuple) -> tuple[np.ndarray, int]:
    """Return the entries of gene j in ascending order, and how many of them are of negative values."""
    entries, tags, starts, ends, zero = tile
    mine = entries[starts[j] : ends[j]]
    if len(mine) == 0:
        return mine, 0
    wide = len(tags) > 0
    half = np.uint64(0) if wide else np.uint64(32)
    low, high, differing, negative = mine[0], mine[0], np.uint64(0), 0
    for i in range(len(mine)):
        low, high = min(low, mine[i]), max(high, mine[i])
        differing |= mine[i] ^ mine[0]
    low, high, differing = low >> half, high >> half, differing >> half
    if low < zero:
        for i in range(len(mine)):
            negative += (mine[i] >> half) < zero
    # bits at the end in which no two keys differ (counts, float32 kept as float64) need no pass
    shift, bits = np.uint64(0), np.uint64(0)
    while differing != 0 and (differing >> shift) & np.uint64(1) == 0:
        shift += np.uint64(1)
    while bits < np.uint64(64) - shift and ((high - low) >> shift) >> bits != 0:
        bits += np.uint64(1)
    if not wide:
        return _radix(mine, low << half, half + shift, bits, room), negative
    if bits > 32:
        return _ranked(mine, tags[starts[j] : ends[j]], low, shift, bits, room), negative
    for i in range(len(mine)):
        mine[i] = ((mine[i] - low) >> shift) << np.uint64(32) | np.uint64(tags[starts[j] + i])
    return _radix(mine, np.uint64(0), np.uint64(32), bits, room), negative


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _radix(source: np.ndarray, base: int, shift: int, bits: int, room: tuple) -> np.ndarray:
    """Sort entries by the `bits` bits above `shift` of their distance from `base`, the lowest digit first."""
    one, other, counts = room
    passes = (bits + np.uint64(DIGIT - 1)) // np.uint64(DIGIT)
    for at in range(passes):
        width = (bits + passes - np.uint64(1)) // passes
        goal = one[: len(source)]
        _pass(source, goal, counts, base, shift + np.uint64(at) * width, width)
        one, other = other, one
        source = goal
    return source


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _pass(source: np.ndarray, goal: np.ndarray, counts: np.ndarray, base: int, shift: int, width: int) -> None:
    """One stable pass of a radix sort."""
    mask = (np.uint64(1) << width) - np.uint64(1)
    for digit in range(mask + np.uint64(1)):
        counts[digit] = 0
    for i in range(len(source)):
        counts[((source[i] - base) >> shift) & mask] += 1
    total = 0
    for digit in range(mask + np.uint64(1)):
        here = counts[digit]
        counts[digit] = total
        total += here
    for i in range(len(source)):
        digit = ((source[i] - base) >> shift) & mask
        goal[counts[digit]] = source[i]
        counts[digit] += 1


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _ranked(keys: np.ndarray, tags: np.ndarray, base: int, shift: int, bits: int, room: tuple) -> np.ndarray:
    """Sort keys whose `bits` bits are too many for an entry: first by their lower 32, then by the rest.

    The place of a key among the distinct keys stands for it.
    """
    half = np.uint64(32)
    places = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        places[i] = (((keys[i] - base) >> shift) & TAG) << half | np.uint64(i)
    column = _radix(places, np.uint64(0), half, half, room)
    for i in range(len(keys)):
        place = column[i] & TAG
        places[i] = (((keys[place] - base) >> shift) >> half) << half | place
    column = _radix(places, np.uint64(0), half, bits - half, room)
    rank, previous = np.uint64(0), keys[column[0] & TAG]
    for i in range(len(column)):
        place = column[i] & TAG
        rank += np.uint64(keys[place] != previous)
        previous = keys[place]
        column[i] = rank << np.uint64(32) | np.uint64(tags[place])
    return column


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _buffers(longest: int) -> tuple:
    """Two buffers between which a column is sorted, and the counts of a digit."""
    return np.empty(longest, np.uint64), np.empty(longest, np.uint64), np.empty(1 << DIGIT, np.int64)
