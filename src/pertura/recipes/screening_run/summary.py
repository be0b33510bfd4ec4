"""The first candidates of a ranking as a short table."""

from pertura.recipes.screening_run.ranking import MEANINGS, Ranking
from pertura.report.tables import Column, Interval, Kind, Row, Table

COLUMNS = (
    "rank",
    "perturbation",
    "score",
    "told from noise",
    "seen",
    "measured score",
    "nearest observed",
    "its score",
)


def first_table(ranking: Ranking, count: int) -> Table:
    """Return the first candidates for a terminal."""
    goal = ranking.setting.goal
    names = COLUMNS + (("interaction",) if ranking.setting.asked.kind == "pairs" else ())
    kinds: dict[str, Kind] = {"rank": "count", "score": "interval", "measured score": "number", "its score": "number"}
    columns = tuple(Column(name, kinds.get(name, "text"), MEANINGS[name], digits=2) for name in names)
    rows = []
    for record in ranking.table.head(min(count, len(ranking.order))).to_dict("records"):
        record["score"] = Interval(record["score"], record["low"], record["high"])
        rows.append(Row(tuple(record[name] for name in names)))
    caption = f"The first {len(rows)} of {len(ranking.order):,} candidates: {goal.name}, {goal.direction}"
    return Table(caption, columns, tuple(rows))
