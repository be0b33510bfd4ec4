"""The two-sided Mann-Whitney test of many groups at once: one sort of a gene serves every group.

U of a group counts, over its cells, the reference cells that lie below; a tie counts half. p is that of the normal
approximation with the variance corrected for ties and a continuity correction of one half (Mann and Whitney 1947,
Lehmann 1975). Zeros are one block of ties whose size is known without sorting. U is counted doubled, in integers.
"""

import math
import typing

import numba
import numpy as np

from pertura.metrics.columns import TAG, Kernel

TWICE, PRESENT, MARK, SAME = 0, 1, 2, 3
"""Of each group: U doubled, cells met, the block of ties last met in, and how many of it were met there."""


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def reference_tests(tile: Kernel, sizes: np.ndarray, first: int, u: np.ndarray, p: np.ndarray) -> None:
    """Fill u and p of a tile's genes, `first` on: every group against the last of `sizes`.

    Tags are groups; in each column the reference cells must come first.
    """
    reference = len(sizes) - 1
    state, ties = np.empty((len(sizes), 4), np.int64), np.empty(len(sizes))
    entries, starts, ends, negative = tile
    for j in range(len(ends)):
        state[:], ties[:] = 0, 0.0
        column, cut = entries[starts[j] : ends[j]], negative[j]
        below = _walk(column[:cut], reference, state, ties, 0, 0)
        # zeros of the reference are what is left of it: its cells above zero are counted before they are met
        zeros = sizes[reference] - below - _of(column[cut:], reference)
        _walk(column[cut:], reference, state, ties, below + zeros, cut)
        for g in range(reference):
            own = sizes[g] - state[g, PRESENT]
            twice = state[g, TWICE] + own * (2 * below + zeros)
            total = ties[reference] + ties[g] + _cubed(own + zeros)
            u[g, first + j], p[g, first + j] = _test(twice, sizes[g], sizes[reference], total)


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _walk(column: np.ndarray, reference: int, state: np.ndarray, ties: np.ndarray, below: int, offset: int) -> int:
    """Go up a sorted column, `below` reference cells being lower than all of it; tally every group's cells.

    The t-th cell of a block of ties adds f(t) - f(t - 1) = 3 t (t - 1) to f(t) = t^3 - t. Reference cells come first in
    each block, so a target's cell there knows how many it ties with. No branch: which way it goes is anybody's guess.
    """
    start, mark = below, 0
    previous = ~column[0] if len(column) else np.uint64(0)
    for i in range(len(column)):
        group = np.int64(column[i] & TAG)
        fresh = (column[i] ^ previous) > TAG
        previous = column[i]
        start = below if fresh else start
        mark = offset + i + 1 if fresh else mark
        below += group == reference
        same = state[group, SAME] + 1 if state[group, MARK] == mark else 1
        tied = float(below - start + (0 if group == reference else same))
        state[group, MARK], state[group, SAME] = mark, same
        state[group, TWICE] += start + below
        state[group, PRESENT] += 1
        ties[group] += 3.0 * tied * (tied - 1.0)
    return below


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def rest_tests(tile: Kernel, sizes: np.ndarray, first: int, u: np.ndarray, z: np.ndarray) -> None:
    """Fill u and z of a tile's genes: every group against all cells of the other groups. NaN where a side is empty."""
    total = sizes.sum()
    ranks, present = np.empty(len(sizes), np.int64), np.empty(len(sizes), np.int64)
    entries, starts, ends, negative = tile
    for j in range(len(ends)):
        ranks[:], present[:] = 0, 0
        column, cut = entries[starts[j] : ends[j]], negative[j]
        zeros = total - len(column)
        ties = _cubed(zeros) + _rank(column[:cut], ranks, present, 0)
        ties += _rank(column[cut:], ranks, present, cut + zeros)
        for g in range(len(u)):
            twice = ranks[g] + (sizes[g] - present[g]) * (2 * cut + zeros + 1) - sizes[g] * (sizes[g] + 1)
            u[g, first + j], z[g, first + j] = _score(twice, sizes[g], total - sizes[g], ties)


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _rank(column: np.ndarray, ranks: np.ndarray, present: np.ndarray, below: int) -> float:
    """Add to each group the doubled mid-ranks of its cells, `below` cells being lower; return the ties."""
    i, size, ties = 0, len(column), 0.0
    while i < size:
        j = i + 1
        while j < size and (column[j] ^ column[i]) <= TAG:
            j += 1
        for k in range(i, j):
            ranks[column[k] & TAG] += 2 * below + i + j + 1
            present[column[k] & TAG] += 1
        ties += _cubed(j - i)
        i = j
    return ties


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def redrawn_tests(tile: Kernel, draws: tuple, sizes: np.ndarray, first: int, p: np.ndarray) -> None:
    """Fill p [draws, groups, genes] of a tile's genes; tags are cells, of which a draw has each so many times."""
    codes, copies = draws
    reference = sizes.shape[1] - 1
    twice, present = np.empty(reference + 1, np.int64), np.empty(reference + 1, np.int64)
    ties, met = np.empty(reference + 1), np.zeros(reference + 1, np.int64)
    state = (twice, present, ties, met)
    entries, starts, ends, negative = tile
    for j in range(len(ends)):
        column, cut = entries[starts[j] : ends[j]], negative[j]
        for d in range(len(codes)):
            twice[:], present[:], ties[:] = 0, 0, 0.0
            below, shared = _walk_draw(column[:cut], codes[d], copies[d], state, 0, 0.0)
            zeros = sizes[d, reference] - below - _drawn(column[cut:], codes[d], copies[d], reference)
            _, shared = _walk_draw(column[cut:], codes[d], copies[d], state, below + zeros, shared)
            for g in range(reference):
                own = sizes[d, g] - present[g]
                total = shared + ties[g] + _cubed(own + zeros)
                u = twice[g] + own * (2 * below + zeros)
                p[d, g, first + j] = _test(u, sizes[d, g], sizes[d, reference], total)[1]


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _walk_draw(
    column: np.ndarray, codes: np.ndarray, copies: np.ndarray, state: tuple, below: int, shared: float
) -> tuple[int, float]:
    """As `_walk`, the group of a cell being looked up and each cell counting as often as it was drawn."""
    twice, present, ties, met = state
    i, size, reference = 0, len(column), len(met) - 1
    while i < size:
        if i + 1 == size or (column[i] ^ column[i + 1]) > TAG:
            cell = column[i] & TAG
            i, group, times = i + 1, codes[cell], copies[cell]
            if group == reference:
                below, shared = below + times, shared + _cubed(times)
            elif group >= 0:
                twice[group] += times * 2 * below
                present[group] += times
                ties[group] += _cubed(times)
            continue
        j = i
        while j < size and (column[j] ^ column[i]) <= TAG:
            cell = column[j] & TAG
            if codes[cell] >= 0:
                met[codes[cell]] += copies[cell]
            j += 1
        equal = met[reference]
        met[reference] = 0
        for k in range(i, j):
            group = codes[column[k] & TAG]
            if group >= 0 and met[group] > 0:
                twice[group] += met[group] * (2 * below + equal)
                present[group] += met[group]
                ties[group] += _cubed(equal + met[group]) - _cubed(equal)
                met[group] = 0
        shared += _cubed(equal)
        below += equal
        i = j
    return below, shared


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _of(column: np.ndarray, reference: int) -> int:
    """How many cells are of the reference."""
    count = 0
    for i in range(len(column)):
        count += (column[i] & TAG) == reference
    return count


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _drawn(column: np.ndarray, codes: np.ndarray, copies: np.ndarray, reference: int) -> int:
    """How many cells, copies counted, are drawn for the reference."""
    count = 0
    for i in range(len(column)):
        if codes[column[i] & TAG] == reference:
            count += copies[column[i] & TAG]
    return count


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _cubed(size: int) -> float:
    """t^3 - t of a block of t ties; exact in float64 up to two hundred thousand cells."""
    ties = float(size)
    return ties * ties * ties - ties


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _variance(first: int, second: int, ties: float) -> float:
    """Variance of U for two groups of these sizes, with the ties taken off."""
    total = first + second
    inner = (total + 1.0) - ties / (float(total) * float(total - 1))
    return first * second / 12.0 * inner


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _test(twice: int, first: int, second: int, ties: float) -> tuple[float, float]:
    """U and p of a group from U doubled; p is 1 where all values are equal, both are NaN where a group is empty."""
    if first == 0 or second == 0:
        return np.nan, np.nan
    u, variance = twice / 2.0, _variance(first, second, ties)
    if variance <= 0.0:
        return u, 1.0
    z = (max(u, first * second - u) - first * second / 2.0 - 0.5) / math.sqrt(variance)
    return u, min(max(0.5 * math.erfc(z / math.sqrt(2.0)) * 2.0, 0.0), 1.0)


@numba.njit(cache=True, nogil=True)
@typing.no_type_check
def _score(twice: int, first: int, second: int, ties: float) -> tuple[float, float]:
    """U and its signed z without continuity correction; z is 0 where all values are equal."""
    if first == 0 or second == 0:
        return np.nan, np.nan
    u, variance = twice / 2.0, _variance(first, second, ties)
    return u, (u - first * second / 2.0) / math.sqrt(variance) if variance > 0.0 else 0.0
