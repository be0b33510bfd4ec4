"""Kinds of figures by name, and the files that each becomes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pertura.core.atomic import write_bytes, write_text
from pertura.core.errors import UsageError
from pertura.core.perturbation import spelled
from pertura.recipes.figure_files import Drawable, Drawn, Wanted, open_drawable
from pertura.recipes.figure_files_cells import delta_figure, top_genes_figure
from pertura.recipes.figure_files_compatible import read_compatible
from pertura.recipes.figure_files_scores import compare_figure, strata_figure
from pertura.report.publication import FORMATS
from pertura.report.tables import Column, Row, Table, to_csv, to_text

FIGURES: dict[str, Callable[[Drawable, Wanted], Drawn]] = {
    "top20": top_genes_figure,
    "delta": delta_figure,
    "compare": compare_figure,
    "strata": strata_figure,
}


@dataclass(frozen=True)
class Written:
    """The files of a figure, its size in words, and what a reader must be told of what is on it."""

    figure: Path
    source: Path
    size: str
    notes: tuple[str, ...]


def write_figure(kind: str, place: Path, wanted: Wanted, output: Path | None = None) -> Written:
    """Return what was written: the figure and, beside it, its numbers as CSV; each file whole or not at all.

    `output` ends in .pdf, .svg or .png; without it the figure is `KIND.pdf` in the working folder.
    """
    figure = output or Path(f"{kind}.pdf")
    form = figure.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UsageError(f"-o {figure}: a figure ends in {', '.join('.' + one for one in FORMATS)}")
    if figure.is_dir():
        raise UsageError(f"-o {figure}: this is a folder; name a file")
    drawn = FIGURES[kind](open_drawable(place), wanted)
    source = figure.with_suffix(".csv")
    write_bytes(figure, drawn.sheet.rendered(form))
    write_text(source, to_csv(drawn.sheet.source))
    size = f"{drawn.sheet.width_mm:g} x {drawn.sheet.height_mm:.0f} mm"
    return Written(figure, source, size, drawn.notes)


def listed(place: Path) -> str:
    """Return in words which models, conditions, metrics and strata of a place can be drawn."""
    found = open_drawable(place)
    if found.compatible:
        scores = read_compatible(place)
        return f"{place}\n\nmodels: {', '.join(scores.models)}\n\nmetrics: {', '.join(scores.metrics)}"
    parts = [f"{place}\n"]
    names = [*dict.fromkeys([*found.predictions, *found.scored])]
    rows = [Row((one, "yes" if one in found.predictions else "no", "yes" if one in found.scored else "no"))
            for one in names]  # fmt: skip
    parts.append(
        to_text(Table("models", (Column("model"), Column("top20, delta"), Column("compare, strata")), tuple(rows)))
    )
    parts.append(to_text(_conditions(found)))
    if found.scored:
        first = found.scores[0]
        parts.append(f"metrics: {', '.join(first.metrics)}\n")
        strata = ", ".join(f"{one} ({len(members)})" for one, members in sorted(first.strata.items()))
        parts.append(f"strata: {strata or 'none'}\n")
    inner = sorted(one.parent.name for one in place.glob("*/models") if one.is_dir())
    if inner:
        parts.append(f"further screens: {', '.join(str(place / one) for one in inner)}\n")
    return "\n".join(parts).rstrip("\n")


def _conditions(found: Drawable) -> Table:
    """The conditions, most cells first."""
    if found.predictions:
        file = found.opened(next(iter(found.predictions)))
        sizes = {one: len(file.cells.rows_of(one)) for one in file.prediction.conditions}
        names = spelled(sizes, file.cells.contexts)
    else:
        scores = found.scores[0]
        sizes = dict(zip(scores.conditions, scores.counts, strict=True))
        names = spelled(sizes, {one.context for one in sizes})
    order = sorted(sizes, key=lambda one: (-sizes[one], one))
    rows = tuple(Row((names[one], sizes[one])) for one in order)
    return Table("conditions", (Column("condition"), Column("cells", "count")), rows)
