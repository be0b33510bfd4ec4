"""A model card in Markdown, written from recorded facts only and refused where these contradict each other."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pertura.core.errors import BadDataError
from pertura.report.tables import Better, Interval
from pertura.report.wording import Number, Whole, as_float, count, decimals_for, number, printable

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$])")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What was measured. `cells` counts all of them, perturbed and control."""

    name: str
    source: str
    licence: str
    cells: Whole
    perturbed_cells: Whole
    control_cells: Whole
    genes: Whole
    conditions: Whole
    contexts: tuple[str, ...]
    modes: tuple[str, ...]
    scale: str
    computed_before_split: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """How conditions and control cells were divided. `left_out` counts conditions of the data in no part."""

    rule: str
    seed: Whole
    fingerprint: str
    train: Whole
    valid: Whole
    test: Whole
    model_controls: Whole
    judge_controls: Whole
    left_out: Whole = 0
    unused_controls: Whole = 0
    strata: Mapping[str, Whole] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """How the model was fitted. A model without epochs records one; an epoch passes each train cell at most once unless
    cells are `redrawn` with replacement.

    Of a network trained step by step: how many numbers it learnt, which epoch was kept (counted from 0) by which metric
    on valid, why the training ended, and what was forgiven on the way.
    """

    seed: Whole
    train_cells: Whole
    epochs: Whole
    cells_seen: Whole
    seconds: Number | None = None
    device: str = "CPU"
    parameters: Whole | None = None
    best_epoch: Whole | None = None
    best_score: Number | None = None
    chosen_by: str = ""
    ended: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    redrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadFacts:
    """One metric over the seeds of a training: mean with its interval over seeds, standard deviation."""

    metric: str
    seeds: Whole
    mean: Interval
    sd: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFacts:
    """One score with what it must be read against; what is undefined is None and shown as such.

    `valid` of the test conditions have the score, `detectable` of them an effect that can be told from noise.
    """

    metric: str
    better: Better
    score: Interval
    floor: Number | None
    null: Interval | None
    ceiling: Interval | None
    valid: Whole
    detectable: Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Everything a card says. `fallbacks` names each test condition the model could not represent, with the reason."""

    model: str
    summary: str
    data: DataFacts
    split: SplitFacts
    training: TrainingFacts | None
    scores: tuple[ScoreFacts, ...]
    fallbacks: Mapping[str, str]
    limits: tuple[str, ...]
    versions: Mapping[str, str]
    citations: tuple[str, ...]
    methods: str = ""
    spreads: tuple[SpreadFacts, ...] = ()
    """What other seeds of the same training score; empty where one was run."""


def render_card(facts: CardFacts) -> str:
    """Return the card as Markdown; facts that contradict each other raise `BadDataError`, which names each pair."""
    wrong = list(_contradictions(facts))
    if wrong:
        raise BadDataError(
            "; ".join(wrong),
            place=f"card of {printable(facts.model)}",
            remedy="the records of the run do not belong together",
        )
    sections = {
        "Data": _data(facts.data),
        "Split": _split(facts.split),
        "Training": _training(facts.training),
        "Scores": _scores(facts),
        **({"Over seeds": _spreads(facts.spreads)} if facts.spreads else {}),
        "Fallbacks": _fallbacks(facts),
        "Limits": _list(facts.limits, "None recorded."),
        "Versions": _list(f"{name} {version}" for name, version in sorted(facts.versions.items())),
        "Methods": _methods(facts),
        "Citations": _list(facts.citations, "None recorded."),
    }
    head = f"# {plain(facts.model)}\n\n{plain(facts.summary)}\n"
    return head + "".join(f"\n## {title}\n\n{body}\n" for title, body in sections.items())


def plain(text: str) -> str:
    """Return text that Markdown shows as it stands: one line, marks escaped."""
    return _SPECIAL.sub(r"\\\1", printable(text))


def _contradictions(facts: CardFacts) -> Iterator[str]:
    data, split = facts.data, facts.split
    yield from _unequal(
        ("cells", data.cells, "perturbed and control cells", data.perturbed_cells + data.control_cells),
        ("conditions of the data", data.conditions, "train, valid, test and left-out conditions", _parts(split)),
        ("control cells", data.control_cells, "controls of models, judge and neither", _controls(split)),
    )
    yield from _negative(facts)
    for name, size in sorted(split.strata.items()):
        yield from _more(f"conditions of stratum {name}", size, "test conditions", split.test)
    yield from _more("fallbacks", len(facts.fallbacks), "test conditions", split.test)
    if not data.contexts or not data.modes:
        yield "the data have no context or no mode"
    for needed, present in (
        ("split fingerprint", split.fingerprint),
        ("version of pertura", facts.versions.get("pertura")),
    ):
        if not present:
            yield f"the {needed} is not recorded"
    if facts.training is not None:
        yield from _training_contradictions(facts.training, data)
    for one in facts.scores:
        yield from _score_contradictions(one, split.test)
    metrics = [one.metric for one in facts.scores]
    yield from (f"{one} is scored twice" for one in sorted({one for one in metrics if metrics.count(one) > 1}))


def _parts(split: SplitFacts) -> Whole:
    return split.train + split.valid + split.test + split.left_out


def _controls(split: SplitFacts) -> Whole:
    return split.model_controls + split.judge_controls + split.unused_controls


def _unequal(*pairs: tuple[str, Whole, str, Whole]) -> Iterator[str]:
    for whole, expected, parts, found in pairs:
        if expected != found:
            yield f"{count(expected)} {whole}, but {count(found)} {parts}"


def _more(part: str, size: Whole, whole: str, most: Whole) -> Iterator[str]:
    if size > most:
        yield f"{count(size)} {part}, but {count(most)} {whole}"


def _negative(facts: CardFacts) -> Iterator[str]:
    for group in (facts.data, facts.split, facts.training):
        for name in getattr(group, "__slots__", ()):
            value = getattr(group, name)
            if name not in ("seed", "seconds") and isinstance(value, Whole) and value < 0:
                yield f"{name} is {value}"


def _training_contradictions(training: TrainingFacts, data: DataFacts) -> Iterator[str]:
    yield from _more("train cells", training.train_cells, "cells in the data", data.cells)
    # Early stopping and last batches cut an epoch short; no epoch sees a cell twice, so the product is the limit.
    best = training.best_epoch
    if best is not None and best >= training.epochs:
        yield f"the best epoch is number {count(best + 1)} of {count(training.epochs)}"
    if training.chosen_by and (best is None or training.best_score is None):
        yield f"epochs were judged by {training.chosen_by}, but the best one is not recorded"
    if training.redrawn:
        return
    whole = training.train_cells * training.epochs
    yield from _more("cells seen", training.cells_seen, f"in {count(training.epochs)} epochs of the train cells", whole)


def _score_contradictions(one: ScoreFacts, test: Whole) -> Iterator[str]:
    yield from _more(f"valid conditions of {one.metric}", one.valid, "test conditions", test)
    yield from _more(f"detectable conditions of {one.metric}", one.detectable, "test conditions", test)
    if one.score.defined and one.valid == 0:
        yield f"{one.metric} has a score, but no valid condition"
    for words, interval in (("score", one.score), ("null", one.null), ("ceiling", one.ceiling)):
        if interval is not None and interval.bounded and as_float(interval.low) > as_float(interval.high):
            yield f"the interval of the {words} of {one.metric} ends before it begins"


def _data(data: DataFacts) -> str:
    early = ", ".join(map(plain, data.computed_before_split)) or "nothing recorded"
    return _pairs(
        ("Data set", plain(data.name)),
        ("Source", plain(data.source)),
        ("Licence", plain(data.licence)),
        (
            "Cells",
            f"{count(data.cells)} ({count(data.perturbed_cells)} perturbed, {count(data.control_cells)} control)",
        ),
        ("Genes", count(data.genes)),
        ("Perturbed conditions", count(data.conditions)),
        ("Contexts", ", ".join(map(plain, data.contexts))),
        ("Modes", ", ".join(map(plain, data.modes))),
        ("Scale", plain(data.scale)),
        ("Computed before the split", early),
    )


def _split(split: SplitFacts) -> str:
    strata = ", ".join(f"{plain(name)} {count(size)}" for name, size in split.strata.items()) or "none"
    return _pairs(
        ("Rule", f"{plain(split.rule)}, seed {split.seed}"),
        ("Conditions", f"{_division(split)}, {count(split.left_out)} left out"),
        ("Strata of test", strata),
        (
            "Control cells",
            f"{count(split.model_controls)} seen by models, {count(split.judge_controls)} subtracted from observed "
            f"test cells, {count(split.unused_controls)} unused",
        ),
        ("Fingerprint", f"`{re.sub('[^0-9A-Za-z:-]', '', split.fingerprint)}`"),
    )


def _division(split: SplitFacts) -> str:
    return f"{count(split.train)} train, {count(split.valid)} valid, {count(split.test)} test"


def _training(training: TrainingFacts | None) -> str:
    if training is None:
        return "Nothing was fitted."
    told = [
        ("Train cells", count(training.train_cells)),
        ("Epochs", count(training.epochs)),
        ("Cells seen", f"{count(training.cells_seen)} (repeats counted)"),
        ("Seed", str(training.seed)),
        ("Device", plain(training.device)),
    ]
    if training.seconds is not None:
        told.append(("Time", f"{number(training.seconds, 1)} s"))
    if training.parameters is not None:
        told.append(("Numbers learnt", count(training.parameters)))
    if training.best_epoch is not None:
        why = f", chosen by {plain(training.chosen_by)} on valid" if training.chosen_by else ", the last"
        score = f" ({number(training.best_score, 4)})" if training.best_score is not None else ""
        told.append(("Epoch kept", f"{count(training.best_epoch + 1)} of {count(training.epochs)}{why}{score}"))
    if training.ended:
        told.append(("Ended", plain(training.ended)))
    told += [(plain(name), plain(value)) for name, value in training.options.items()]
    told += [("Event", plain(one)) for one in training.events]
    return _pairs(*told)


def _spreads(spreads: Sequence[SpreadFacts]) -> str:
    lines = [_line(("Metric", "Seeds", "Mean [interval]", "Standard deviation")), _line(["---", *["---:"] * 3])]
    for one in spreads:
        decimals = decimals_for([one.mean.value], 3)
        lines.append(
            _line((plain(one.metric), count(one.seeds), _interval(one.mean, decimals), _undefined(one.sd, decimals)))
        )
    return "\n".join(lines)


def _scores(facts: CardFacts) -> str:
    if not facts.scores:
        return "No score is recorded."
    heading = ("Metric", "Better", "Score [interval]", "Floor", "Permuted labels", "Ceiling", "Valid", "Detectable")
    lines = [_line(heading), _line(["---"] * 2 + ["---:"] * 6)]
    for one in facts.scores:
        decimals = decimals_for([one.score.value, one.floor], 3)
        lines.append(
            _line(
                (
                    plain(one.metric),
                    one.better,
                    _interval(one.score, decimals),
                    _undefined(one.floor, decimals),
                    _interval(one.null, decimals),
                    _interval(one.ceiling, decimals),
                    f"{count(one.valid)} of {count(facts.split.test)}",
                    f"{count(one.detectable)} of {count(facts.split.test)}",
                )
            )
        )
    return "\n".join(lines)


def _fallbacks(facts: CardFacts) -> str:
    if not facts.fallbacks:
        return "None: the model represents every test condition."
    head = f"{count(len(facts.fallbacks))} of {count(facts.split.test)} test conditions are not the model's own answer:"
    listed = _list(f"{name}: {reason}" for name, reason in sorted(facts.fallbacks.items()))
    return f"{head}\n\n{listed}"


def _methods(facts: CardFacts) -> str:
    data, split = facts.data, facts.split
    words = [
        f"{plain(facts.model)} was fitted to {count(split.train)} perturbed conditions of {plain(data.name)} "
        f"({count(data.cells)} cells, {count(data.genes)} genes; {plain(data.scale)}), chosen by the rule "
        f"{plain(split.rule)} with seed {split.seed}, with {count(split.valid)} more to choose by, and judged on "
        f"{count(split.test)} test conditions.",
        f"Control cells were divided: {count(split.model_controls)} were open to the model and are subtracted from "
        f"what it predicts, {count(split.judge_controls)} others are subtracted from the observed test cells.",
    ]
    if facts.scores:
        listed = ", ".join(plain(one.metric) for one in facts.scores)
        words.append(
            f"Scores ({listed}) are given with their interval, the floor, the same score on permuted labels, and the "
            "ceiling that one half of the observed cells reaches against the other."
        )
    if facts.fallbacks:
        words.append(f"{count(len(facts.fallbacks))} test conditions were answered by a fallback, named above.")
    words += [plain(facts.methods)] if facts.methods else []
    words.append(f"pertura {plain(facts.versions['pertura'])} made this card from the records of the run.")
    return " ".join(words)


def _interval(interval: Interval | None, decimals: int) -> str:
    if interval is None or not interval.defined:
        return "undefined"
    ends = f"{number(interval.low, decimals)}, {number(interval.high, decimals)}" if interval.bounded else "undefined"
    return f"{number(interval.value, decimals)} [{ends}]"


def _undefined(value: Number | None, decimals: int) -> str:
    return "undefined" if math.isnan(as_float(value)) else number(value, decimals)


def _pairs(*items: tuple[str, str]) -> str:
    return "\n".join(f"- **{name}:** {words}" for name, words in items)


def _list(items: Iterable[str], empty: str = "") -> str:
    return "\n".join(f"- {plain(one)}" for one in items) or empty


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
