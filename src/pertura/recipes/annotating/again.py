"""What is written where a query is labelled by an annotator that was fitted before."""

from pathlib import Path

from pertura.annotation.annotator import Annotator
from pertura.core.atomic import write_bytes, write_text
from pertura.recipes.annotating.copied import annotated_name
from pertura.recipes.annotating.figures import QUERY, Figures, query_map
from pertura.recipes.annotating.files import write_predictions
from pertura.recipes.annotating.page import query_section
from pertura.recipes.annotating.querying import Labelled
from pertura.recipes.annotating.wish import Wish
from pertura.report.html import Definitions, Link, Links, Page, Section, render


def write_again(labelled: Labelled, annotator: Annotator, wish: Wish, out: Path) -> None:
    """Write labels, map and page of a query."""
    write_predictions(labelled, out)
    picture = query_map(labelled, annotator.classes, wish)
    write_bytes(out / QUERY, picture.png)
    figures = Figures(picture, picture, {QUERY: picture})
    facts = annotator.facts
    about = Definitions(
        (
            ("strategy", annotator.strategy.name),
            ("learnt from", f"{facts.get('cells', 0):,} cells of {facts.get('data', '')}, {facts.get('label', '')}"),
            ("made", str(facts.get("made", ""))),
        )
    )
    files = Links(
        tuple(Link(one, one) for one in (annotated_name(labelled.query.source.origin), "predictions.csv", QUERY))
    )
    counts = labelled.counts
    unknown = counts.get("unknown", 0)
    page = Page(
        title=f"pertura: labels of {labelled.query.source.name}",
        headline=f"{len(labelled.columns):,} cells labelled, {unknown:,} of them unknown.",
        lead=f"By an annotator that {annotator.strategy.name} made of {facts.get('data', 'a reference')}.",
        sections=(
            query_section(labelled, figures),
            Section("annotator", "The annotator", (about,)),
            Section("files", "Files", (files,)),
        ),
        warnings=labelled.query.warnings,
    )
    write_text(out / "report.html", render(page))
