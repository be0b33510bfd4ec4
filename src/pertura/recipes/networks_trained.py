"""What a report says of the networks of a run: how they were trained, and what their seeds are worth."""

from pertura.models.networks import Learnt
from pertura.recipes.repeats import repeats_table
from pertura.recipes.run import Screen
from pertura.report.html import Block, Section, TableBlock
from pertura.report.tables import Column, Row, Table, to_text

NOTE = (
    "Loss: what is minimised (scGPT: errors of expression over the genes of a window, CellFlow: errors of velocities), "
    "in the first epoch and the last. Kept: the epoch whose "
    "weights predict. Every epoch stands in training.jsonl, the clock in training_stats.json."
)


def training_section(screen: Screen) -> Section | None:
    """Return how each network was trained, and its scores over seeds; None where none was."""
    table = training_table(screen)
    if table is None:
        return None
    blocks: list[Block] = [TableBlock(table)]
    if screen.repeats:
        made = screen.comparison
        blocks.append(TableBlock(repeats_table(screen.repeats, made.metric, made.subset)))
    return Section("training", "How networks were trained", tuple(blocks))


def training_text(screen: Screen) -> str:
    """Return the scores over seeds for the terminal; empty where networks were trained once."""
    made = screen.comparison
    return to_text(repeats_table(screen.repeats, made.metric, made.subset)) if screen.repeats else ""


def training_table(screen: Screen) -> Table | None:
    """Return a row for each network: size, cells, loss, and which epoch was kept and why."""
    learnt = {name: one.network for name, one in screen.taught.items() if one.network is not None}
    if not learnt:
        return None
    columns = (
        Column("model"),
        Column("numbers learnt", "count"),
        Column("train cells", "count"),
        Column("cells seen", "count", "repeats counted"),
        Column("first loss", "number"),
        Column("last loss", "number"),
        Column("kept", "text"),
        Column("device", "text"),
    )
    rows = tuple(_row(name, one) for name, one in learnt.items())
    return Table(f"{len(learnt)} trained networks" if len(learnt) > 1 else "The trained network", columns, rows, NOTE)


def _row(name: str, learnt: Learnt) -> Row:
    record = learnt.record
    kept = f"epoch {record.best_epoch + 1} of {len(record.epochs)}"
    if learnt.stop_metric and record.best_score is not None:
        kept += f", {learnt.stop_metric} {record.best_score:.3f} on valid"
    first, last = record.epochs[0].loss, record.epochs[-1].loss
    cells = (name, learnt.parameters, learnt.train_cells, record.cells_seen, first, last, kept, record.device)
    return Row(cells, record.events)
