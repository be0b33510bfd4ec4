"""Models asked about somebody's controls: cells, ranked genes, and for each perturbation what to expect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.errors import PerturaError, UsageError
from pertura.core.model import PerturbationModel
from pertura.core.perturbation import Condition, Mode
from pertura.data.pseudobulk import mean_of
from pertura.models.baselines.baseline import Baseline
from pertura.models.scgpt.foreign_model import ForeignPerturbation
from pertura.models.scgpt.model import ScGPT
from pertura.prediction.domain import Coverage, DomainCheck, Question, domain_check
from pertura.prediction.training_facts import TrainingFacts, control_facts
from pertura.recipes.predicting.answering import (
    Answer,
    Answered,
    Manner,
    Matched,
    answered,
    manner_notes,
    matched,
    memory_needed,
)
from pertura.recipes.predicting.asked import conditions_of, labels_of, placed, warnings_about
from pertura.recipes.predicting.controls import Controls
from pertura.recipes.predicting.models import OpenedModel, facts_of, linear_baselines
from pertura.recipes.predicting.own_test import own_record
from pertura.recipes.predicting.summary import GeneSummary

Told = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Beside:
    """A linear baseline of the same run, asked the same."""

    name: str
    answer: Answered


@dataclass(frozen=True, eq=False)
class ModelAnswer:
    """One model's answer to all that was asked, for the same controls; cells are made when they are asked for.

    `conditions` maps each perturbation, as it was written, to the condition that the model was asked.
    """

    model: OpenedModel
    given: Matched
    conditions: Mapping[str, Condition]
    members: tuple[Answered, ...]
    beside: tuple[Beside, ...]
    checks: Mapping[str, DomainCheck]
    notes: tuple[str, ...]
    _summaries: dict[str, GeneSummary] = field(default_factory=dict)
    _last: dict[str, Answer] = field(default_factory=dict)

    @property
    def controls(self) -> Cells:
        """The controls on the genes that are answered; row i of every answer belongs to its row i."""
        return self.given.cells

    @cached_property
    def control_mean(self) -> Float[np.ndarray, " genes"]:
        """The mean of the controls."""
        return mean_of(self.controls.expression, np.arange(len(self.controls)))

    def cells(self, label: str) -> Answer:
        """Return what each control becomes: the mean over the members, values below zero set to zero."""
        if label not in self._last:
            made, summary = self._made(label)
            self._summaries[label] = summary
            self._last.clear()
            self._last[label] = made
        return self._last[label]

    def summary(self, label: str) -> GeneSummary:
        """Return what is said of each gene."""
        if label not in self._summaries:
            self.cells(label)
        return self._summaries[label]

    def _made(self, label: str) -> tuple[Answer, GeneSummary]:
        condition = self.conditions[label]
        total = np.zeros(self.controls.expression.shape)
        means, negative = [], 0
        for one in self.members:
            rows = one[condition]
            negative += int((rows < 0).sum())
            kept = np.maximum(rows, 0.0).astype(np.float64)
            means.append(kept.mean(axis=0))
            total += kept
        beside = self._linear(condition)
        summary = GeneSummary(
            perturbation=label,
            model=self.model.name,
            targets=condition.genes,
            genes=self.controls.genes,
            scale=self.controls.scale,
            control=self.control_mean,
            predicted=np.mean(means, axis=0),
            deviation=np.std(means, axis=0, ddof=1) if len(means) > 1 else None,
            members=len(means),
            baseline_name="" if beside is None else beside.name,
            baseline=None if beside is None else np.asarray(beside.answer[condition].mean(axis=0), dtype=np.float64),
            baseline_stand_in=beside is not None and condition in beside.answer.fallbacks,
            stand_in=self.members[0].fallbacks.get(condition, ""),
            negative=negative,
        )
        return (total / len(means)).astype(np.float32), summary

    def _linear(self, condition: Condition) -> Beside | None:
        """The first linear baseline that can represent a condition; the first of all where none can."""
        able = [one for one in self.beside if condition not in one.answer.fallbacks]
        return next(iter([*able, *self.beside]), None)


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of one or several models to the same questions about the same controls."""

    labels: tuple[str, ...]
    answers: tuple[ModelAnswer, ...]
    notes: tuple[str, ...]

    @property
    def first(self) -> ModelAnswer:
        """The answer of the model that was named first."""
        return self.answers[0]

    def summaries(self) -> list[GeneSummary]:
        """Return what every model says of each gene, perturbation by perturbation."""
        return [one.summary(label) for label in self.labels for one in self.answers]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked: perturbations as people write them, how genes are perturbed, and the manner of asking."""

    perturbations: tuple[str, ...]
    mode: Mode | None = None
    manner: Manner = field(default_factory=Manner)


def predictions(models: Sequence[OpenedModel], controls: Controls, ask: Ask) -> Predictions:
    """Return the answers of models, ready to be made; everything that can be refused is refused here.

    Raises `UnknownGeneError` and `ModeError` for what a model cannot be asked, `BadDataError` for controls that do not
    fit it.
    """
    if not models:
        raise UsageError("no model is named")
    models = _told_apart(models)
    labels = labels_of(ask.perturbations)
    answers = tuple(_asked(one, controls.cells, labels, ask) for one in models)
    return Predictions(labels, answers, (*controls.notes, *warnings_about(labels)))


def memory_of(made: Predictions, manner: Manner) -> float:
    """Return about how many bytes the largest step of making the answers takes."""
    needed = []
    for one in made.answers:
        cells, genes = one.controls.expression.shape
        member = one.model.asked(one.controls.genes, frozenset({Mode.UNSPECIFIED}), manner.device)[0]
        needed.append(memory_needed(member, cells, genes, manner))
    return max(needed) + 3e8


def _asked(model: OpenedModel, controls: Cells, labels: Sequence[str], ask: Ask) -> ModelAnswer:
    facts = facts_of(model)
    found = placed(controls, facts)
    given = matched(found.cells, _panel(model, found.cells), model.scale, ask.manner)
    conditions = conditions_of(labels, found.cells.contexts[0], ask.mode, model.scope)
    asked = list(conditions.values())
    modes = frozenset(mode for one in asked for mode in one.perturbation.modes)
    members = model.asked(given.cells.genes, modes, ask.manner.device)
    answers = tuple(answered(one, given, asked, ask.manner) for one in members)
    beside = tuple(_beside(one, given, asked, ask.manner) for one in linear_baselines(model))
    checks = _checks(model, members[0], given, conditions, answers[0].fallbacks, facts)
    manners = manner_notes(members[0], given, ask.manner)
    lacking = [one for one in beside if isinstance(one, str)]
    notes = [found.note, model.note, *given.notes, *manners, *lacking, answers[0].provenance.versions.get("notes", "")]
    return ModelAnswer(
        model,
        given,
        conditions,
        answers,
        tuple(one for one in beside if isinstance(one, Beside)),
        checks,
        tuple(filter(None, notes)),
    )


def _panel(model: OpenedModel, controls: Cells) -> tuple[str, ...]:
    """The genes that are answered; a published checkpoint answers on what is measured and has a token."""
    if model.scope is not None:
        return model.scope.panel
    if model.is_foreign:
        return controls.genes
    raise UsageError(f"{model.name} does not say on which genes it answers: give it a scope")


def _beside(baseline: OpenedModel, given: Matched, conditions: Sequence[Condition], manner: Manner) -> Beside | str:
    """A linear baseline's answer; why there is none where it cannot be asked what the model can."""
    try:
        member = baseline.asked(given.cells.genes, frozenset(), manner.device)[0]
        return Beside(baseline.name, answered(member, given, conditions, manner))
    except PerturaError as error:
        return f"{baseline.name} does not stand beside: {error}"


def _checks(
    model: OpenedModel,
    member: PerturbationModel,
    given: Matched,
    conditions: Mapping[str, Condition],
    fallbacks: Mapping[Condition, str],
    facts: TrainingFacts | None,
) -> dict[str, DomainCheck]:
    cells = given.cells
    mine = control_facts(cells, np.arange(len(cells)), cells.contexts[0])
    coverage = _coverage(model, member, given)
    made = {}
    for label, condition in conditions.items():
        question = Question(
            condition=condition,
            controls=mine,
            genes=cells.genes,
            scale=cells.scale,
            coverage=coverage,
            model_scale=model.scale,
            modes=model.scope.modes if model.scope is not None else frozenset(),
            prior_rows=prior_rows(member, condition),
            stand_in=fallbacks.get(condition, ""),
            record=own_record(model, condition),
        )
        made[label] = domain_check(question, facts)
    return made


def _coverage(model: OpenedModel, member: PerturbationModel, given: Matched) -> Coverage:
    if isinstance(member, ForeignPerturbation):
        known = len(member.panel.columns)
        return Coverage(len(given.cells.genes), known, given.renamed, published=True)
    return Coverage(len(given.panel), len(given.cells.genes), given.renamed)


def prior_rows(model: PerturbationModel, condition: Condition) -> dict[str, bool | None] | None:
    """Return for each perturbed gene whether the model's prior has a row for it; None of a model without a prior.

    A published table that was trained has a row for every token, random where nothing was known: of it None is told.
    """
    if isinstance(model, Baseline):
        return _rows_of_baseline(model, condition)
    if isinstance(model, ScGPT):
        tables, vocab = model._trained.network.prior_tables, model._trained.panel.vocab
    elif isinstance(model, ForeignPerturbation):
        tables, vocab = model.asking.network.prior_tables, model.panel.vocab
    else:
        return None
    if not tables:
        return None
    places = {gene: vocab.ids[gene] for gene in condition.genes if gene in vocab.genes}
    known: dict[str, bool | None] = {
        gene: gene in places and any(bool(one.has_row[places[gene]]) for one in tables) for gene in condition.genes
    }
    if isinstance(model, ForeignPerturbation) and all(one.config.trainable for one in tables):
        return {gene: None if there else False for gene, there in known.items()}
    return known


def _rows_of_baseline(model: Baseline, condition: Condition) -> dict[str, bool | None] | None:
    fitted = model._fitted
    if not fitted.prior:
        return None
    memory = fitted.memories.get(condition.perturbation.modes)
    rows = frozenset() if memory is None else frozenset(memory.labels.get("embedding", ()))
    return {gene: gene in rows for gene in condition.genes}


def _told_apart(models: Sequence[OpenedModel]) -> list[OpenedModel]:
    """Return models whose names differ: of equal ones the run goes before the name, else a number."""
    names = [one.name for one in models]
    made = [
        replace(one, name=f"{one.run.name}/{one.name}") if one.run is not None and names.count(one.name) > 1 else one
        for one in models
    ]
    names = [one.name for one in made]
    return [
        replace(one, name=f"{one.name} ({i})") if names.count(one.name) > 1 else one for i, one in enumerate(made, 1)
    ]
