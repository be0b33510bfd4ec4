"""Differential expression of many groups of cells against one reference."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from pertura.core.errors import BadDataError
from pertura.core.expression import Expression, Subset
from pertura.core.geneblocks import GeneBlock, gene_blocks
from pertura.metrics import ranktest
from pertura.metrics.columns import Tile, tiles
from pertura.metrics.groupmeans import GroupMeans, Kind, PerGroup, fold_changes, group_means, per_million
from pertura.metrics.threads import each, ranges, usable_threads

ROW_VALUES = 1 << 20
"""p-values that are corrected at a time."""

Codes = Int[np.ndarray, " cells"]
Table = Float[np.ndarray, "targets genes"]
DrawnTable = Float32[np.ndarray, "draws targets genes"]


@dataclass(frozen=True, slots=True)
class Tests:
    """How groups are compared.

    `logged`: the data are log1p(counts). `means` are taken of counts; `epsilon` is added to both means before they are
    compared. `cpm_filter` leaves out a gene whose share of the counts, in parts per million, is at most that in both
    groups. `memory` bounds in bytes what is held beyond input and result; `threads` None means all cores. Neither
    of the two changes a number.
    """

    __test__: ClassVar[bool] = False
    """Not a test case, whatever its name suggests to pytest."""
    means: Kind = "geometric"
    logged: bool = True
    epsilon: float = 0.0
    cpm_filter: float | None = None
    memory: int = 1 << 30
    threads: int | None = None


DEFAULT = Tests()


@dataclass(frozen=True, eq=False)
class DifferentialExpression:
    """The two-sided Mann-Whitney test of every target against the reference, and the change, gene by gene.

    `statistic` is U of the target. `log2_fold_change` and `percent_change` compare `target_mean` with `reference_mean`
    (of the type of the data). `fdr` is p corrected by Benjamini and Hochberg within each target. A gene that
    `cpm_filter` leaves out has NaN in all but the means; so has, there too, a target without cells.
    """

    target_mean: Float[np.ndarray, "targets genes"]
    reference_mean: Float[np.ndarray, " genes"]
    log2_fold_change: Float[np.ndarray, "targets genes"]
    percent_change: Float[np.ndarray, "targets genes"]
    p_value: Float[np.ndarray, "targets genes"]
    statistic: Float[np.ndarray, "targets genes"]
    fdr: Float[np.ndarray, "targets genes"]
    target_counts: Int[np.ndarray, " targets"]
    reference_count: int


@dataclass(frozen=True, eq=False)
class Redrawn:
    """The corrected p and the change in each of several draws of the cells."""

    fdr: DrawnTable
    log2_fold_change: DrawnTable


def differential_expression(
    expression: Expression, codes: Codes, targets: int, *, options: Tests = DEFAULT
) -> DifferentialExpression:
    """Return the tests of groups 0..targets-1 against the reference (code `targets`); negative codes are left out.

    The test is that of Mann and Whitney with the normal approximation, corrected for ties and continuity; p is 1 where
    all values are equal. Values that a sparse matrix does not store count as zeros, negative values are welcome, NaN
    are refused.
    """
    cells = Grouped.of(expression, codes, targets)
    cells.require_reference()
    u, p = np.empty((2, targets, expression.shape[1]))
    means: list[_Means] = []

    def test(laid: Tile) -> None:
        ranktest.reference_tests(laid.arrays, cells.sizes, laid.first, u, p)

    # reference cells first: they then come first among equal values too
    order = np.argsort(cells.codes != targets, kind="stable")
    for block in _blocks(cells.expression, options):
        means.append(_Means.of(block, cells.codes, cells.sizes, options))
        each_tile(block, cells.codes, options, test, order)
    pooled = _Means.joined(means)
    target, reference = pooled.reported[:-1], pooled.reported[-1]
    change = fold_changes(target, reference, options.epsilon)
    rare = pooled.rare(options)
    for table in (u, p, change.log2, change.percent):
        table[rare] = np.nan
    return DifferentialExpression(
        target_mean=target,
        reference_mean=reference,
        log2_fold_change=change.log2,
        percent_change=change.percent,
        p_value=p,
        statistic=u,
        fdr=false_discovery_rate(p),
        target_counts=cells.sizes[:-1],
        reference_count=int(cells.sizes[-1]),
    )


def rest_tests(expression: Expression, codes: Codes, targets: int, options: Tests = DEFAULT) -> tuple[Table, Table]:
    """Return U and z of groups 0..targets-1, each against all cells of the other groups, the reference among them.

    z is signed, corrected for ties but not for continuity, and 0 where all values are equal. NaN where a group or the
    rest has no cells. Negative codes are left out.
    """
    cells = Grouped.of(expression, codes, targets)
    u, z = np.empty((2, targets, expression.shape[1]))

    def test(laid: Tile) -> None:
        ranktest.rest_tests(laid.arrays, cells.sizes, laid.first, u, z)

    for block in _blocks(cells.expression, options):
        each_tile(block, cells.codes, options, test)
    return u, z


def redrawn_tests(
    expression: Expression,
    codes: Int[np.ndarray, "draws cells"],
    copies: Int[np.ndarray, "draws cells"] | None,
    targets: int,
    options: Tests = DEFAULT,
) -> Redrawn:
    """Return what `differential_expression` finds in each of several draws of the cells; one sort serves all draws.

    In draw d cell c belongs to group `codes[d, c]` (as there) and counts `copies[d, c]` times, or once. What a draw
    finds is what is found where its cells stand in a matrix of their own.
    """
    times = np.ones_like(codes) if copies is None else copies
    if times.min(initial=0) < 0:
        raise BadDataError("a cell cannot be drawn a negative number of times")
    used = np.flatnonzero(((codes >= 0) & (times > 0)).any(axis=0))
    source = expression if len(used) == codes.shape[1] else Subset(expression, used)
    genes = expression.shape[1]
    found = Redrawn(*(np.empty((len(codes), targets, genes), dtype=np.float32) for _ in range(2)))
    at_once = max(options.memory // 8 // max(targets * genes * 8, 1), 1)
    for some in (slice(*one) for one in ranges(len(codes), at_once)):
        draws = [_Draw.of(*one, targets) for one in zip(codes[some][:, used], times[some][:, used])]
        _redraw(source, draws, options, found.fdr[some], found.log2_fold_change[some])
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """One draw of cells: the group and the number of copies of each, and how large the groups become."""

    codes: Codes
    copies: Codes
    sizes: PerGroup

    @classmethod
    def of(cls, codes: Codes, copies: Codes, targets: int) -> "_Draw":
        if codes.max(initial=0) > targets:
            raise BadDataError(f"group code {codes.max()} where the reference is {targets}, the highest there may be")
        copies = np.where(codes >= 0, copies, 0).astype(np.int64)
        sizes = np.bincount(np.repeat(codes, copies), minlength=targets + 1)
        if sizes[targets] == 0:
            raise BadDataError("a draw leaves the reference group without cells")
        return cls(codes.astype(np.int64), copies, sizes)


def _redraw(
    source: Expression, draws: list[_Draw], options: Tests, fdr: DrawnTable, log2_fold_change: DrawnTable
) -> None:
    """Fill the tables [draws, targets, genes] of some draws."""
    p = np.empty(fdr.shape)
    means: list[list[_Means]] = [[] for _ in draws]
    codes, copies = (np.stack([getattr(one, name) for one in draws]).astype(np.int32) for name in ("codes", "copies"))
    sizes = np.stack([one.sizes for one in draws])

    def test(laid: Tile) -> None:
        ranktest.redrawn_tests(laid.arrays, (codes, copies), sizes, laid.first, p)

    for block in _blocks(source, options):
        for draw, parts in zip(draws, means):
            drawn = replace(block, rows=np.repeat(block.rows, draw.copies))
            parts.append(_Means.of(drawn, np.repeat(draw.codes, draw.copies), draw.sizes, options))
        each_tile(block, np.arange(source.shape[0]), options, test)
    for d, parts in enumerate(means):
        pooled = _Means.joined(parts)
        change = fold_changes(pooled.reported[:-1], pooled.reported[-1], options.epsilon).log2
        rare = pooled.rare(options)
        change[rare] = p[d][rare] = np.nan
        log2_fold_change[d], fdr[d] = change, false_discovery_rate(p[d])


def _blocks(expression: Expression, options: Tests) -> Iterator[GeneBlock]:
    return gene_blocks(expression, options.memory * 3 // 4)


@dataclass(frozen=True, slots=True, eq=False)
class _Means:
    """Means of all groups as they are reported, and those of counts where rare genes are to be left out."""

    reported: GroupMeans
    counts: GroupMeans | None

    @classmethod
    def of(cls, block: GeneBlock, codes: Codes, sizes: PerGroup, options: Tests) -> "_Means":
        threads = usable_threads(options.threads)
        reported = group_means(block, codes, sizes, options.means, options.logged, threads)
        if options.cpm_filter is None or options.means == "arithmetic":
            return cls(reported, None if options.cpm_filter is None else reported)
        return cls(reported, group_means(block, codes, sizes, "arithmetic", options.logged, threads))

    @classmethod
    def joined(cls, parts: "list[_Means]") -> "_Means":
        counts = [one.counts for one in parts if one.counts is not None]
        return cls(np.hstack([one.reported for one in parts]), np.hstack(counts) if counts else None)

    def rare(self, options: Tests) -> Bool[np.ndarray, "targets genes"]:
        """Where a gene is left out: neither the target's share of it nor the reference's is above the filter."""
        if self.counts is None or options.cpm_filter is None:
            return np.zeros((len(self.reported) - 1, self.reported.shape[1]), dtype=bool)
        share = per_million(self.counts)
        return ~((share[:-1] > options.cpm_filter) | (share[-1] > options.cpm_filter))


def false_discovery_rate(p: Table) -> Table:
    """Return p corrected by Benjamini and Hochberg within each row; NaN stay NaN and are not counted."""
    fdr = np.empty_like(p)
    for start, stop in ranges(len(p), max(ROW_VALUES // max(p.shape[1], 1), 1)):
        some = p[start:stop]
        order = np.argsort(some, axis=1)  # NaN last
        ordered = np.take_along_axis(some, order, axis=1)
        tests = np.count_nonzero(~np.isnan(some), axis=1)[:, None]
        ordered *= tests / np.arange(1, some.shape[1] + 1, dtype=np.float64)
        lowest = np.fmin.accumulate(ordered[:, ::-1], axis=1)[:, ::-1]
        lowest[np.isnan(ordered)] = np.nan
        np.put_along_axis(fdr[start:stop], order, lowest.clip(0.0, 1.0), axis=1)
    return fdr


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """The cells that belong to a group, in their order, with the size of each group; the last is the reference."""

    expression: Expression
    codes: Codes
    sizes: PerGroup

    @classmethod
    def of(cls, expression: Expression, codes: Codes, targets: int) -> "Grouped":
        """Return the cells whose code is not negative."""
        if len(codes) != expression.shape[0]:
            raise BadDataError(f"{len(codes)} group codes for {expression.shape[0]} cells")
        if len(codes) and codes.max() > targets:
            raise BadDataError(f"group code {codes.max()} where the reference is {targets}, the highest there may be")
        kept = np.flatnonzero(codes >= 0)
        wanted = codes[kept].astype(np.int64, copy=False)
        source = expression if len(kept) == len(codes) else Subset(expression, kept)
        return cls(source, wanted, np.bincount(wanted, minlength=targets + 1))

    def require_reference(self) -> None:
        """Refuse a reference without cells."""
        if self.sizes[-1] == 0:
            raise BadDataError("the reference group has no cells, so nothing can be tested against it")


def each_tile(
    block: GeneBlock,
    tags: Int[np.ndarray, " cells"],
    options: Tests,
    test: Callable[[Tile], None],
    order: Codes | None = None,
) -> None:
    """Lay out a block tile by tile, cells in `order`, and hand each tile to `test`; NaN are refused."""
    threads, genes = usable_threads(options.threads), block.stop - block.start
    rows, marks = block.rows, tags.astype(np.uint32)
    if order is not None:
        rows, marks = rows[order], marks[order]

    def work(stretch: tuple[int, int]) -> None:
        for laid in tiles(block, rows, marks, stretch, options.memory // 8 // threads):
            test(laid)

    # more stretches than threads, since some genes have many more values than others
    pieces = 1 if threads == 1 else 4 * threads
    each(work, ranges(genes, max(-(-genes // pieces), 1)), threads)
