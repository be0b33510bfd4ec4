"""A screen from folders of cellranger: counts, guides and genes of each cell as one AnnData that reads by itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Int

from pertura.core.atomic import replacing
from pertura.core.errors import BadDataError, UsageError
from pertura.core.perturbation import Mode
from pertura.data.imports.assign import Assigned, Fate, assigned
from pertura.data.imports.calls import calls_of_lane, read_calls
from pertura.data.imports.counts import Counts
from pertura.data.imports.guides import GuideReading, Guides, read_guides
from pertura.data.imports.join import Joined, gene_names, joined, lane_names
from pertura.data.imports.summary import LaneSummary, Summary
from pertura.data.imports.tenx import called_guides, read_counts

NOTE = "pertura_import"
MARKS = "_|;,&"
"""What joins genes in one file and numbers guides in another; no gene should be named so without being measured."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a user says about an import beside the folders.

    `assignments`: tables of another tool, one for each folder or one for all, with guides in `assignment_column`.
    `batches` name the folders; `contexts` name the cells' line or type, once for all or once for each folder.
    """

    guides: Path
    reading: GuideReading = field(default_factory=GuideReading)
    mode: Mode | None = None
    assignments: tuple[Path, ...] = ()
    assignment_column: str | None = None
    batches: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Lane:
    """One folder: its counts, and what its cells were assigned."""

    name: str
    counts: Counts
    assigned: Assigned
    calls: Path


@dataclass(frozen=True, eq=False)
class Imported:
    """A screen with integer counts, and the account of how it came about (also in `uns["pertura_import"]`)."""

    adata: anndata.AnnData
    summary: Summary


def import_tenx(folders: Sequence[Path], wish: Wish) -> Imported:
    """Return the cells of one or more folders of cellranger whose perturbation is known.

    obs holds condition (`A`, `A+B`, `control`), guide, n_guides, guide_umis, batch, total_counts, and mode and line
    where they are given; var holds gene_id and symbol. Cells without a usable perturbation are left out and counted.
    """
    _check(folders, wish)
    guides = read_guides(wish.guides, wish.reading)
    names = wish.batches or lane_names(folders)
    lanes = [_lane(i, folders, names, wish, guides) for i in range(len(folders))]
    whole = joined([one.counts for one in lanes])
    guides, lanes = _by_symbol(guides, lanes, whole)
    _refuse_guides_as_genes(guides, whole, wish.guides)
    _refuse_unusable(lanes, guides)
    adata = _screen(lanes, whole, wish)
    summary = _summary(lanes, whole, guides, adata)
    adata.uns[NOTE] = summary.as_json()
    return Imported(adata, summary)


def write_screen(imported: Imported, path: Path, *, force: bool = False) -> None:
    """Write an imported screen whole or not at all; what is there is replaced only with `force`."""
    check_output(path, force=force)
    with replacing(path) as temporary:
        imported.adata.write_h5ad(temporary, compression="gzip")


def check_output(path: Path, *, force: bool) -> None:
    """Raise where a screen may not be written to `path`."""
    if path.suffix != ".h5ad":
        raise UsageError(f"-o {path}: the name of an AnnData file ends in .h5ad")
    if path.is_dir():
        raise UsageError(f"-o {path} is a folder; name a file in it")
    if path.exists() and not force:
        raise UsageError(f"-o {path} is there already; --force replaces it")


def _check(folders: Sequence[Path], wish: Wish) -> None:
    if not folders:
        raise UsageError("name at least one folder")
    twice = [one for one in folders if [other.resolve() for other in folders].count(one.resolve()) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is given twice")
    if bool(wish.assignments) != (wish.assignment_column is not None):
        raise UsageError("--assignments FILE and --assignment-column COLUMN go together")
    for flag, given, few in (
        ("--assignments", len(wish.assignments), (0, 1)),
        ("--batch", len(wish.batches), (0,)),
        ("--context", len(wish.contexts), (0, 1)),
    ):
        if given not in (*few, len(folders)):
            raise UsageError(f"{flag} is given {given} times for {len(folders)} folders: give it once for each")
    if len(set(wish.batches)) < len(wish.batches):
        raise UsageError("two folders have the same --batch; give each a name of its own")


def _lane(i: int, folders: Sequence[Path], names: Sequence[str], wish: Wish, guides: Guides) -> Lane:
    counts = read_counts(folders[i])
    if wish.assignments:
        own = len(wish.assignments) > 1 or len(folders) == 1
        path = wish.assignments[i if own else 0]
        calls = read_calls(path, guides, wish.assignment_column)
        calls = calls if own else calls_of_lane(calls, i, len(folders))
    else:
        calls = read_calls(called_guides(folders[i]), guides)
    return Lane(names[i], counts, assigned(counts.barcodes, calls, guides, wish.reading.pairs), calls.path)


# ---- genes by symbol


def _by_symbol(guides: Guides, lanes: list[Lane], whole: Joined) -> tuple[Guides, list[Lane]]:
    """Name the targets as the matrix names its genes, where the guide table gives gene ids."""
    names = dict(zip(whole.gene_ids, gene_names(whole.gene_ids, whole.symbols)))
    known = set(names.values())
    spelled = {gene: names[gene] for gene in guides.genes if gene in names and gene not in known}
    if not spelled:
        return guides, lanes

    def renamed(label: str) -> str:
        return "+".join(sorted(spelled.get(gene, gene) for gene in label.split("+")))

    targets = {guide: tuple(sorted(spelled.get(g, g) for g in genes)) for guide, genes in guides.targets.items()}
    line = f"{len(spelled):,} targets given by gene id are named by symbol"
    changed = [
        replace(one, assigned=replace(one.assigned, conditions=tuple(map(renamed, one.assigned.conditions))))
        for one in lanes
    ]
    return replace(guides, targets=targets, lines=(*guides.lines, line)), changed


def _refuse_guides_as_genes(guides: Guides, whole: Joined, path: Path) -> None:
    """Refuse a name such as ZAP70_1 in the gene column: later it could be read as a guide, a pair or a gene."""
    measured = set(gene_names(whole.gene_ids, whole.symbols))
    for gene in guides.genes:
        if gene not in measured and any(mark in gene for mark in MARKS):
            raise BadDataError(
                f"the gene column holds {gene!r}, which is no measured gene and looks like a guide or a pair",
                file=path,
                remedy="write the gene alone there, or choose another column with --gene-column",
            )


def _refuse_unusable(lanes: Sequence[Lane], guides: Guides) -> None:
    """Refuse a screen in which no effect can be seen, for want of control cells or of perturbed ones."""
    fates = Counter[Fate]()
    for one in lanes:
        fates.update(one.assigned.fates)
    if not fates[Fate.CONTROL]:
        raise BadDataError(
            f"no cell carries a control guide alone ({', '.join(guides.controls[:5])}): no effect can be known",
            file=lanes[0].calls,
            remedy="check the guide table, or name the control guides with --control",
        )
    if not fates[Fate.SINGLE] + fates[Fate.PAIR]:
        several = fates[Fate.MULTIPLET]
        raise BadDataError(
            f"no cell is perturbed as designed: {several:,} carry guides of several genes, "
            f"{fates[Fate.UNKNOWN]:,} a guide that {guides.path.name} does not list",
            file=lanes[0].calls,
            remedy="if the screen is made of pairs, say --pairs" if several else "give the guide table of this library",
        )


# ---- the screen


def _screen(lanes: Sequence[Lane], whole: Joined, wish: Wish) -> anndata.AnnData:
    starts = np.cumsum([0, *(len(one.counts.barcodes) for one in lanes)])
    rows = np.concatenate([one.assigned.rows + start for one, start in zip(lanes, starts)])
    obs = pd.concat([_obs(one, i, len(lanes), wish) for i, one in enumerate(lanes)])
    for column in ("condition", "guide", "batch", "cell_line", "perturbation_mode"):
        if column in obs:
            obs[column] = pd.Categorical(obs[column])
    var = pd.DataFrame(
        {"gene_id": list(whole.gene_ids), "gene_symbol": list(whole.symbols)},
        index=list(gene_names(whole.gene_ids, whole.symbols)),
    )
    return anndata.AnnData(whole.matrix[rows], obs=obs, var=var)


def _obs(lane: Lane, i: int, lanes: int, wish: Wish) -> pd.DataFrame:
    kept = lane.assigned
    barcodes = [lane.counts.barcodes[row] for row in kept.rows]
    content: dict[str, object] = {
        "condition": list(kept.conditions),
        "guide": ["|".join(names) for names in kept.guides],
        "n_guides": np.asarray([len(names) for names in kept.guides], dtype=np.int64),
        "total_counts": _totals(lane.counts)[kept.rows],
        "batch": _batches(lane, barcodes, lanes),
    }
    if any(kept.umis):
        content["guide_umis"] = list(kept.umis)
    if wish.contexts:
        content["cell_line"] = wish.contexts[i if len(wish.contexts) > 1 else 0]
    if wish.mode is not None:
        content["perturbation_mode"] = str(wish.mode)
    index = barcodes if lanes == 1 else [f"{lane.name}_{barcode}" for barcode in barcodes]
    return pd.DataFrame(content, index=index)


def _totals(counts: Counts) -> Int[np.ndarray, " cells"]:
    """Counts of each cell over all genes of its library, before a join takes some away."""
    return np.asarray(counts.matrix.sum(axis=1, dtype=np.int64)).reshape(-1)


def _batches(lane: Lane, barcodes: Sequence[str], lanes: int) -> list[str]:
    """The folder, with the number after the barcode where a folder holds several lanes; the number alone for one."""
    numbers = suffixes(lane.counts.barcodes)
    if len(numbers) < 2:
        return [lane.name] * len(barcodes)
    ends = [_suffix(barcode) for barcode in barcodes]
    return ends if lanes == 1 else [f"{lane.name}-{end}" for end in ends]


def suffixes(barcodes: Sequence[str]) -> Mapping[str, int]:
    """Return the lane numbers after the barcodes, with their cells; "" stands for none."""
    return dict(sorted(Counter(_suffix(barcode) for barcode in barcodes).items()))


def _suffix(barcode: str) -> str:
    _, mark, tail = barcode.rpartition("-")
    return tail if mark and tail.isdigit() else ""


def _summary(lanes: Sequence[Lane], whole: Joined, guides: Guides, adata: anndata.AnnData) -> Summary:
    seen = {name for one in lanes for names in one.assigned.guides for name in names}
    measured = set(adata.var_names)
    return Summary(
        cells=adata.n_obs,
        genes=adata.n_vars,
        conditions={str(name): int(size) for name, size in adata.obs["condition"].value_counts().sort_index().items()},
        lanes=tuple(_lane_summary(one, whole, i) for i, one in enumerate(lanes)),
        guides=len(guides.targets),
        guides_seen=len(seen),
        guides_never=tuple(sorted(set(guides.targets) - seen)),
        targets=len(guides.genes),
        outside=tuple(sorted(set(guides.genes) - measured)),
        renamed=whole.renamed,
        table=guides.lines,
    )


def _lane_summary(lane: Lane, whole: Joined, i: int) -> LaneSummary:
    found = lane.assigned
    return LaneSummary(
        name=lane.name,
        matrix=lane.counts.path.name,
        calls=lane.calls.name,
        cells=len(lane.counts.barcodes),
        genes=len(lane.counts.gene_ids),
        others=dict(lane.counts.others),
        suffixes=suffixes(lane.counts.barcodes),
        fates={str(fate): found.fates.get(fate, 0) for fate in Fate},
        numbers={str(number): size for number, size in sorted(found.numbers.items())},
        same_gene=found.same_gene,
        strangers=dict(sorted(found.strangers.items(), key=lambda item: (-item[1], item[0]))),
        not_measured=found.not_measured,
        matched=found.matched,
        lost={gene: symbol for gene, symbol in zip(lane.counts.gene_ids, lane.counts.symbols) if gene in whole.lost[i]},
        lost_share=whole.lost_share[i],
    )
