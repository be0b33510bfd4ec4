"""What marks in labels mean: genes perturbed together, the number of a guide, or a part of the gene's name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pertura.core.errors import UsageError
from pertura.data.candidates import Found
from pertura.data.columns import counted
from pertura.data.conventions import Convention, Flags
from pertura.data.known_genes import KnownGenes
from pertura.data.labels import TOGETHER, names_in

UNCLEAR_MARKS = "_|;,&"
"""Marks that join genes in one file, number guides in another, and belong to the gene's name in a third."""
GUIDE = re.compile(r"(?:sg|sgrna|grna|guide|g)?\d+|[A-Za-z]|P\d+(?:P\d+)*(?:-\d+)?", re.IGNORECASE)
"""How guides of one gene are told apart: `1`, `sg2`, `a`, `P1P2`."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What joins genes, what stands before the number of a guide ("" for nothing), and why."""

    separator: str
    guide_separator: str
    said: tuple[str, ...]


def marks_of(found: Found, convention: Convention, known: KnownGenes, flags: Flags) -> Marks:
    """Return what the marks in labels mean; `UsageError` where more than one reading explains them, or none does."""
    separator = TOGETHER if convention.separator in UNCLEAR_MARKS else convention.separator
    guide_separator = convention.guide_separator
    said: list[str] = []
    if flags.separator is not None or flags.guide_separator is not None:
        separator = separator if flags.separator is None else flags.separator
        guide_separator = guide_separator if flags.guide_separator is None else flags.guide_separator
    else:
        separator, guide_separator, said = _by_evidence(found, separator, known)
    counted = _counted(found, convention, separator, guide_separator)
    return Marks(separator, guide_separator, (*said, *counted))


def _by_evidence(found: Found, separator: str, known: KnownGenes) -> tuple[str, str, list[str]]:
    names = list(
        dict.fromkeys(name for label in found.labels for name in names_in(label, found.controls, separator, ""))
    )
    marked = {mark: [name for name in names if mark in name] for mark in UNCLEAR_MARKS}
    marks = [mark for mark, here in marked.items() if any(name not in known.measured for name in here)]
    if not marks:
        return separator, "", []
    if len(marks) > 1:
        raise _several_marks(found, marks, marked)
    mark = marks[0]
    return _meaning(found, mark, marked[mark], separator, known)


def _meaning(
    found: Found, mark: str, names: Sequence[str], separator: str, known: KnownGenes
) -> tuple[str, str, list[str]]:
    """The one reading that explains every marked name. That a name is a gene's own is the least likely of three."""
    guides = [name for name in names if _is_guide(name, mark, known)]
    pairs = [name for name in names if all(part in found.controls or known.has(part) for part in name.split(mark))]
    own = [name for name in names if known.has(name)]
    shown = f"{names[0]} and {len(names) - 1:,} more" if len(names) > 1 else names[0]
    joins = any(separator in label for label in found.labels) and any(
        len(names_in(label, found.controls, separator, "")) > 1 for label in found.labels
    )
    if len(guides) == len(names) and not (pairs or len(own) == len(names)):
        return separator, mark, [f"{shown}: before {mark!r} stands a gene, after it the number of a guide"]
    if len(pairs) == len(names) and not (guides or len(own) == len(names) or joins):
        return mark, "", [f"{shown}: genes stand on both sides of {mark!r}"]
    if len(own) == len(names) and not (pairs or guides):
        return separator, "", [f"{shown}: {mark!r} belongs to the name of the gene"]
    raise _unclear(found, mark, separator, (names, guides, pairs, own))


def _is_guide(name: str, mark: str, known: KnownGenes) -> bool:
    head, _, tail = name.rpartition(mark)
    return known.has(head) and bool(GUIDE.fullmatch(tail))


def _unclear(
    found: Found, mark: str, separator: str, sorts: tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]
) -> UsageError:
    names, guides, pairs, own = sorts
    strange = next((name for name in names if name not in guides and name not in pairs and name not in own), names[0])
    head, _, tail = strange.rpartition(mark)
    counts = f"of {len(names):,} names with {mark!r}, {len(guides):,} are a gene and a guide, {len(pairs):,} are genes"
    return UsageError(
        f"obs[{found.place!r}] holds labels such as {strange}, which can be read in three ways: "
        f"guide {tail} of gene {head} (say --guide-separator {mark!r}), "
        f"the genes {' and '.join(strange.split(mark))} together (say --separator {mark!r}), "
        f"or one gene of that name (say --separator {separator!r}); {counts} on both sides, {len(own):,} are genes as "
        "they stand"
    )


def _several_marks(found: Found, marks: Sequence[str], marked: dict[str, list[str]]) -> UsageError:
    shown = ", ".join(f"{mark!r} as in {marked[mark][0]}" for mark in marks)
    return UsageError(
        f"obs[{found.place!r}] holds labels with several marks ({shown}): say which joins genes with --separator, and "
        "which stands before the number of a guide with --guide-separator"
    )


def _counted(found: Found, convention: Convention, separator: str, guide_separator: str) -> list[str]:
    together = [label for label in found.labels if separator and separator in label]
    placed = [label for label in together if len(names_in(label, found.controls, separator, guide_separator)) < 2]
    pairs = len(together) - len(placed)
    between = f"{counted(pairs, 'label')} with {separator!r} between genes"
    said = [between if pairs else "no label joins genes: singles only"]
    if placed:
        said.append(f"{counted(len(placed), 'label')} with one gene beside the control label, as {placed[0]}")
    elif convention.placeholder:
        said.append(f"no label names one gene beside the control label, which {convention.name} files usually do")
    if guide_separator:
        numbered = [label for label in found.labels if guide_separator in label]
        genes = {one for label in numbered for one in names_in(label, found.controls, separator, guide_separator)}
        cut = f"{counted(len(numbered), 'label')} with a guide after {guide_separator!r}, which is cut off"
        said.append(f"{cut}: {counted(len(genes), 'gene')}")
    return said
