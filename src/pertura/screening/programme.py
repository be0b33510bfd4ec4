"""A gene programme: genes with weights, from words, from a list, or from a published table."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.genes.identifiers import human_identifiers

LARGEST_BYTES = 1 << 25
MOST_NAMED = 12
GENE_COLUMNS = ("gene", "genes", "symbol", "gene_symbol", "gene_name", "names", "feature")
WEIGHT_COLUMNS = (
    "weight",
    "log2foldchange",
    "log2_fold_change",
    "avg_log2fc",
    "logfoldchanges",
    "logfc",
    "log2fc",
    "lfc",
    "score",
    "scores",
    "stat",
    "t",
)
P_COLUMNS = ("padj", "p_val_adj", "pvals_adj", "adj.p.val", "adj_p_val", "fdr", "qvalue", "q")
SIGNIFICANT = 0.05
_SPELLED = re.compile(r"([+-]?)([^\s:=,;]+)(?:[:=\s]\s*([-+.\deE]+))?")


@dataclass(frozen=True)
class Programme:
    """Genes with a weight each; a negative weight means that the gene should move the other way.

    `notes` say what was left out in reading it.
    """

    name: str
    weights: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [gene for gene, weight in self.weights.items() if not math.isfinite(weight) or weight == 0]
        if wrong:
            raise UsageError(f"programme {self.name}: the weight of {wrong[0]} is {self.weights[wrong[0]]}")
        if not self.weights:
            raise UsageError(f"{self.called} names no gene; give genes such as HBZ,HBG2,-SPI1 or a file")

    @property
    def called(self) -> str:
        """The programme in words."""
        return f"programme {self.name}" if self.name else "the programme"


@dataclass(frozen=True, eq=False)
class Placed:
    """A programme on a panel: a weight for each gene of the panel, and what became of the names.

    `renamed`: genes that the panel calls otherwise, and how.
    """

    weights: Float[np.ndarray, " genes"]
    found: tuple[str, ...]
    missing: tuple[str, ...]
    renamed: Mapping[str, str]

    @property
    def told(self) -> str:
        """What was found, in words."""
        total = len(self.found) + len(self.missing)
        text = f"{len(self.found)} of {total} genes of the programme are in the panel"
        if self.renamed:
            text += f"; under another name: {', '.join(f'{a} as {b}' for a, b in sorted(self.renamed.items()))}"
        if self.missing:
            listed = ", ".join(self.missing[:12]) + (" and more" if len(self.missing) > 12 else "")
            text += f"; not in it: {listed}"
        return text


def programme_of(text: str, name: str = "") -> Programme:
    """Return the programme that words or a file spell.

    A path that exists is read as a file; anything else is a list such as `HBZ, HBG2:2, -SPI1`.
    """
    path = Path(text) if text.strip() and len(text) < 4096 and "\n" not in text and "\0" not in text else None
    if path is not None and path.is_file():
        return read_programme(path, name)
    if path is not None and (path.is_dir() or path.suffix in (".txt", ".csv", ".tsv") or "/" in text):
        raise MissingError(f"no file {text}; a programme is a file, or genes such as HBZ,HBG2,-SPI1")
    entries = [one for one in re.split(r"[,;\n]", text) if one.strip()]
    return Programme(name or _named(entries), _spelled(entries, "the programme"))


def read_programme(path: Path, name: str = "") -> Programme:
    """Return the programme in a file: one gene a line (`-GENE`, `GENE 2.5`), or a table with a header.

    A table needs a column of genes and one of weights (a log fold change, a score); where it has adjusted p-values
    only rows below 0.05 count, and the others are told in the notes. `BadDataError` names the line that is wrong.
    """
    if path.stat().st_size > LARGEST_BYTES:
        raise BadDataError("too large for a gene programme", file=path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataError("not a text file", file=path, remedy="one gene a line, or a CSV or TSV table") from error
    lines = [one for one in text.splitlines() if one.strip() and not one.lstrip().startswith("#")]
    header = _cells_of(lines[0]) if lines else []
    name = name or path.stem
    if sum(one.lower() in (*GENE_COLUMNS, *WEIGHT_COLUMNS, *P_COLUMNS) for one in header) >= 2:
        return _from_table(lines, path, name)
    if len(header) == 1 and header[0].lower() in GENE_COLUMNS:
        lines = lines[1:]
    return Programme(name, _spelled([one.replace(",", " ").replace("\t", " ") for one in lines], str(path)))


def placed(programme: Programme, panel: Sequence[str]) -> Placed:
    """Return the programme on a panel; `UsageError` where no gene of it is measured.

    A name that the panel does not have is also looked for under its approved symbol.
    """
    place = {gene: column for column, gene in enumerate(panel)}
    weights, found, missing, renamed = np.zeros(len(place)), [], [], {}
    for gene, weight in programme.weights.items():
        name = gene if gene in place else human_identifiers().approved(gene).symbol or gene
        if name not in place:
            missing.append(gene)
            continue
        if weights[place[name]]:
            raise UsageError(f"programme {programme.name}: {gene} and another of its genes are both {name}")
        weights[place[name]] = weight
        found.append(name)
        if name != gene:
            renamed[gene] = name
    if not found:
        raise _unmeasured(programme, panel)
    return Placed(weights, tuple(found), tuple(missing), renamed)


def _unmeasured(programme: Programme, panel: Sequence[str]) -> UsageError:
    genes = sorted(programme.weights)
    named = []
    for gene in genes[:MOST_NAMED]:
        close = get_close_matches(gene, panel, n=1, cutoff=0.75)
        named.append(f"{gene} (did you mean {close[0]}?)" if close else gene)
    more = f" and {len(genes) - MOST_NAMED} more" if len(genes) > MOST_NAMED else ""
    return UsageError(
        f"{programme.called}: none of its genes is among the {len(panel)} that the models predict: "
        f"{', '.join(named)}{more}"
    )


def _named(entries: Sequence[str]) -> str:
    genes = [one.strip() for one in entries]
    return ",".join(genes[:3]) + (f" and {len(genes) - 3} more" if len(genes) > 3 else "")


def _spelled(entries: Sequence[str], where: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for entry in entries:
        match = _SPELLED.fullmatch(entry.strip())
        if match is None:
            raise UsageError(f"{where}: {entry.strip()!r} is no gene; write GENE, -GENE or GENE:weight")
        sign, gene, size = match.groups()
        weight = _number(size, where, entry) * (-1.0 if sign == "-" else 1.0)
        if gene in weights:
            raise UsageError(f"{where}: {gene} stands there twice")
        weights[gene] = weight
    return weights


def _number(text: str | None, where: str, entry: str) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        raise UsageError(f"{where}: {entry.strip()!r} has a weight that is no number") from None


def _cells_of(line: str) -> list[str]:
    separator = "\t" if "\t" in line else ","
    return [one.strip() for one in next(csv.reader([line], delimiter=separator), [])]


def _from_table(lines: Sequence[str], path: Path, name: str) -> Programme:
    header = [one.lower() for one in _cells_of(lines[0])]
    gene, weight, p = (
        next((header.index(one) for one in names if one in header), -1)
        for names in (GENE_COLUMNS, WEIGHT_COLUMNS, P_COLUMNS)
    )
    if gene < 0 or weight < 0:
        raise BadDataError(
            f"a table needs a column of genes ({', '.join(GENE_COLUMNS[:4])}) and one of weights "
            f"({', '.join(WEIGHT_COLUMNS[:5])}); this one has {', '.join(header)}",
            file=path,
        )
    weights: dict[str, float] = {}
    dull = 0
    for number, line in enumerate(lines[1:], start=2):
        row = _cells_of(line)
        try:
            size, chance = float(row[weight]), float(row[p]) if p >= 0 else 0.0
        except (ValueError, IndexError):
            raise BadDataError(f"no number in {line[:60]!r}", file=path, place=f"line {number}") from None
        if not chance < SIGNIFICANT or size == 0 or not math.isfinite(size):
            dull += 1
            continue
        if row[gene] in weights:
            raise BadDataError(f"{row[gene]} stands there twice", file=path, place=f"line {number}")
        weights[row[gene]] = size
    told = f"{name}: {dull} rows without a finite change at adjusted p < {SIGNIFICANT:g} were left out"
    return Programme(name, weights, (told,) if dull else ())
