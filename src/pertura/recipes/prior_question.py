"""Whether priors help, in tables and a sentence: for the report and the terminal."""

from collections.abc import Sequence

import numpy as np

from pertura.comparison.priors import QUESTIONS, Against, Answer, PriorQuestion, TwoByTwo
from pertura.comparison.roles import NONE, Role
from pertura.comparison.significance import Difference
from pertura.evaluation.aggregate import Summary
from pertura.report.html import Block, Details, Paragraph, Section, TableBlock
from pertura.report.tables import Column, Interval, Row, Table, to_text

ASKED = {
    "none": "against none",
    "random": "against random",
    "permuted": "against permuted",
}
CORNERS = ("expression", "text", "both")
NOTE = (
    "Paired differences of the model with the prior, above 0 is better, with 95 % intervals. Against none: from the "
    "train mean, which knows the train screen and no gene; of a network from the same network without a prior. Against "
    "random and permuted: from the same model with random numbers of the same moments per gene, or with the rows of "
    "other genes, the mean over the seeds. p: two-sided, by Student's t in the units of the interval, corrected for "
    "all priors of the column (Holm)."
)
WON = "better than {none}, than random numbers and than the rows of other genes, corrected for all priors asked"
SQUARE_NOTE = (
    "Neither: the train mean. Expression: training PCA of the perturbed gene. Text: the prior. Both: the two side by "
    "side with equal weight; a gene that one of them lacks counts as average there. Gains are paired differences."
)


def question_section(question: PriorQuestion, subset: str) -> Section:
    """Return the section of a report: the sentence, the table of the headline subset, the squares, then all subsets."""
    blocks: list[Block] = [Paragraph(f"{sentence(question, subset)}."), TableBlock(question_table(question, subset))]
    squares = [one for one in question.squares if one.subset == subset]
    if squares:
        blocks.append(TableBlock(square_table(squares, question.metric)))
    blocks += [Paragraph(f"Not asked: {one}.") for one in question.lacking]
    for one in _others(question, subset):
        blocks.append(Details(f"On {_title(one)}", (TableBlock(question_table(question, one)),)))
    return Section("priors", "Do priors help?", tuple(blocks))


def question_text(question: PriorQuestion, subset: str, *, strata: bool = True) -> str:
    """Return sentence and tables for the terminal: the headline subset, then each other one if wanted."""
    others = _others(question, subset) if strata else []
    tables = [question_table(question, subset, note=NOTE), *(question_table(question, one, note="") for one in others)]
    squares = [one for one in question.squares if one.subset == subset]
    if squares:
        tables.append(square_table(squares, question.metric))
    lacking = [f"not asked: {one}" for one in question.lacking]
    return "\n".join([f"{sentence(question, subset)}.", "", *(to_text(one) for one in tables), *lacking])


def question_table(question: PriorQuestion, subset: str, *, note: str = NOTE) -> Table:
    """Return one row per model and prior: the difference and the corrected p for each of the three questions."""
    columns = [Column("prior")]
    for asked in ASKED.values():
        columns += [
            Column(asked, "interval", f"paired {question.metric} difference"),
            Column("p", "number", "two-sided, corrected (Holm)", digits=2),
        ]
    columns.append(Column("from the prior", "text", "conditions answered from the prior, not with a stand-in"))
    found = {(one.role, one.against): one for one in question.of(subset)}
    rows = tuple(_row(role, found) for role in dict.fromkeys(role for role, _ in found))
    conditions = max((one.gap.conditions for one in found.values()), default=0)
    return Table(f"Do priors help on {_title(subset)} ({conditions})?", tuple(columns), rows, note)


def square_table(squares: Sequence[TwoByTwo], metric: str) -> Table:
    """Return neither, expression, text and both for each prior, and what each adds to the other."""
    scores = [Column(name, "interval", f"{metric} with {name}") for name in ("neither", *CORNERS)]
    gains = [Column(name, "interval") for name in ("text adds", "to expression it adds", "expression adds to text")]
    rows = [_square_row(one) for one in squares]
    caption = f"Expression and text on {_title(squares[0].subset)}"
    return Table(caption, (Column("prior"), *scores, *gains), tuple(rows), SQUARE_NOTE)


def _square_row(square: TwoByTwo) -> Row:
    corners = (square.neither, square.expression, square.text, square.both)
    gains = (square.gain_of_text, square.gain_of_text_beside_expression, square.gain_of_expression_beside_text)
    fallen = [f"{name} {count}" for name, count in zip(CORNERS, square.stand_ins) if count]
    marks = (f"of {square.neither.conditions} conditions stand-ins: {', '.join(fallen)}",) if fallen else ()
    return Row((square.role.prior, *map(_interval, corners), *map(_interval, gains)), marks)


def sentence(question: PriorQuestion, subset: str) -> str:
    """Return for each model what its priors are worth on a subset, and what could not have been seen."""
    bases = dict.fromkeys(f"{one.role.run}{one.role.base}" for one in question.answers)
    return ". ".join(_sentence(question, subset, base) for base in bases)


def _sentence(question: PriorQuestion, subset: str, base: str) -> str:
    mine = [one for one in question.of(subset) if f"{one.role.run}{one.role.base}" == base]
    priors = dict.fromkeys(one.role.prior for one in mine)
    helping = {one.prior for one in question.that_help(subset) if f"{one.run}{one.base}" == base}
    found = [one for one in mine if one.against == "none" and np.isfinite(one.gap.value)]
    conditions = max((one.gap.conditions for one in mine), default=0)
    none = next((one.gap.second for one in mine if one.against == "none"), NONE)
    where = f"{conditions} {_title(subset)}"
    if helping:
        named = ", ".join(sorted(helping))
        return f"{base} on {where}: {named} {'helps' if len(helping) == 1 else 'help'}, {WON.format(none=none)}"
    if not found:
        return f"{base} on {where}: nothing can be said of {', '.join(priors)}"
    best = max(found, key=lambda one: one.gap.value)
    gain = f"{best.gap.value:+.3f} [{best.gap.low:+.3f}, {best.gap.high:+.3f}]"
    return (
        f"{base} on {where}: {_none_of(len(priors))} to help beyond {none} and its own controls. The most is gained "
        f"with {best.role.prior}: {gain} over {none}, p {best.holm:.2g} corrected for {len(found)}; it answers "
        f"{conditions - best.stand_ins} of {conditions} itself"
    )


def _none_of(priors: int) -> str:
    return "the prior is not shown" if priors == 1 else f"none of {priors} priors is shown"


def _others(question: PriorQuestion, subset: str) -> list[str]:
    return [one for one in dict.fromkeys(answer.subset for answer in question.answers) if one != subset]


def _row(role: Role, found: dict[tuple[Role, Against], Answer]) -> Row:
    cells: list[str | float | Interval | None] = [role.prior]
    marks = []
    for against in QUESTIONS:
        one = found.get((role, against))
        cells += [None, None] if one is None else [_interval(one.gap), one.holm]
        if one is not None and one.says != "undecided":
            marks.append(f"{one.says} {ASKED[one.against]}")
    any_of = next(one for (mine, _), one in found.items() if mine == role)
    judged = any_of.gap.conditions
    cells.append(f"{judged - any_of.stand_ins} of {judged}")
    return Row(tuple(cells), tuple(marks), f"{role.run}{role.base}")


def _interval(one: Summary | Difference) -> Interval:
    return Interval(one.value, one.low, one.high)


def _title(subset: str) -> str:
    if subset == "all":
        return "test perturbations"
    return "detectable test perturbations" if subset == "detectable" else f"perturbations of stratum {subset}"
