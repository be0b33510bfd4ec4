"""The next batch: candidates chosen for goal, uncertainty and diversity, tried out in simulated rounds, and power."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tomli_w
from jaxtyping import Float, Int

from pertura.core.atomic import write_text
from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition
from pertura.recipes.narration import Narrator, Silent
from pertura.recipes.screening_run.answers import answers, every_answer
from pertura.recipes.screening_run.asked import Asked, Designed, write_asked
from pertura.recipes.screening_run.candidates import Chosen, chosen, listed
from pertura.recipes.screening_run.setting import Setting, bagged, open_setting, refitted
from pertura.report.candidate_plots import Line, rounds_chart
from pertura.report.html import Block, Definitions, FigureBlock, Page, Paragraph, Section, TableBlock, render
from pertura.report.tables import Column, Interval, Row, Table
from pertura.screening.design import Answer, Batch, Round, choose_batch, simulate_rounds
from pertura.screening.observed import ObservedScores, observed_scores
from pertura.screening.power import ALPHA, POWER, CellsNeeded, power_table

if TYPE_CHECKING:
    import pandas

BATCH, REPORT, ROUNDS, CELLS, DESIGN = "batch.csv", "report.html", "rounds.csv", "cells.csv", "design.toml"
FEWEST_MEASURED = 12
PARTS_OF_SCREEN = 12
WORDS = {"random": "chosen at random", "top": "the best predicted", "design": "the design"}


@dataclass(frozen=True, eq=False)
class Design:
    """A batch, how its way of choosing fared in simulated rounds, and how many cells each perturbation needs."""

    setting: Setting
    designed: Designed
    names: tuple[str, ...]
    scores: Float[np.ndarray, " chosen"]
    batch: Batch
    rounds: tuple[Round, ...]
    power: tuple[CellsNeeded, ...]
    notes: tuple[str, ...]

    @property
    def table(self) -> "pandas.DataFrame":
        """The batch in the order of choice, with the parts of each value."""
        import pandas

        return pandas.DataFrame(
            {
                "place": np.arange(1, len(self.names) + 1),
                "perturbation": list(self.names),
                "predicted score": self.scores,
                "gain": self.batch.gain,
                "spread": self.batch.spread,
                "likeness": self.batch.likeness,
                "value": self.batch.value,
            }
        )


def design(asked: Asked, designed: Designed, folder: Path, *, narrator: Narrator | None = None) -> Design:
    """Return the next batch, with `batch.csv`, `rounds.csv`, `cells.csv`, the records and the report in `folder`."""
    teller = narrator or Silent()
    teller.stage("opening models, goal and controls", 0, 3)
    setting = open_setting(asked)
    made = design_of(setting, designed, teller)
    _write(made, folder)
    return made


def design_of(setting: Setting, designed: Designed, teller: Narrator | None = None) -> Design:
    """Return the next batch of a setting; perturbations that were measured already are not chosen again."""
    tell = teller or Silent()
    tell.stage("predicting the candidates", 1, 3)
    rows, found, notes = _open_candidates(setting, chosen(setting))
    batch = choose_batch(found.gains, found.spread, found.deltas, designed.budget, designed.trade)
    tell.stage("simulated rounds and power", 2, 3)
    observed = observed_scores(setting.cells, setting.means, setting.split, setting.goal, seed=setting.asked.seed)
    rounds, also = simulated(setting, designed, observed)
    power, told = _power(setting, observed, designed)
    names = tuple(rows[i].perturbation.label for i in batch.rows)
    scores = setting.goal.sign * found.gains[batch.rows]
    return Design(setting, designed, names, scores, batch, rounds, power, (*setting.notes, *notes, *also, *told))


def simulated(
    setting: Setting, designed: Designed, observed: ObservedScores
) -> tuple[tuple[Round, ...], tuple[str, ...]]:
    """Return how strategies would have fared on the measured screen; nothing, and why, where that cannot be told."""
    rows = _measured_alike(setting, observed)
    if not setting.is_refitted:
        return (), ("no simulated rounds: a trained network is not fitted again in a moment",)
    if len(rows) < FEWEST_MEASURED:
        return (), (f"no simulated rounds: {len(rows)} measured conditions, {FEWEST_MEASURED} are needed",)
    conditions = [observed.conditions[i] for i in rows]
    size = designed.batch or max(len(rows) // PARTS_OF_SCREEN, 2)

    def learn(known: Int[np.ndarray, " measured"], seed: int) -> Answer:
        return _learnt(setting, [conditions[i] for i in known], conditions, seed)

    gains = setting.goal.sign * observed.scores[rows]
    trade = designed.trade
    return simulate_rounds(gains, learn, trade=trade, batch=size, rounds=designed.rounds, seed=setting.asked.seed), ()


def _measured_alike(setting: Setting, observed: ObservedScores) -> Int[np.ndarray, " rows"]:
    """The measured conditions of the kind and, where it was measured, of the context that is designed for."""
    singles = setting.asked.kind == "singles"
    rows = [i for i, one in enumerate(observed.conditions) if one.perturbation.is_single == singles]
    here = [i for i in rows if observed.conditions[i].context == setting.context]
    return np.asarray(here or rows, dtype=np.int64)


def _learnt(setting: Setting, train: Sequence[Condition], every: Sequence[Condition], seed: int) -> Answer:
    """What members fitted to some conditions, and to parts of them, predict of all."""
    means = setting.means
    members = [refitted(means, one, train, "round") for one in setting.members]
    bags = [
        refitted(means, one, bagged(train, number, seed), f"round {number}")
        for number in range(min(setting.asked.members, 3))
        for one in setting.members
    ]
    cells = means.cells()
    controls = cells.take(cells.control_rows(every[0].context))
    found = answers(members, bags, controls, every, setting.goal)
    return Answer(setting.goal.sign * found.scores, found.spread, found.deltas)


def _open_candidates(setting: Setting, candidates: Chosen) -> tuple[list[Condition], Answer, tuple[str, ...]]:
    measured = set(setting.means.conditions)
    new = [one for one in candidates.conditions if one not in measured]
    found = every_answer(setting, new)
    kept = [i for i, one in enumerate(new) if one not in found.fallbacks]
    if not kept:
        raise UsageError("no candidate is left: each was measured already, or no model can represent it")
    answer = Answer(setting.goal.sign * found.scores[kept], found.spread[kept], found.deltas[kept])
    notes = candidates.notes
    if len(new) < len(candidates.conditions):
        already = [one.perturbation.label for one in candidates.conditions if one in measured]
        notes = (*notes, listed(already, "candidates that were measured already and are not chosen again"))
    if len(kept) < len(new):
        lacking = [one.perturbation.label for one in new if one in found.fallbacks]
        notes = (*notes, listed(lacking, "candidates that the models cannot represent: not chosen"))
    return [new[i] for i in kept], answer, notes


def _power(
    setting: Setting, observed: ObservedScores, designed: Designed
) -> tuple[tuple[CellsNeeded, ...], tuple[str, ...]]:
    """Cells needed for the changes that the screen itself has: its median, its upper quarter, its largest."""
    if setting.goal.statistic == "enrichment":
        return (), ("power is for scores that are means over cells: ask for weighted-mean",)
    moved = np.abs(observed.scores) if len(observed.scores) else np.asarray([0.1])
    effects = [float(one) for one in np.quantile(moved, [0.5, 0.75, 1.0])]
    return power_table(setting.controls, setting.goal, effects, tests=designed.budget, seed=setting.asked.seed)


def rounds_table(rounds: Sequence[Round]) -> Table:
    """Return the simulated rounds as a table."""
    columns = (
        Column("chosen by"),
        Column("measured", "count"),
        Column("of the best tenth", "interval", "share of the truly best tenth that was measured by then"),
        Column("regret", "interval", "what the best measured misses of the best there is, of the range"),
    )
    rows = tuple(
        Row(
            (
                WORDS[one.strategy],
                one.measured,
                Interval(one.found.value, one.found.low, one.found.high),
                Interval(one.regret.value, one.regret.low, one.regret.high),
            )
        )
        for one in rounds
    )
    return Table("Simulated rounds on the measured screen", columns, rows, "Mean over ten starts, 95 % interval.")


def power_rows(design: Design) -> Table:
    """Return the cells needed as a table."""
    columns = (
        Column("depth", "text", "share of the molecules of your controls"),
        Column("change of the score", "number", "median, upper quarter and largest of what was measured"),
        Column("of one cell", "number", "standard deviation of the score of one control cell"),
        Column("cells per perturbation", "count", f"one-sided, {ALPHA:g} shared by all of the batch, power {POWER:g}"),
    )
    rows = tuple(Row((f"{one.depth:.0%}", one.effect, one.sd, one.cells)) for one in design.power)
    note = "A dash: no number of cells is enough against this many controls."
    return Table(f"Cells needed against {len(design.setting.controls)} controls", columns, rows, note)


def batch_table(design: Design, most: int | None = None) -> Table:
    """Return the batch as a table."""
    columns = (
        Column("place", "count"),
        Column("perturbation"),
        Column("predicted score", "number"),
        Column("gain", "number", "in standard deviations over the candidates", digits=2),
        Column("spread", "number", "of the ensemble, in the same unit", digits=2),
        Column("likeness", "number", "log2(1 + sum of squared cosines with what was chosen before)", digits=2),
        Column("value", "number", digits=2),
    )
    records = design.table.to_dict("records")[:most]
    rows = tuple(Row(tuple(record[column.title] for column in columns)) for record in records)
    return Table(f"The next {len(design.names)}", columns, rows, design.designed.trade.told)


def _write(made: Design, folder: Path) -> None:
    import pandas

    write_asked(made.setting.asked, folder / "screen.toml")
    write_text(folder / DESIGN, tomli_w.dumps({"format": "pertura-design", "version": 1, **asdict(made.designed)}))
    write_text(folder / BATCH, made.table.to_csv(index=False))
    rounds = [
        {
            "strategy": one.strategy,
            "measured": one.measured,
            **{f"found{end}": getattr(one.found, name) for end, name in _ENDS},
            **{f"regret{end}": getattr(one.regret, name) for end, name in _ENDS},
        }
        for one in made.rounds
    ]
    write_text(folder / ROUNDS, pandas.DataFrame(rounds).to_csv(index=False))
    write_text(folder / CELLS, pandas.DataFrame([asdict(one) for one in made.power]).to_csv(index=False))
    write_text(folder / REPORT, _page(made))


_ENDS = (("", "value"), (" low", "low"), (" high", "high"))


def sentence(made: Design) -> str:
    """Return in a sentence how the design fared against random choice and the best predicted."""
    last = {one.strategy: one for one in made.rounds}
    if not last:
        return "Whether the design beats random choice could not be tried out on this screen."
    told = ", ".join(
        f"{WORDS[name]} {one.found.value:.0%} [{one.found.low:.0%}, {one.found.high:.0%}]" for name, one in last.items()
    )
    return f"On your screen, of the best tenth, after {last['design'].measured} conditions were measured: {told}."


def _page(made: Design) -> str:
    goal, designed = made.setting.goal, made.designed
    strategies = dict.fromkeys(one.strategy for one in made.rounds)
    lines = [_line(made, name) for name in strategies]
    tried: list[Block] = [Paragraph(sentence(made))]
    if lines:
        tried.append(FigureBlock(rounds_chart(lines, title="Simulated rounds", axis="of the best tenth")))
        tried.append(TableBlock(rounds_table(made.rounds)))
    items = (
        ("Goal", f"{goal.name}, {goal.direction}, {goal.statistic}"),
        ("Trade-off", designed.trade.told),
        ("Models", ", ".join(one.name for one in made.setting.members)),
    )
    page = Page(
        title=f"pertura: what to run next for {goal.name}, {goal.direction}",
        headline=f"{len(made.names)} perturbations to run next, {made.names[0]} first.",
        lead=sentence(made),
        sections=(
            Section("batch", "The batch", (TableBlock(batch_table(made)),)),
            Section("rounds", "Would it have worked?", tuple(tried)),
            Section("cells", "How many cells", (TableBlock(power_rows(made)),)),
            Section("method", "How it was done", (Definitions(items),)),
        ),
        warnings=made.notes,
        footer=f"pertura {version('pertura')}, seed {made.setting.asked.seed}.",
    )
    return render(page)


def _line(made: Design, name: str) -> Line:
    mine = [one for one in made.rounds if one.strategy == name]
    return Line(
        WORDS[name],
        tuple(one.measured for one in mine),
        tuple(one.found.value for one in mine),
        tuple(one.found.low for one in mine),
        tuple(one.found.high for one in mine),
    )
