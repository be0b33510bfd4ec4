"""Foreign predictions judged by another evaluator's rules, and what its numbers are worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from pertura.core.errors import UsageError
from pertura.data.labelled_file import LabelledFile, open_labelled
from pertura.evaluation.compatible.altered import Sides
from pertura.evaluation.compatible.effort import LEVELS, planned
from pertura.evaluation.compatible.profile import CompatiblePreset, Judged, Options
from pertura.evaluation.compatible.study import Reference, Study, leave_one_out_mean, no_change
from pertura.evaluation.compatible.table import COMPATIBLE
from pertura.evaluation.compatible.worth import Worth, worth
from pertura.evaluation.presets import PRESETS
from pertura.prediction.emit import control_shift
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.files import Files, Reading, check_name
from pertura.recipes.foreign.learnt import Learnt, cells_beside, judged_conditions, learn, strata_of
from pertura.recipes.foreign.rescaled import as_counts, on_published_scale, takes_logarithms
from pertura.recipes.foreign.sides import Opened, checked, columns_of, contexts_of, open_sides
from pertura.recipes.narration import Narrator, Silent

FLOOD = "significant genes predicted"
"""Said of every preset with the ratio beside it, so not once more in a preset's own words."""
NEEDS_CELLS = "needs cells: the prediction is a table of means"


@dataclass(frozen=True, eq=False)
class Answer:
    """What a preset says of one context (or of all cells), and what that is worth.

    `model` is what the prediction is called.
    """

    model: str
    context: str
    study: Study
    judged: Judged
    worth: Worth
    warnings: tuple[str, ...]
    trained: bool = False
    """Baselines were fitted on train cells."""
    scale: pd.DataFrame | None = None
    """Where the rules publish a scale of their own: value, baseline, replicate and scaled score of each metric."""

    @property
    def preset(self) -> CompatiblePreset:
        """The rules that were asked."""
        return self.study.preset

    @property
    def sides(self) -> Sides:
        """Both sides, as they were judged."""
        return self.study.sides


@dataclass(frozen=True, eq=False)
class Beside:
    """What files bring besides the two sides: the model's name, baselines, train cells for a projection, strata."""

    model: str = "prediction"
    learnt: Learnt | None = None
    train: LabelledFile | None = None
    strata: Mapping[str, frozenset[str]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def rules_of(asked: Asked) -> CompatiblePreset:
    """Return the preset; an unknown name, effort, or metric to skip raises `UsageError`."""
    if asked.preset not in COMPATIBLE:
        raise UsageError(f"no preset {asked.preset!r}; there are {', '.join((*PRESETS, *COMPATIBLE))}")
    if asked.effort not in LEVELS:
        raise UsageError(f"--effort {asked.effort}: one of {', '.join(LEVELS)}")
    rules = COMPATIBLE[asked.preset]
    names = [one.name for one in rules.metrics]
    unknown = sorted(asked.skip - set(names))
    if unknown:
        raise UsageError(f"--skip {unknown[0]}: preset {asked.preset} has {', '.join(names)}")
    return rules


def ask_files(files: Files, reading: Reading, asked: Asked, narrator: Narrator | None = None) -> tuple[Answer, ...]:
    """Return what a preset says of files, context by context; nothing is written."""
    rules_of(asked)  # refuses what is not there before anything is read
    check_name(files.name)
    told = narrator or Silent()
    told.stage("reading both sides", 0, 1)
    opened = open_sides(files, reading, asked.memory)
    return ask(opened, asked, _beside(files, reading, opened, asked, told), told)


def ask(opened: Opened, asked: Asked, beside: Beside, narrator: Narrator) -> tuple[Answer, ...]:
    """Return what a preset says of two sides, context by context."""
    contexts, told = contexts_of(opened)
    told = (*opened.predicted.notes, *opened.observed.notes, *opened.warnings, *told, *beside.warnings)
    found = []
    for context in contexts:
        narrator.note(f"context {context}") if len(contexts) > 1 else None
        sides, more = checked(opened, context, from_log=takes_logarithms(rules_of(asked)))
        found.append(_answer(context, sides, opened, asked, beside, narrator))
        found[-1] = replace(found[-1], warnings=tuple(dict.fromkeys((*told, *more, *found[-1].warnings))))
    return tuple(found)


def _answer(context: str, sides: Sides, opened: Opened, asked: Asked, beside: Beside, narrator: Narrator) -> Answer:
    rules, logged = rules_of(asked), not opened.observed.whole
    absent = {one.name for one in rules.metrics if opened.means_only and one.needs != "means"}
    skip = asked.skip | absent
    train = beside.train.of(context) if beside.train is not None and context in beside.train.contexts else None
    options = Options(asked.memory, asked.threads, asked.device, skip, train, beside.strata)
    narrator.stage(f"{rules.name}: {len(rules.metrics) - len(skip)} columns", 0, 1)
    how: tuple[str, ...] = ()
    if takes_logarithms(rules):
        rules, sides, how = as_counts(rules, sides)
    judged = rules.judge(sides.predicted, sides.observed, options)
    judged = replace(judged, undone={**judged.undone, **dict.fromkeys(sorted(absent), NEEDS_CELLS)})
    references: tuple[Reference, ...] = (no_change(), leave_one_out_mean())
    if beside.learnt is not None:
        references += beside.learnt.references(sides.observed)
    runs = planned(sides.predicted, sides.observed, len(references), asked.effort, logged=logged)
    emitter = control_shift if logged else _counts
    study = Study(rules, sides, options, references, runs, logged, emitter, asked.seed)
    made = worth(study, judged, narrator.stage)
    scale, failed = on_published_scale(rules, sides, judged, options) if runs["tests"].any else (None, ())
    told = (*how, *failed, *(one for one in judged.warnings if FLOOD not in one), *made.warnings)
    return Answer(beside.model, context, study, judged, made, told, beside.learnt is not None, scale)


def _counts(
    controls: Float[np.ndarray, "cells genes"], profile: Float[np.ndarray, " genes"], rng: np.random.Generator
) -> Float[np.ndarray, "cells genes"]:
    """Shifted controls as whole numbers: fractions are rounded up as often as they are large, so means are kept."""
    shifted = control_shift(controls, profile, rng)
    return np.floor(shifted + rng.random(shifted.shape)).astype(np.float32)


def _beside(files: Files, reading: Reading, opened: Opened, asked: Asked, narrator: Narrator) -> Beside:
    cells = opened.observed.cells
    strata, told = strata_of(files.split, cells.targets, cells.control)
    model = files.name or ("prediction" if files.observed is not None else files.predicted.stem)
    made = Beside(model, strata=strata, warnings=(told,) if told else ())
    if files.train is None:
        return made
    narrator.stage("fitting baselines", 0, 1)
    train, observed = cells_beside(files, reading)
    judged = judged_conditions(cells.only([*opened.predicted.cells.targets, cells.control]), observed)
    learnt = learn(train, observed, judged, asked.seed, files.train)
    labelled = open_labelled(files.train, columns_of(files, reading), in_memory_bytes=asked.memory // 4)
    return replace(made, learnt=learnt, train=labelled, warnings=(*made.warnings, *learnt.warnings))
