"""The reference as it will be learnt from, with every check of it before anything is computed."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from pertura.annotation.folds import Divisible
from pertura.annotation.labels import Labels, counted_classes, groups_of, read_labels
from pertura.annotation.pretrained import Base
from pertura.annotation.scale import Logged, logged
from pertura.annotation.source import Source
from pertura.annotation.view import View, token_columns, view_of
from pertura.core.errors import BadDataError
from pertura.core.expression import BLOCK_CELLS, Subset, dense
from pertura.core.seeds import shuffled
from pertura.genes.identified import identified
from pertura.recipes.annotating.wish import Wish

FEW_CELLS = 10
MOST_UNREAD = 0.2
"""Share of the genes without a token above which that is a warning."""
Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class Overlap:
    """How many genes of the reference the checkpoint knows; `renamed` of them by another name."""

    genes: int
    matched: int
    renamed: int
    unknown: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Reference:
    """Labelled cells, checked. `rows` are their rows in the source; `codes` and `groups` are of these alone."""

    source: Source
    logged: Logged
    labels: Labels
    rows: Rows
    codes: Rows
    groups: Rows | None
    group_names: tuple[str, ...]
    view: View
    genes: tuple[str, ...]
    overlap: Overlap | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return self.labels.classes

    @property
    def divisible(self) -> Divisible:
        """What folds are made of."""
        return Divisible(self.view.ids, self.codes, self.groups)


def reference_of(source: Source, wish: Wish, base: Base | None) -> Reference:
    """Return the labelled cells of a source as strategies read them.

    Refused, with the way out: values that are no expression, fewer than two classes, fewer genes of the checkpoint's
    vocabulary than `wish.min_gene_overlap`.
    """
    labels = read_labels(source.obs, wish.label, exclude=wish.exclude, min_cells=wish.min_cells)
    on_scale = logged(source)
    rows = np.flatnonzero(labels.codes >= 0)
    notes: list[str] = [*source.notes, *on_scale.notes]
    if wish.subset is not None and len(rows) > wish.subset.cells:
        rows = _some_cells(source, labels, rows, wish)
        notes.append(f"{len(rows)} cells were drawn by class, as the profile {wish.profile} says")
    labels, codes = _present(labels, rows)
    genes, columns = source.genes, np.arange(len(source.genes))
    if wish.subset is not None and len(genes) > wish.subset.genes:
        columns = _variable(on_scale, rows, wish.subset.genes)
        genes = tuple(source.genes[column] for column in columns)
        notes.append(f"{len(genes)} most variable genes, chosen before the division, as the profile says")
    expression = Subset(on_scale.expression, rows, None if len(columns) == len(source.genes) else columns)
    names, groups = ((), None) if wish.group is None else groups_of(source.obs, wish.group)
    overlap = None if base is None else _overlap(genes, base, wish.min_gene_overlap)
    view = view_of(expression, genes, source.ids[rows], genes, None if base is None else base.vocab)
    mine = None if groups is None else groups[rows]
    warnings = (*on_scale.warnings, *labels.warnings, *_few(codes, labels, wish), *_grouped(wish, mine, labels, codes),
                *_unread(overlap, base))  # fmt: skip
    return Reference(source, on_scale, labels, rows, codes, mine, names, view, genes, overlap, tuple(notes), warnings)


def _present(labels: Labels, rows: Rows) -> tuple[Labels, Rows]:
    """The classes that the chosen cells have, and the code of each cell among them."""
    there, codes = np.unique(labels.codes[rows], return_inverse=True)
    if len(there) == len(labels.classes):
        return labels, labels.codes[rows]
    whole = np.full(len(labels.codes), -1, dtype=np.int64)
    whole[rows] = codes
    classes = tuple(labels.classes[code] for code in there)
    if len(classes) < 2:
        raise BadDataError("the chosen cells are of one class", place=labels.column, remedy="take more cells")
    return replace(labels, classes=classes, codes=whole), codes.astype(np.int64)


def _some_cells(source: Source, labels: Labels, rows: Rows, wish: Wish) -> Rows:
    """At most so many cells, each class by its share and at least once, chosen by name."""
    most = wish.subset.cells if wish.subset else len(rows)
    codes = labels.codes[rows]
    chosen: list[int] = []
    for code in np.unique(codes):
        mine = rows[codes == code]
        share = max(1, round(most * len(mine) / len(rows)))
        chosen += mine[shuffled(source.ids[mine], wish.seed, "subset of cells")[:share]].tolist()
    every = np.asarray(sorted(chosen), dtype=np.int64)
    if len(every) <= most:
        return every
    return np.sort(every[shuffled(source.ids[every], wish.seed, "subset of classes")[:most]])


def _variable(on_scale: Logged, rows: Rows, most: int) -> Rows:
    total, squares = np.zeros(on_scale.expression.shape[1]), np.zeros(on_scale.expression.shape[1])
    for start in range(0, len(rows), BLOCK_CELLS):
        block = dense(on_scale.expression.rows(rows[start : start + BLOCK_CELLS]))
        total, squares = total + block.sum(axis=0), squares + (block**2).sum(axis=0)
    variance = squares / len(rows) - (total / len(rows)) ** 2
    return np.sort(np.argsort(-variance, kind="stable")[:most])


def _overlap(genes: tuple[str, ...], base: Base, least: int) -> Overlap:
    found = token_columns(genes, base.vocab)
    known = {int(column) for column in found[:, 0]}
    exact = sum(base.vocab.ids.get(genes[column]) == token for column, token in found)
    unknown = tuple(gene for column, gene in enumerate(genes) if column not in known)
    made = Overlap(len(genes), len(found), len(found) - int(exact), unknown)
    if made.matched < least:
        raise BadDataError(
            f"{made.matched:,} of {len(genes):,} genes are in the vocabulary of {base.place} (first unknown: "
            f"{', '.join(unknown[:4]) or 'none'}), fewer than --min-gene-overlap {least:,}{_why(genes)}",
            place="var",
            remedy="name genes by symbol or Ensembl id (--gene-column), or give a checkpoint of this vocabulary, or "
            "allow fewer by --min-gene-overlap, or ask for linear,knn, which need no checkpoint",
        )
    return made


def _why(genes: tuple[str, ...]) -> str:
    return "; they are spelled as mouse genes" if identified(genes).is_mouse else ""


def _few(codes: Rows, labels: Labels, wish: Wish) -> tuple[str, ...]:
    sizes = np.bincount(codes, minlength=len(labels.classes))
    said = []
    if len(codes) < FEW_CELLS * len(labels.classes):
        said.append(f"{len(codes)} cells for {len(labels.classes)} classes: scores will vary widely between folds")
    small = [f"{name} ({size})" for name, size in zip(labels.classes, sizes) if size < wish.folds]
    if small and wish.folds > 1:
        said.append(f"{counted_classes(len(small))} fewer cells than there are folds, so some test without: "
                    f"{', '.join(small[:6])}")  # fmt: skip
    return tuple(said)


def _grouped(wish: Wish, groups: Rows | None, labels: Labels, codes: Rows) -> tuple[str, ...]:
    """What keeping groups on one side costs: fewer folds, and classes that no fold can both learn and test."""
    if groups is None:
        return ()
    said = []
    several = len(np.unique(groups))
    if 1 < several < wish.folds:
        said.append(f"{several} groups make {several} folds, not {wish.folds}")
    alone = [name for code, name in enumerate(labels.classes) if len(np.unique(groups[codes == code])) == 1]
    if alone and several > 1:
        more = f" and {len(alone) - 6} more" if len(alone) > 6 else ""
        said.append(f"{len(alone)} of {len(labels.classes)} classes are in one group of obs[{wish.group!r}] alone: no "
                    f"fold both learns and tests them, so each counts as 0: {', '.join(alone[:6])}{more}")  # fmt: skip
    return tuple(said)


def _unread(overlap: Overlap | None, base: Base | None) -> tuple[str, ...]:
    """What the network does not see or was not told of."""
    if overlap is None or base is None:
        return ()
    said = []
    lost = overlap.genes - overlap.matched
    if lost > MOST_UNREAD * overlap.genes:
        said.append(f"{lost:,} of {overlap.genes:,} genes have no token in {base.place}: its network does not read "
                    f"them (first: {', '.join(overlap.unknown[:4])})")  # fmt: skip
    if not base.checkpoint.args and not base.checkpoint.converted:
        said.append(f"{base.place} has no args.json: {base.checkpoint.config.heads} heads and {base.bins} bins are "
                    "assumed, as the published networks have")  # fmt: skip
    return tuple(said)
