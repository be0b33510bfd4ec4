"""The files of a ranking: tables as CSV and parquet, and the report."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pertura.core.atomic import replacing, write_text
from pertura.recipes.screening_run.page import FIRST, bars_of, render_ranking
from pertura.recipes.screening_run.ranking import Ranking
from pertura.recipes.screening_run.trust import Trust

if TYPE_CHECKING:
    import pandas

RANKING, PARQUET, BACKTEST, GENES, HELD_OUT, REPORT = (
    "ranking.csv",
    "ranking.parquet",
    "backtest.csv",
    "genes.csv",
    "held_out.csv",
    "report.html",
)


def write_ranking(ranking: Ranking, folder: Path) -> None:
    """Write `ranking.csv`, the same as parquet, `genes.csv`, `backtest.csv`, `held_out.csv` and `report.html`."""
    table = ranking.table
    write_text(folder / RANKING, table.to_csv(index=False))
    with replacing(folder / PARQUET) as temporary:
        table.to_parquet(temporary, index=False)
    write_text(folder / GENES, _genes(ranking).to_csv(index=False))
    write_text(folder / BACKTEST, backtest_table(ranking.trust).to_csv(index=False))
    write_text(folder / HELD_OUT, _held_out(ranking.trust).to_csv(index=False))
    write_text(folder / REPORT, render_ranking(ranking))


def backtest_table(trust: Trust) -> "pandas.DataFrame":
    """Return the back-test as a table: a row for each model, kind of condition and share."""
    import pandas

    rows = []
    for one in trust.verdicts:
        for at in one.at:
            row: dict[str, object] = {
                "kind": one.kind,
                "model": one.model,
                "conditions": one.conditions,
                "share": at.share,
                "places": at.places,
            }
            measured = {
                "recall": at.recall,
                "enrichment": at.enrichment,
                "recall over nearest observed": at.over_nearest,
                "regret": at.regret,
                "spearman": one.spearman,
            }
            for name, value in measured.items():
                row |= {name: value.value, f"{name} low": value.low, f"{name} high": value.high}
            rows.append(row)
    return pandas.DataFrame(rows)


def _genes(ranking: Ranking) -> "pandas.DataFrame":
    import pandas

    measured = {one.perturbation.label for one in ranking.measured}
    rows = [
        {
            "perturbation": one.name,
            "gene": gene,
            "part of score": part,
            "from": "measured" if one.name in measured else "predicted",
        }
        for one in bars_of(ranking, FIRST, most=10_000)
        for gene, part in zip(one.genes, one.parts)
    ]
    return pandas.DataFrame(rows, columns=["perturbation", "gene", "part of score", "from"])


def _held_out(trust: Trust) -> "pandas.DataFrame":
    """Each hidden condition: measured, predicted without it, and its interval."""
    import pandas

    held, found = trust.held_out, trust.calibrations
    if held is None or found is None:
        return pandas.DataFrame(columns=["condition", "kind", "measured", "error", "predicted", "low", "high"])
    low, high = found.intervals(held.scores, held.spread, held.kinds)
    row = {one: i for i, one in enumerate(trust.observed.conditions)}
    at = np.asarray([row[one] for one in held.conditions], dtype=np.int64)
    return pandas.DataFrame(
        {
            "condition": [one.label for one in held.conditions],
            "kind": list(held.kinds),
            "measured": trust.observed.scores[at],
            "error": trust.observed.errors[at],
            "predicted": held.scores,
            "low": low,
            "high": high,
        }
    )
