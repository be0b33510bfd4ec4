"""The page of a ranking: would it have worked, then the ranking, then what stands behind it."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from pertura.recipes.screening_run.ranking import MEANINGS, Ranking
from pertura.recipes.screening_run.trust import Trust
from pertura.report.candidate_plots import GeneBars, gene_bars_chart, pair_map, uncertainty_chart
from pertura.report.html import (
    Block,
    Definitions,
    FigureBlock,
    Link,
    Links,
    Page,
    Paragraph,
    Section,
    TableBlock,
    Warnings,
    render,
)
from pertura.report.sortable import SortableTable
from pertura.report.tables import Cell, Column, Interval, Kind, Row, Table
from pertura.report.wording import count, number
from pertura.screening.backtest import Estimate, Verdict
from pertura.screening.goal import STATISTICS, without_targets
from pertura.screening.interactions import NEITHER

FIRST = 25
SHOWN, DRAWN, MOST_GENES, MAP_GENES = 300, 12, 10, 40
LETTERS = {"synergistic": "S", "antagonistic": "A"}


def render_ranking(ranking: Ranking) -> str:
    """Return the page as one self-contained HTML file."""
    setting, goal = ranking.setting, ranking.setting.goal
    names = ", ".join(one.name for one in setting.members)
    sections = [
        Section("backtest", "Would it have worked?", tuple(_backtest(ranking))),
        Section("ranking", "The ranking", tuple(_ranking(ranking))),
        Section("genes", "What the first candidates change", tuple(_genes(ranking))),
    ]
    if setting.asked.kind == "pairs":
        sections.append(Section("pairs", "Pairs", tuple(_pairs(ranking))))
    sections += [
        Section("measured", "What was measured of the goal", tuple(_measured(ranking))),
        Section("method", "How it was done", tuple(_method(ranking))),
    ]
    return render(
        Page(
            title=f"pertura: which perturbation moves {goal.name} {goal.direction}?",
            headline=ranking.verdict,
            lead=f"{count(len(ranking.order))} candidates ({setting.asked.kind}, {setting.mode}) for "
            f"{setting.context or 'the cells'}, ranked by {names}. "
            + backtest_sentence(ranking.trust, setting.asked.kind),
            sections=tuple(sections),
            warnings=ranking.notes,
            footer=f"pertura {version('pertura')}, seed {setting.asked.seed}; screen.toml repeats it.",
        )
    )


def backtest_sentence(trust: Trust, kind: str) -> str:
    """Return in a sentence how the ranking did on conditions that were hidden from it."""
    if not trust.verdicts:
        return "No back-test could be made."
    first = next((one for one in trust.verdicts if one.kind.startswith(kind)), trust.verdicts[0])
    at = first.at[-1]
    return (
        f"Back-test: of the best {at.share:.0%} of {first.conditions} hidden conditions ({first.kind}), its first "
        f"{at.places} had {_in_words(at.recall, percent=True)}; a random order has "
        f"{at.places / first.conditions:.0%}."
    )


def bars_of(ranking: Ranking, candidates: int, most: int = MOST_GENES) -> list[GeneBars]:
    """Return what genes add to the score of the first candidates, the largest parts first, the rest as one.

    Of what was measured these are parts of the measured score.
    """
    from pertura.recipes.screening_run.answers import answers

    setting, means = ranking.setting, ranking.setting.means
    conditions = [ranking.chosen.conditions[i] for i in ranking.order[:candidates]]
    if not conditions:
        return []
    deltas = np.empty((len(conditions), len(setting.goal.genes)))
    known = [i for i, one in enumerate(conditions) if one in means.row]
    new = [i for i, one in enumerate(conditions) if one not in means.row]
    rows = [means.row[conditions[i]] for i in known]
    deltas[known] = without_targets(means.judge_deltas[rows], [conditions[i] for i in known], means.genes)
    if new:
        asked = [conditions[i] for i in new]
        deltas[new] = answers(setting.members, (), setting.controls, asked, setting.goal).deltas
    parts = setting.goal.contributions(deltas)
    return [_bars(one.perturbation.label, row, setting.goal.genes, most) for one, row in zip(conditions, parts)]


def _bars(name: str, parts: np.ndarray, genes: Sequence[str], most: int) -> GeneBars:
    order = [int(i) for i in np.argsort(-np.abs(parts), kind="stable") if parts[i]]
    kept, rest = order[:most], order[most:]
    told = [genes[i] for i in kept] + ([f"{len(rest)} others"] if rest else [])
    sizes = [float(parts[i]) for i in kept] + ([float(parts[rest].sum())] if rest else [])
    return GeneBars(name, tuple(told), tuple(sizes))


def _backtest(ranking: Ranking) -> list[Block]:
    trust = ranking.trust
    if not trust.verdicts:
        return [Warnings(("No back-test could be made: see the notes on top.",), "Not known")]
    blocks: list[Block] = [
        Paragraph(backtest_sentence(trust, ranking.setting.asked.kind)),
        Paragraph(_calibration(ranking)),
    ]
    for kind in dict.fromkeys(one.kind for one in trust.verdicts):
        blocks.append(TableBlock(verdict_table([one for one in trust.verdicts if one.kind == kind], kind)))
    return blocks


def _calibration(ranking: Ranking) -> str:
    found = ranking.trust.calibrations
    if found is None:
        return ""
    told = []
    for kind, one in found.by_kind.items():
        low, high = one.expected
        told.append(
            f"{kind}: {one.held_out} held-out conditions, {one.coverage:.0%} of them inside; new ones are expected "
            f"inside in {low:.0%} to {high:.0%}"
        )
    level = f"Intervals are meant to hold in {ranking.setting.asked.level:.0%} of cases. "
    return level + "Measured coverage: " + "; ".join(told) + "."


def verdict_table(verdicts: Sequence[Verdict], kind: str) -> Table:
    """Return how models and baselines ranked one kind of hidden conditions."""
    columns = [Column("ranking by")]
    for at in verdicts[0].at:
        words = f"{at.share:.0%}"
        columns.append(
            Column(f"recall at {words}", "interval", f"of the {at.places} best, how many in the first {at.places}")
        )
    last = verdicts[0].at[-1]
    columns += [
        Column("over random", "interval", f"recall at {last.share:.0%} over that of a random order"),
        Column("over nearest", "interval", f"recall at {last.share:.0%} minus that of the nearest observed"),
        Column("regret", "interval", f"what the best of its first {last.places} misses of the best, of the range"),
        Column("Spearman", "interval", "rank correlation with the measured scores"),
    ]
    rows = []
    for one in verdicts:
        last = one.at[-1]
        cells = [*(_interval(at.recall) for at in one.at), *map(_interval, (last.enrichment, last.over_nearest))]
        rows.append(Row((one.model, *cells, _interval(last.regret), _interval(one.spearman))))
    note = (
        "Each condition was ranked by models that had not seen it. Intervals (95 %) redraw conditions and what the "
        "noise of their cells leaves open of which were best. A ranking that says the same of all has what chance has."
    )
    return Table(f"{verdicts[0].conditions} {kind}", tuple(columns), tuple(rows), note)


def _ranking(ranking: Ranking) -> list[Block]:
    table, goal = ranking.table.head(SHOWN), ranking.setting.goal
    columns, rows = _shown_columns(ranking), []
    for record in table.to_dict("records"):
        rows.append(Row(tuple(_cell(name, record) for name, _ in columns)))
    many = len(ranking.table)
    note = f"The first {SHOWN} of {count(many)}; ranking.csv has all." if many > SHOWN else ""
    shown = Table(
        f"Candidates by {goal.statistic} of {goal.name}, {goal.direction}",
        tuple(one for _, one in columns),
        tuple(rows),
        note,
    )
    at = list(ranking.order)
    chart = uncertainty_chart(
        ranking.score[at],
        ranking.uncertainty[at],
        ranking.told[at],
        [ranking.chosen.conditions[i].perturbation.label for i in at],
        axis=f"score ({goal.statistic})",
        uncertainty=ranking.uncertainty_name,
    )
    files = (Link("ranking.csv", "ranking.csv"), Link("ranking.parquet", "ranking.parquet"))
    return [FigureBlock(chart), SortableTable(shown, "ranking", 0), Links(files)]


def _shown_columns(ranking: Ranking) -> list[tuple[str, Column]]:
    names: list[tuple[str, Kind]] = [
        ("rank", "count"),
        ("perturbation", "text"),
        ("score", "interval"),
        ("told from noise", "flag"),
        ("spread", "number"),
        ("z among genes", "number"),
        ("seen", "text"),
        ("measured score", "number"),
        ("nearest observed", "text"),
        ("its score", "number"),
        ("linear place", "number"),
    ]
    if ranking.setting.unwanted is not None:
        names.append(("unwanted", "number"))
    if ranking.setting.asked.kind == "pairs":
        names += [("departure", "number"), ("departure q", "number"), ("interaction", "text")]
    names.append(("flags", "text"))
    return [(name, Column(name, kind, MEANINGS[name], digits=2)) for name, kind in names]


def _cell(name: str, record: dict[str, Any]) -> Cell:
    return Interval(record["score"], record["low"], record["high"]) if name == "score" else record[name]


def _genes(ranking: Ranking) -> list[Block]:
    goal, found = ranking.setting.goal, bars_of(ranking, DRAWN)
    measured = {one.perturbation.label for one in ranking.measured}
    bars = [replace(one, name=f"{one.name} (measured)" if one.name in measured else one.name) for one in found]
    chart = gene_bars_chart(bars, title=f"Parts of the score, first {DRAWN} candidates")
    words = f"The score is {STATISTICS[goal.statistic]}. genes.csv has the parts of the first {FIRST} candidates."
    return [Paragraph(words), FigureBlock(chart)]


def _pairs(ranking: Ranking) -> list[Block]:
    blocks: list[Block] = [Paragraph(ranking.search.told + ".")] if ranking.search is not None else []
    blocks.append(Paragraph(interactions_told(ranking)))
    values, genes = {}, dict.fromkeys(gene for i in ranking.order for gene in ranking.chosen.conditions[i].genes)
    names = sorted(list(genes)[:MAP_GENES])
    called = {}
    for i in ranking.order:
        pair = ranking.chosen.conditions[i].genes
        if len(pair) == 2 and set(pair) <= set(names):
            values[pair] = float(ranking.score[i])
            if ranking.calls.names[i] != NEITHER:
                called[pair] = LETTERS[ranking.calls.names[i]]
    blocks.append(FigureBlock(pair_map(names, values, title="Scores of pairs", called=called)))
    return blocks


def interactions_told(ranking: Ranking) -> str:
    """Return how many pairs were called, predicted and measured, and against which null."""
    calls, trust, asked = ranking.calls, ranking.trust, ranking.setting.asked
    mine = [ranking.calls.names[i] for i in ranking.order]
    both = trust.measured_calls
    return (
        f"Predicted: {mine.count('synergistic')} synergistic, {mine.count('antagonistic')} antagonistic, "
        f"{mine.count(NEITHER)} neither at a false discovery rate of {asked.fdr:.0%}; the null is the error of "
        f"predicted departures on {calls.calibrated_by} measured pairs that were hidden. Measured: of "
        f"{len(both.departure)} pairs {both.names.count('synergistic')} synergistic and "
        f"{both.names.count('antagonistic')} antagonistic at the same rate; the null there is the noise of the cells."
    )


def _measured(ranking: Ranking) -> list[Block]:
    observed, sign = ranking.trust.observed, ranking.setting.goal.sign
    moving = observed.moving()
    order = np.argsort(-sign * observed.scores, kind="stable")
    rows = tuple(
        Row(
            (
                observed.conditions[i].label,
                float(observed.scores[i]),
                float(observed.errors[i]),
                float(observed.p[i]),
                bool(moving[i]),
            )
        )
        for i in order[:SHOWN]
    )
    columns = (
        Column("condition"),
        Column("measured score", "number", "score of its cells against controls kept apart"),
        Column("standard error", "number", "from cells drawn anew"),
        Column("p", "number", "chance where nothing is done: as many control cells in its place"),
        Column("moves the goal", "flag", "either way, at a false discovery rate of 5 %"),
    )
    words = f"{int(moving.sum())} of {len(moving)} measured perturbations change the goal more than noise does."
    return [Paragraph(words), SortableTable(Table("Measured perturbations", columns, rows), "measured")]


def _method(ranking: Ranking) -> list[Block]:
    setting, goal = ranking.setting, ranking.setting.goal
    asked = setting.asked
    refits = f"{len(setting.bags)} refits on four fifths of the training" if setting.bags else "no refits"
    linear = setting.linear.name if setting.linear is not None else "none"
    every = len(setting.learnt) == len(setting.means.conditions)
    learnt = "all measured conditions" if every else "the train part of the run"
    items = (
        ("Goal", f"{goal.name}, {goal.direction}: {STATISTICS[goal.statistic]}"),
        ("Genes", "; ".join(setting.notes) or "all of the goal are measured"),
        ("Null of the statistic", "the changes permuted among genes of like mean expression (ten bins)"),
        ("Ensemble", f"{', '.join(one.name for one in setting.members)}; {refits}"),
        ("Learnt from", f"{learnt} ({count(len(setting.learnt))}); hidden ones by models fitted without them"),
        ("Linear baseline", linear),
        ("Interval", f"split conformal, {asked.level:.0%}, errors in units of sqrt(spread^2 + median error^2)"),
        ("Controls", f"{count(len(setting.controls))} of {setting.controls.name}, {setting.context or 'one context'}"),
        ("Screen", f"{setting.cells.name}: {count(len(setting.means.conditions))} measured conditions"),
        ("Hidden", f"{asked.folds} folds of genes and of pairs" if setting.is_refitted else "the test part of the run"),
        ("Best measured score", _best_measured(ranking)),
    )
    return [Definitions(items), Links((Link("screen.toml", "screen.toml", "the question, to ask it again"),))]


def _best_measured(ranking: Ranking) -> str:
    observed, sign = ranking.trust.observed, ranking.setting.goal.sign
    if not len(observed.scores):
        return "nothing was measured"
    best = int(np.argmax(sign * observed.scores))
    return f"{observed.conditions[best].label}, {number(observed.scores[best], 3)}"


def _interval(one: Estimate) -> Interval:
    return Interval(one.value, one.low, one.high)


def _in_words(one: Estimate, *, percent: bool = False) -> str:
    if not percent:
        return f"{number(one.value, 2)} [{number(one.low, 2)}, {number(one.high, 2)}]"
    return f"{one.value:.0%} [{one.low:.0%}, {one.high:.0%}]"
