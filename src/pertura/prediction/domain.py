"""Whether a question lies in the domain of what a model learnt: plain words for each perturbation, and why."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from pertura.core.cells import Scale
from pertura.core.perturbation import Condition, Mode
from pertura.prediction.training_facts import ControlFacts, TrainingFacts

Level = Literal["as trained", "differs", "doubtful", "not known"]
WORST: tuple[Level, ...] = ("doubtful", "differs", "not known", "as trained")
NEAR, FAR = 1.0, 3.0
"""Distance of the controls from those of training, in sizes of a typical effect of train."""
COVERED, ENOUGH = 0.98, 0.8
EXPRESSED, SILENT = 0.1, 0.02
"""Share of control cells that show a gene: clearly expressed from here, silent below there."""
OWN_TEST, TARGET = "its own test", "target"
MARGIN = 0.05
"""Two scores nearer than this are as good as each other."""
LOSING = (Mode.INTERFERENCE, Mode.KNOCKOUT)
EXPECTATIONS: Mapping[Level, str] = {
    "as trained": "expect what the model's own test shows for such perturbations",
    "not known": "what the model was trained on is not recorded in full: nothing contradicts this question, nothing "
    "vouches for it",
    "differs": "expect no more than the linear baseline beside it: something differs from what the model is good for",
    "doubtful": "expect little: read the answer as a hypothesis to test, not as a result",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, how it compares with training, and the facts in words."""

    topic: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Genes of the model's panel, how many of them the controls show, and how many go by another name there.

    A `published` checkpoint has no panel: then these are the genes of the controls, and how many have a token.
    """

    panel: int
    found: int
    renamed: int = 0
    published: bool = False

    @property
    def words(self) -> str:
        """The coverage in words."""
        share = f"({self.found / max(self.panel, 1):.0%})"
        if self.published:
            text = f"{self.found:,} of the {self.panel:,} genes of the controls have a token {share}"
            left = "; the others are predicted not to change"
        else:
            text = f"{self.found:,} of the {self.panel:,} genes the model answers on are in the controls {share}"
            left = f"; {self.panel - self.found:,} are left out of question and answer, none is filled with zeros"
        return text + (left if self.found < self.panel else "")


@dataclass(frozen=True)
class OwnRecord:
    """What a model scored in its own test on perturbations like the one that is asked, beside what it has to beat.

    `which` says in words which perturbations those were; `beside` holds the scores of simple models on the same.
    """

    metric: str
    value: float
    conditions: int
    which: str
    beside: Mapping[str, float]
    ceiling: float

    @property
    def finding(self) -> Finding:
        """Whether the model was worth more than the best of the simple ones."""
        told = ", ".join(
            [*(f"{name} {value:.2f}" for name, value in self.beside.items()), f"ceiling {self.ceiling:.2f}"]
        )
        text = (
            f"{self.metric} {self.value:.2f} on {self.conditions} test perturbations ({self.which}); beside it {told}"
        )
        if not self.beside:
            return Finding(OWN_TEST, "not known", text)
        best = max(self.beside, key=lambda name: self.beside[name])
        if self.value < self.beside[best] - MARGIN:
            return Finding(OWN_TEST, "doubtful", f"{text}: it was worse than {best}, which is to be preferred")
        if self.value < self.beside[best] + MARGIN:
            return Finding(OWN_TEST, "differs", f"{text}: it was no better than {best}")
        return Finding(OWN_TEST, "as trained", text)


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of a model: a condition, controls on the shared `genes`, and what is known of model and target.

    `model_scale` is None and `modes` empty where a published model does not say. `prior_rows` tells of each perturbed
    gene whether the model's prior has it, None of a gene where that cannot be told; None where the model has no prior.
    `record` is what the model scored in its own test, where it had one.
    """

    condition: Condition
    controls: ControlFacts
    genes: tuple[str, ...]
    scale: Scale
    coverage: Coverage
    model_scale: Scale | None = None
    modes: frozenset[Mode] = frozenset()
    prior_rows: Mapping[str, bool | None] | None = None
    stand_in: str = ""
    record: OwnRecord | None = None


@dataclass(frozen=True)
class DomainCheck:
    """The findings of one perturbation, and what to expect."""

    perturbation: str
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        """The worst of the findings; that a target is not measured decides nothing, most panels leave it out."""
        levels = {one.level for one in self.findings if (one.topic, one.level) != (TARGET, "not known")}
        return next((one for one in WORST if one in levels), "not known")

    @property
    def expectation(self) -> str:
        """What to expect, in a sentence."""
        return EXPECTATIONS[self.level]

    @property
    def lines(self) -> list[str]:
        """Return the check in words, a line for each finding."""
        return told([self])


def told(checks: Sequence[DomainCheck]) -> list[str]:
    """Return the checks of one model in words; what they all say of the controls is said once, before the rest."""
    first, *others = checks
    shared = [one for one in first.findings if all(one in other.findings for other in others)] if others else []
    width = max(len(one.topic) for check in checks for one in check.findings) + 1
    lines = ["for all of them:", *_lines(shared, width)] if shared else []
    for check in checks:
        lines.append(f"{check.perturbation}: {check.expectation}")
        lines += _lines([one for one in check.findings if one not in shared], width)
    return lines


def _lines(findings: Sequence[Finding], width: int) -> list[str]:
    return [f"  {one.topic:<{width}} {one.level:<10}  {one.text}" for one in findings]


def domain_check(question: Question, facts: TrainingFacts | None) -> DomainCheck:
    """Return how a question compares with what the model learnt; `facts` None where that is not recorded."""
    looks: tuple[Callable[[Question, TrainingFacts | None], Finding], ...] = (
        _genes,
        _scale,
        _depth,
        _distance,
        _mode,
        _seen,
        _expressed,
        _prior,
    )
    found = [look(question, facts) for look in looks]
    if len(question.condition.genes) > 2:
        count = len(question.condition.genes)
        found.append(Finding("number of genes", "doubtful", f"{count} at once: no model here was ever tested on that"))
    if question.stand_in:
        found.append(Finding("answer", "doubtful", f"a stand-in: {question.stand_in}"))
    if question.record is not None:
        found.append(question.record.finding)
    return DomainCheck(question.condition.perturbation.label, tuple(found))


def _genes(question: Question, facts: TrainingFacts | None) -> Finding:
    one = question.coverage
    share = one.found / max(one.panel, 1)
    level: Level = "as trained" if share >= COVERED else "differs" if share >= ENOUGH else "doubtful"
    text = one.words
    if one.renamed:
        text += f"; {one.renamed:,} go by another name there"
    return Finding("genes", level, text)


def _scale(question: Question, facts: TrainingFacts | None) -> Finding:
    model, mine = question.model_scale or (facts.scale if facts else None), question.scale
    if model is None:
        return Finding("scale", "not known", f"the controls are {_scaled(mine)}; the model does not say what it takes")
    if mine.kind != model.kind or _differ(mine.target_sum, model.target_sum) or _differ(mine.log_base, model.log_base):
        return Finding("scale", "doubtful", f"the controls are {_scaled(mine)}, training was {_scaled(model)}")
    if mine.kind == "lognormalised" and mine.target_sum is None and model.target_sum is not None:
        text = f"logarithms of unknown target sum; training was {_scaled(model)}"
        return Finding("scale", "not known", text)
    return Finding("scale", "as trained", _scaled(mine))


def _depth(question: Question, facts: TrainingFacts | None) -> Finding:
    nearest = _nearest(question, facts)
    if facts is None or nearest is None:
        return Finding("depth", "not known", f"a control shows {question.controls.detected[1]:,.0f} genes of the panel")
    share = question.coverage.found / max(question.coverage.panel, 1)
    low, middle, high = (one * share for one in nearest.detected)
    mine = question.controls.detected[1]
    level: Level = "as trained" if low <= mine <= high else "differs"
    if not low / 2 <= mine <= high * 2:
        level = "doubtful"
    text = f"a control shows {mine:,.0f} genes of the panel (median); in training {middle:,.0f}, mostly {low:,.0f} to "
    return Finding("depth", level, f"{text}{high:,.0f}")


def _distance(question: Question, facts: TrainingFacts | None) -> Finding:
    nearest = _nearest(question, facts)
    if facts is None or nearest is None:
        return Finding("controls", "not known", "the controls of training are not recorded, so nothing is compared")
    mine, theirs = _shared(question, facts)
    difference = question.controls.mean[mine] - nearest.mean[theirs]
    noise = np.square(question.controls.deviation[mine]) / question.controls.cells
    noise += np.square(nearest.deviation[theirs]) / nearest.cells
    apart = math.sqrt(max(float((np.square(difference) - noise).mean()), 0.0))
    in_effects = apart / facts.effect if facts.effect > 0 else math.inf
    level: Level = "as trained" if in_effects <= NEAR else "differs" if in_effects <= FAR else "doubtful"
    r = _correlation(question.controls.mean[mine], nearest.mean[theirs])
    named = nearest.context or "training"
    text = f"{question.controls.cells:,} cells; their mean differs from the controls of {named} by {in_effects:.1f} "
    text += f"times a typical effect of train, sampling noise taken off (r {r:.3f})"
    if question.condition.context and question.condition.context not in {one.context for one in facts.controls}:
        level = "differs" if level == "as trained" else level
        text += f"; the context {question.condition.context} was not trained on"
    return Finding("controls", level, text)


def _mode(question: Question, facts: TrainingFacts | None) -> Finding:
    asked = question.condition.perturbation.modes
    learnt = question.modes or frozenset(mode for one in (facts.train if facts else ()) for mode in _modes(one))
    named = " and ".join(sorted(asked))
    if not learnt or learnt == {Mode.UNSPECIFIED}:
        return Finding("mode", "not known", f"{named}; the model does not say how its genes were perturbed")
    level: Level = "as trained" if asked <= learnt else "doubtful"
    return Finding("mode", level, f"{named}; the model learnt {' and '.join(sorted(learnt))}")


def _seen(question: Question, facts: TrainingFacts | None) -> Finding:
    condition = question.condition
    if facts is None:
        return Finding("seen", "not known", "which perturbations the model was trained on is not recorded")
    same = sorted(one.context or "training" for one in facts.train if one.perturbation == condition.perturbation)
    if same:
        return Finding("seen", "as trained", f"trained on, in {', '.join(same)}")
    genes = condition.genes
    known = [gene for gene in genes if gene in facts.seen]
    if len(genes) == 1:
        words = "was perturbed in training in a pair, never alone" if known else "was never perturbed in training"
        return Finding("seen", "differs", f"{genes[0]} {words}")
    level: Level = "as trained" if len(known) == len(genes) else "differs" if known else "doubtful"
    new = f"; new: {', '.join(one for one in genes if one not in known)}" if len(known) < len(genes) else ""
    return Finding("seen", level, f"never together; {len(known)} of {len(genes)} genes were perturbed in training{new}")


def _expressed(question: Question, facts: TrainingFacts | None) -> Finding:
    place = {gene: i for i, gene in enumerate(question.genes)}
    losing = any(mode in LOSING for mode in question.condition.perturbation.modes)
    levels: list[Level] = []
    words = []
    for gene in question.condition.genes:
        if gene not in place:
            levels.append("not known")
            words.append(f"{gene} is not measured in the controls")
            continue
        share, mean = float(question.controls.shown[place[gene]]), float(question.controls.mean[place[gene]])
        state = "expressed" if share >= EXPRESSED else "hardly expressed" if share >= SILENT else "silent"
        levels.append(_loss(share) if losing else "as trained")
        words.append(f"{gene} is {state}: in {share:.0%} of the controls, mean {mean:.2f}")
    if losing and "doubtful" in levels:
        words.append("there is nothing to lose, so no effect is to be expected")
    level = next(one for one in ("doubtful", "differs", "not known", "as trained") if one in levels)
    return Finding(TARGET, level, "; ".join(words))


def _loss(share: float) -> Level:
    """How much there is to lose of a gene that so many controls show."""
    return "doubtful" if share < SILENT else "differs" if share < EXPRESSED else "as trained"


def _prior(question: Question, facts: TrainingFacts | None) -> Finding:
    rows = question.prior_rows
    if rows is None:
        return Finding("prior", "as trained", "the model has none")
    lacking = [gene for gene, there in rows.items() if there is False]
    untold = [gene for gene, there in rows.items() if there is None]
    if untold and not lacking:
        text = f"its table was trained and does not tell whether anything was known of {', '.join(untold)}"
        return Finding("prior", "not known", text)
    if not lacking:
        return Finding("prior", "as trained", f"it knows {', '.join(rows)}")
    new = [gene for gene in lacking if facts is None or gene not in facts.seen]
    level: Level = "doubtful" if new else "differs"
    return Finding("prior", level, f"it has no row for {', '.join(lacking)}")


def _nearest(question: Question, facts: TrainingFacts | None) -> ControlFacts | None:
    """The controls of the same context; where it was not trained on, those whose mean is nearest."""
    if facts is None or not facts.controls:
        return None
    same = [one for one in facts.controls if one.context == question.condition.context]
    if same:
        return same[0]
    mine, theirs = _shared(question, facts)
    apart = [float(np.square(question.controls.mean[mine] - one.mean[theirs]).sum()) for one in facts.controls]
    return facts.controls[int(np.argmin(apart))]


def _shared(
    question: Question, facts: TrainingFacts
) -> tuple[Bool[np.ndarray, " mine"], "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Which of the question's genes training measured, and where."""
    place = {gene: i for i, gene in enumerate(facts.genes)}
    there = np.asarray([gene in place for gene in question.genes], dtype=bool)
    return there, np.asarray([place[gene] for gene in question.genes if gene in place], dtype=np.int64)


def _modes(condition: Condition) -> frozenset[Mode]:
    return condition.perturbation.modes


def _correlation(one: Float[np.ndarray, " genes"], other: Float[np.ndarray, " genes"]) -> float:
    if len(one) < 2 or not one.std() or not other.std():
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _scaled(scale: Scale) -> str:
    if scale.kind == "counts":
        return "counts"
    total = "an unknown sum" if scale.target_sum is None else f"{scale.target_sum:,.6g}"
    base = "" if scale.log_base is None or abs(scale.log_base - math.e) < 1e-6 else f", base {scale.log_base:g}"
    return f"logarithms of counts per {total}{base}"


def _differ(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and not math.isclose(one, other, rel_tol=1e-3)
