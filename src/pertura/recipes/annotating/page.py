"""The page of an annotation: the answer, what it rests on, and how it was come to."""

from collections.abc import Sequence

from pertura.recipes.annotating.columns import MEANING
from pertura.recipes.annotating.figures import QUERY, Figures
from pertura.recipes.annotating.querying import Labelled
from pertura.recipes.annotating.running import Compared
from pertura.recipes.annotating.tables import (
    class_table,
    difference_table,
    mistake_table,
    strategy_table,
    unseen_table,
)
from pertura.recipes.annotating.wording import checks, headline, sentences
from pertura.report.html import (
    Block,
    Definitions,
    Details,
    FigureBlock,
    Link,
    Links,
    Page,
    Paragraph,
    Section,
    TableBlock,
)
from pertura.report.tables import Column, Row, Table


def page_of(found: Compared, figures: Figures, labelled: Labelled | None, files: Sequence[str]) -> Page:
    """Return the page as one value; `files` are the names that lie beside it."""
    sections = [_strategies(found), _classes(found, figures), _trust(found, figures), _maps(figures)]
    if labelled is not None:
        sections.append(query_section(labelled, figures))
    sections += [_data(found), _computed(found), Section("files", "Files", (_links(files),))]
    warnings = found.warnings if labelled is None else (*found.warnings, *labelled.query.warnings)
    reference, plan = found.reference, found.comparison.folds
    repeats = len({one.repeat for one in plan})
    chosen = "as asked" if found.wish.label_with else "because it was best on valid cells"
    return Page(
        title=f"pertura: annotation of {reference.source.name}",
        headline=headline(found) + ".",
        lead=f"{len(reference.codes):,} labelled cells, {len(reference.classes)} classes, {len(plan)} divisions into "
        f"train, valid and test ({len(plan) // repeats} folds, {repeats} times). {found.best} labels new cells, "
        f"{chosen}; test cells were only ever asked about.",
        sections=tuple(sections),
        warnings=tuple(dict.fromkeys(warnings)),
        footer=f"Seed {found.wish.seed}; {found.seconds:.0f} s in all.",
    )


def _strategies(found: Compared) -> Section:
    blocks: list[Block] = [TableBlock(strategy_table(found))]
    if len(found.comparison.strategies) > 1:
        blocks += [TableBlock(difference_table(found)), *(Paragraph(one) for one in sentences(found))]
    if found.embedding is not None:
        made = "taken from the cache" if found.embedding.from_cache else f"made in {found.embedding.seconds:.1f} s"
        blocks.append(Paragraph(f"The frozen embedding of all cells was {made}; no row of the table counts it."))
    return Section("strategies", "Is it worth it?", tuple(blocks))


def _classes(found: Compared, figures: Figures) -> Section:
    blocks = (FigureBlock(figures.confusion.figure), TableBlock(mistake_table(found)), TableBlock(class_table(found)))
    return Section("classes", "Class by class", blocks)


def _trust(found: Compared, figures: Figures) -> Section:
    blocks: list[Block] = [FigureBlock(figures.trust.figure)]
    if found.unseen:
        blocks += [
            TableBlock(unseen_table(found)),
            Paragraph(
                "Each class was left out of training and then looked for among the test cells of the others. A type "
                "that has a near neighbour looks sure of itself: distance finds what probability does not."
            ),
        ]
    return Section("trust", "How far to trust a label", tuple(blocks))


def _maps(figures: Figures) -> Section:
    shown = tuple(FigureBlock(one.figure) for name, one in figures.maps.items() if name != QUERY)
    return Section("maps", "Maps of the reference", shown)


def query_section(labelled: Labelled, figures: Figures) -> Section:
    """Return what became of the query."""
    total = len(labelled.columns)
    rows = tuple(Row((name, size, size / max(total, 1))) for name, size in labelled.counts.items())
    columns = (Column("label"), Column("cells", "count"), Column("share", "number", digits=3))
    measured = labelled.query.measured
    facts = Definitions(
        (
            ("query", f"{labelled.query.source.name}, {labelled.query.source.place}: {total:,} cells"),
            ("genes", f"{measured.found:,} of {measured.learnt:,} that were learnt from"),
            ("scale", "; ".join(labelled.query.notes)),
        )
    )
    blocks: list[Block] = [facts, TableBlock(Table("Labels", columns, rows))]
    if QUERY in figures.maps:
        blocks.append(FigureBlock(figures.maps[QUERY].figure))
    blocks.append(Details("The columns written beside each cell", (Definitions(MEANING),)))
    return Section("query", "The query", tuple(blocks))


def _data(found: Compared) -> Section:
    sizes = dict(found.annotator.facts["class_cells"])
    table = Table("Classes", (Column("class"), Column("cells", "count")), tuple(Row(one) for one in sizes.items()))
    notes = tuple(("note", one) for one in found.reference.notes if one not in found.reference.logged.notes)
    blocks = (Definitions((*checks(found), *notes)), Details("Cells of each class", (TableBlock(table),)))
    return Section("data", "What was found in the data", blocks)


def _computed(found: Compared) -> Section:
    rule, tuning = found.wish.rule, found.wish.tuning
    adapters = tuning.adapters
    facts = [
        ("selection", "epochs, temperature, distance threshold and the chosen strategy come from valid cells"),
        ("refit", "strategies that select nothing learn from train and valid cells before test cells are asked about"),
        ("probability", "softmax over one temperature, fitted on valid cells"),
        ("unknown", f"farther than {rule.quantile:.0%} of valid cells, or a probability below {rule.probability:g}"),
        ("linear", "32 components and C = 1; all genes and C = 0.05; everything fitted inside the fold"),
    ]
    if found.base is not None:
        facts += [
            ("head", f"{tuning.head.epochs} epochs at most, learning rate {tuning.head.learning_rate:g}"),
            ("lora", f"rank {adapters.rank}, alpha {adapters.alpha:g}, dropout {adapters.dropout:g}, on "
                     f"{', '.join(adapters.targets)}; {tuning.lora.epochs} epochs, {tuning.lora.learning_rate:g}"),
            ("full", f"{tuning.full.epochs} epochs at most, learning rate {tuning.full.learning_rate:g}"),
            ("batch", f"{tuning.batch} cells, class weights {tuning.weighting}, sampling {tuning.sampling}"),
        ]  # fmt: skip
    return Section("computed", "How it was computed", (Definitions(tuple(facts)),))


def _links(files: Sequence[str]) -> Links:
    return Links(tuple(Link(one, one) for one in files))
