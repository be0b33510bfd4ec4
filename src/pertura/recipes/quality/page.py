"""The page of a screen's quality."""

from pathlib import Path

from pertura.core.atomic import write_text
from pertura.recipes.quality.quality import Quality
from pertura.recipes.quality.tables import DEFINITIONS, short_table, summary
from pertura.report.html import Block, Definitions, Page, Paragraph, Section, TableBlock, render


def write_page(found: Quality, path: Path) -> None:
    """Write one self-contained HTML file."""
    write_text(path, render(_page(found)))


def _page(found: Quality) -> Page:
    lines = summary(found)
    cells = found.cells
    sections = [
        Section("summary", "Summary", tuple(Paragraph(line.strip()) for line in lines)),
        Section(
            "conditions", "Conditions", (TableBlock(short_table(found.conditions, cells.contexts, "Every condition")),)
        ),
    ]
    if found.guides:
        guides: tuple[Block, ...] = (
            TableBlock(short_table(found.guides, cells.contexts, "Every guide of these conditions")),
        )
        sections.append(Section("guides", "Guides", guides))
    sections.append(Section("definitions", "What the columns mean", (Definitions(DEFINITIONS),)))
    return Page(
        title=f"pertura: quality of {cells.name}",
        headline=lines[0] + ".",
        lead=f"{cells.name}: {len(cells):,} cells, {len(cells.genes):,} genes. All cells are described, those that a "
        "split would hold out among them.",
        sections=tuple(sections),
        warnings=found.warnings,
        footer=f"{found.looking.permutations} permutations, seed {found.looking.seed}.",
    )
