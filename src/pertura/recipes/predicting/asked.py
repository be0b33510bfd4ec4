"""What is asked of a model: perturbations as people write them, as conditions of the controls' context."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pertura.core.cells import Cells
from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.core.scope import Scope
from pertura.prediction.training_facts import TrainingFacts

CONTROL_WORDS = frozenset({"ctrl", "control", "non-targeting", "NT"})
EVALUATED = 2
"""Genes at once that screens measured, so that models were ever tested on."""


@dataclass(frozen=True)
class Placed:
    """Controls whose context is named as in training where that could be told, and how that was told."""

    cells: Cells
    note: str = ""


def labels_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the perturbations that were written (`POU3F2`, `SAMD1+ZBTB1`, `A+ctrl`), each once, sorted within."""
    made = dict.fromkeys(_perturbation(one, Mode.UNSPECIFIED).label for one in texts)
    if not made:
        raise UsageError("nothing to predict: name at least one perturbation")
    return tuple(made)


def conditions_of(labels: Sequence[str], context: str, mode: Mode | None, scope: Scope | None) -> dict[str, Condition]:
    """Return label -> condition. Without a mode given it is the model's own; `UsageError` where it learnt several."""
    learnt = sorted(scope.modes) if scope is not None else []
    if mode is None and len(learnt) > 1:
        raise UsageError(f"the model learnt {' and '.join(learnt)}: say with --mode which is asked")
    chosen = mode or (Mode(learnt[0]) if learnt else Mode.UNSPECIFIED)
    return {one: Condition(_perturbation(one, chosen), context) for one in labels}


def placed(controls: Cells, facts: TrainingFacts | None) -> Placed:
    """Return the controls under the context of training where they name none and training had one alone."""
    if controls.contexts[0] or facts is None or len(facts.controls) != 1 or not facts.controls[0].context:
        return Placed(controls)
    context = facts.controls[0].context
    renamed = replace(controls, conditions=tuple(replace(one, context=context) for one in controls.conditions))
    note = f"the controls name no context: taken to be {context}, the only one of training; --context says otherwise"
    return Placed(renamed, note)


def warnings_about(labels: Sequence[str]) -> list[str]:
    """Return what a reader must know before anything is computed."""
    many = [one for one in labels if one.count("+") >= EVALUATED]
    return [
        f"{one}: {one.count('+') + 1} genes at once were never evaluated, by this model or any other" for one in many
    ]


def _perturbation(text: str, mode: Mode) -> Perturbation:
    genes = [one.strip() for one in text.split("+")]
    named = [one for one in genes if one not in CONTROL_WORDS]
    if not named:
        raise UsageError(f"{text!r} names no gene: the controls are given, name what is to be perturbed")
    return Perturbation.of(*named, mode=mode)
