"""Which gene a guide is directed at: the table of a guide library, with its many ways to write "at none"."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pertura.core.errors import BadDataError, UsageError
from pertura.data.imports.tables import Table, column_named, read_table

GUIDE_COLUMNS = (
    "guide_id", "guide", "guide_name", "protospacer_id", "protospacer", "sgrna_id", "sgrna", "sgrna_name", "grna_id",
    "grna", "feature_id", "feature_call", "feature", "id", "name",
)  # fmt: skip
GENE_COLUMNS = (
    "target_gene_name", "target_gene", "target_gene_symbol", "gene_name", "gene_symbol", "symbol", "gene", "target",
    "target_name", "target_gene_id", "gene_id",
)  # fmt: skip
NON_TARGETING = frozenset(
    (
        *("nontargeting", "nontarget", "nontargeted", "nontargetingcontrol", "nontargetingctrl", "notarget", "nt"),
        *("ntc", "ntctrl", "ntcontrol", "neg", "negctrl", "negcontrol", "negativecontrol", "negativectrl"),
        *("control", "ctrl", "scramble", "scrambled", "scramblecontrol"),
    )
)
"""Spellings of "directed at no gene", in small letters, without marks and without the number at the end."""
UNCLEAR = frozenset(
    (
        *("safe", "safetargeting", "safetarget", "safeharbor", "safeharbour", "aavs", "rosa", "hipp", "intergenic"),
        *("gfp", "egfp", "bfp", "rfp", "mcherry", "lacz", "luciferase", "luc", "renilla", "positivecontrol"),
    )
)
"""Guides that cut where no harm is done, or in a reporter: control in one screen, a condition in another."""
IGNORED = "ignore"
"""What a feature reference writes in place of a gene for guides that no analysis should take."""
SYMBOLS_LIKE_CONTROL = frozenset({"CTRL"})
"""Approved symbols of genes that are also spellings of control."""
ALSO = "name"


@dataclass(frozen=True, eq=False)
class Guides:
    """Guide -> the genes it is directed at; none for a control guide. `left_out` are guides that are not to count.

    `other_names` leads from a second name of a guide to the first. `lines` say how the table was read.
    """

    path: Path
    targets: Mapping[str, tuple[str, ...]]
    left_out: frozenset[str]
    other_names: Mapping[str, str]
    lines: tuple[str, ...]

    def known(self, name: str) -> str | None:
        """Return the guide that a name stands for; None where there is none."""
        return name if name in self.targets or name in self.left_out else self.other_names.get(name)

    @property
    def controls(self) -> tuple[str, ...]:
        """The guides that are directed at no gene."""
        return tuple(guide for guide, genes in self.targets.items() if not genes)

    @property
    def genes(self) -> tuple[str, ...]:
        """All genes that some guide is directed at, sorted."""
        return tuple(sorted({gene for genes in self.targets.values() for gene in genes}))


@dataclass(frozen=True, kw_only=True)
class GuideReading:
    """How a user says a guide table is to be read; nothing given is recognised, or asked for where it is unclear.

    `controls`: spellings in the gene column of guides directed at no gene. `left_out`: those whose cells to leave out.
    `pairs`: one guide, or the two of a cell, may be directed at two genes.
    """

    controls: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    guide_column: str | None = None
    gene_column: str | None = None
    pairs: bool = False


def read_guides(path: Path, reading: GuideReading) -> Guides:
    """Return the guides of a CSV or TSV table.

    A guide without a gene, or twice with two genes, raises `BadDataError` with its line; a spelling that may mean
    control, or no control at all, raises `UsageError` naming --control.
    """
    table = read_table(path)
    guide_column = column_named(table, reading.guide_column, GUIDE_COLUMNS, "the guide", "--guide-column")
    gene_column = column_named(table, reading.gene_column, GENE_COLUMNS, "its gene", "--gene-column")
    if guide_column == gene_column:
        raise UsageError(f"{path}: guide and gene cannot both be column {guide_column!r}; give --guide-column")
    pairs = _pairs(table, guide_column, gene_column)
    spellings = Counter(pairs.values())
    controls = _controls(path, spellings, reading)
    ignored = {one for one in spellings if one in reading.left_out or one.lower() == IGNORED}
    targets = {
        guide: _genes(gene, controls, path, reading.pairs) for guide, gene in pairs.items() if gene not in ignored
    }
    lines = (
        f"guides by column {guide_column!r}, genes by column {gene_column!r}",
        *_spelled("directed at no gene", controls, spellings),
        *_spelled("left out", ignored, spellings),
        *_spelled("read as targets, as --control does not name them", _unclear(spellings) - controls - ignored, {}),
    )
    left_out = frozenset(guide for guide, gene in pairs.items() if gene in ignored)
    return Guides(path, targets, left_out, _other_names(table, guide_column), lines)


def _pairs(table: Table, guide_column: str, gene_column: str) -> dict[str, str]:
    """Guide -> gene as it is written; a control by the guide's own name where the gene is left empty."""
    found: dict[str, str] = {}
    for row, (guide, gene) in enumerate(zip(table.values(guide_column), table.values(gene_column))):
        if not guide:
            raise BadDataError("has no guide", file=table.path, place=table.place(row))
        if not gene and is_non_targeting(guide):
            gene = "non-targeting"
        if not gene:
            remedy = "name its gene, or write non-targeting"
            raise BadDataError(f"guide {guide!r} has no gene", file=table.path, place=table.place(row), remedy=remedy)
        if found.setdefault(guide, gene) != gene:
            problem = f"guide {guide!r} is directed at {gene!r} here and at {found[guide]!r} above"
            raise BadDataError(problem, file=table.path, place=table.place(row), remedy="give each guide one line")
    if not found:
        raise BadDataError("lists no guide", file=table.path)
    return found


def is_non_targeting(label: str) -> bool:
    """Return whether a label can only mean "directed at no gene", as `Non-Targeting_012`, `NTC` or `negCtrl3`."""
    return label not in SYMBOLS_LIKE_CONTROL and _bare(label) in NON_TARGETING


def _bare(label: str) -> str:
    return re.sub(r"[^a-z0-9]", "", label.lower()).rstrip("0123456789")


def _unclear(labels: Iterable[str]) -> frozenset[str]:
    return frozenset(one for one in labels if one in SYMBOLS_LIKE_CONTROL or _bare(one) in UNCLEAR)


def _controls(path: Path, spellings: Mapping[str, int], reading: GuideReading) -> frozenset[str]:
    absent = [one for one in (*reading.controls, *reading.left_out) if one not in spellings]
    if absent:
        raise UsageError(f"{path}: no guide is directed at {absent[0]!r}; did you mean one of {_some(spellings)}?")
    clear = frozenset(one for one in spellings if is_non_targeting(one)) - set(reading.left_out)
    if reading.controls:
        missed = sorted(clear - set(reading.controls))
        if missed:
            raise UsageError(
                f"{path}: {missed[0]!r} is no gene and --control does not name it; give --control {missed[0]!r} too, "
                f"or --leave-out {missed[0]!r}"
            )
        return frozenset(reading.controls)
    unclear = sorted(_unclear(spellings) - set(reading.left_out))
    if unclear:
        listed = ", ".join(f"{one!r} ({_guides(spellings[one])})" for one in unclear)
        certain = f" (certain are {_some(clear)})" if clear else ""
        raise UsageError(
            f"{path}: {listed} may be control or a condition of its own; name each spelling of control with "
            f"--control{certain}; what it does not name is read as a target"
        )
    if not clear:
        raise UsageError(
            f"{path}: no guide is recognised as directed at no gene, and without control cells no effect is known; "
            f"say how they are written with --control (genes are {_some(spellings)})"
        )
    return clear


def _genes(label: str, controls: frozenset[str], path: Path, pairs: bool) -> tuple[str, ...]:
    """The genes of a label; two joined by + only where pairs are declared."""
    if label in controls:
        return ()
    parts = [part.strip() for part in label.split("+")]
    if len(parts) > 1 and not pairs:
        raise UsageError(
            f"{path}: {label!r} names {len(parts)} genes for one guide; if guides come in pairs say --pairs"
        )
    genes = [part for part in parts if part not in controls and not is_non_targeting(part)]
    if len(genes) > 2 or any(not gene or "@" in gene for gene in genes):
        raise BadDataError(f"{label!r} is not the name of one gene or two", file=path)
    return tuple(sorted(set(genes)))


def _other_names(table: Table, guide_column: str) -> dict[str, str]:
    """The second name that a feature reference gives each guide, where it is unequivocal."""
    if ALSO not in table.columns or guide_column == ALSO:
        return {}
    names, guides = table.values(ALSO), table.values(guide_column)
    times = Counter(names)
    return {name: guide for name, guide in zip(names, guides) if name and times[name] == 1}


def _spelled(what: str, labels: Iterable[str], spellings: Mapping[str, int]) -> tuple[str, ...]:
    listed = [f"{one} ({_guides(spellings[one])})" if one in spellings else one for one in sorted(labels)]
    return (f"{what}: {_some(listed)}",) if listed else ()


def _guides(count: int) -> str:
    return f"{count:,} guide" + "s" * (count != 1)


def _some(names: Iterable[str], most: int = 8) -> str:
    listed: Sequence[str] = sorted(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
