"""Prediction files of any model, judged like our own."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pertura.comparison.compare import Comparison, compare, comparison_table
from pertura.core.atomic import write_text
from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, ContextError, UsageError
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction, Provenance
from pertura.core.split import ControlPartition, Split
from pertura.data.anndata_io import open_cells
from pertura.data.predictions import is_prediction_file, read_predictions
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.files import write_scores
from pertura.evaluation.observed import Observed, observe
from pertura.evaluation.presets import chosen
from pertura.models.table import MODELS
from pertura.recipes.recipe import names_a_folder


@dataclass(frozen=True)
class Files:
    """What is judged: predicted cells, observed cells (None: in the predicted file), train cells if there are any."""

    predicted: Path
    observed: Path | None = None
    train: Path | None = None
    name: str | None = None
    """What the predicting model is called; None: as the file says, or `prediction`."""


@dataclass(frozen=True)
class Reading:
    """How foreign files spell things; None is recognised from the file."""

    perturbation_column: str | None = None
    control: str | None = None
    context_column: str | None = None
    mode: str | None = None

    @property
    def flags(self) -> dict[str, object]:
        """The reading as flags of `open_cells`."""
        contexts = (self.context_column,) if self.context_column else None
        given = {
            "perturbation_column": self.perturbation_column,
            "control": self.control,
            "context_column": contexts,
            "mode": self.mode,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, eq=False)
class CellsByCondition(Mapping[Condition, Float[np.ndarray, "cells genes"]]):
    """Predicted cells of a screen, read a condition at a time."""

    cells: Cells

    def __getitem__(self, condition: Condition) -> Float[np.ndarray, "cells genes"]:
        return self.cells.dense(self.cells.rows_of(condition))

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.cells.perturbed)

    def __len__(self) -> int:
        return len(self.cells.perturbed)


@dataclass(frozen=True)
class Judgement:
    """A prediction file beside its references, and what a reader must be warned of."""

    comparison: Comparison
    warnings: tuple[str, ...]


def evaluate_files(files: Files, reading: Reading, out: Path, *, preset: str = "pertura", seed: int = 1) -> Judgement:
    """Return the scores of a prediction file beside no-change and the leave-one-out mean, and write all scores.

    With train cells every baseline is fitted on them and judged too. Files of our own bring split and observed cells
    with them. Observed controls are cut in two where the file does not say how. A reference gives way to a file of our
    own that holds the model of that name.
    """
    chosen(preset)
    _check_name(files)
    prediction, cells, split = _read(files, reading, seed)
    train = None if files.train is None else _train(files.train, reading, split)
    observed = observe(cells, split, seed=seed)
    references = [_no_change(observed), _leave_one_out(observed)]
    if train is not None:
        references += _baselines(train, cells, split, seed, observed)
    name = prediction.provenance.model
    judged = [prediction, *(one for one in references if one.provenance.model != name)]
    scores = [evaluate(one, observed, preset=preset) for one in judged]
    for one in scores:
        write_scores(one, out / "models" / one.model / "scores")
    made = compare(scores, subject=name)
    write_text(out / "comparison.csv", comparison_table(made).to_csv(index=False))
    told = train.warnings if train is not None else ()
    return Judgement(made, (*_not_predicted(cells, split), *observed.warnings, *told))


def _check_name(files: Files) -> None:
    """A name becomes a folder, and must not be that of a reference."""
    if files.name is not None and not names_a_folder(files.name):
        raise UsageError(f"--name {files.name!r} cannot be the name of a folder")
    if files.name in {"no-change", "leave-one-out-mean", *MODELS}:
        raise UsageError(f"--name {files.name} is what a reference is called; choose another")


def _read(files: Files, reading: Reading, seed: int) -> tuple[Prediction, Cells, Split]:
    if files.observed is None:
        return _read_own(files, reading)
    cells = open_cells(files.observed, **reading.flags)
    predicted = open_cells(files.predicted, **reading.flags)
    if predicted.scale.kind != cells.scale.kind:
        raise BadDataError(
            f"predicted cells are {predicted.scale.kind}, observed ones {cells.scale.kind}",
            file=files.predicted,
            remedy="bring both to one scale",
        )
    _check_genes(predicted, cells, files.predicted)
    conditions = _common(predicted, cells)
    controls = {}
    for context in sorted({one.context for one in conditions}):
        ids = [str(one) for one in cells.ids[cells.control_rows(context)]]
        if len(ids) < 4:
            raise ContextError(f"context {context!r} has {len(ids)} observed control cells; 4 are needed to cut in two")
        controls[context] = ControlPartition.halves(ids, seed, context)
    split = Split("given", frozenset(), frozenset(), frozenset(conditions), {}, controls, seed=seed)
    provenance = Provenance(files.name or "prediction", tuple(sorted(predicted.modes)), predicted.scale)
    return Prediction(predicted.genes, CellsByCondition(predicted), provenance), cells, split


def _read_own(files: Files, reading: Reading) -> tuple[Prediction, Cells, Split]:
    if not is_prediction_file(files.predicted):
        raise UsageError(f"{files.predicted} does not hold observed cells beside predicted ones; give --observed FILE")
    if reading.flags and files.train is None:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in reading.flags)
        raise UsageError(f"{files.predicted} says how it is read; leave out {flags}")
    stored = read_predictions(files.predicted)
    name = files.name or stored.prediction.provenance.model
    if not names_a_folder(name):
        raise BadDataError(f"the model is called {name!r}", file=files.predicted, remedy="give --name")
    renamed = replace(stored.prediction, provenance=replace(stored.prediction.provenance, model=name))
    return renamed, stored.observed, stored.split


def _check_genes(predicted: Cells, observed: Cells, file: Path) -> None:
    if predicted.genes == observed.genes:
        return
    ours, theirs = set(observed.genes), set(predicted.genes)
    if ours == theirs:
        raise BadDataError("the genes are not in the order of the observed cells", file=file, remedy="reorder var")
    lacking, further = sorted(ours - theirs), sorted(theirs - ours)
    told = [f"{len(lacking)} are missing (first: {lacking[0]})"] if lacking else []
    told += [f"{len(further)} are not observed (first: {further[0]})"] if further else []
    raise BadDataError(f"of the genes, {' and '.join(told)}", file=file, remedy="predict on the observed panel")


def _common(predicted: Cells, observed: Cells) -> list[Condition]:
    """The predicted conditions; one without observed cells is refused. Observed but not predicted ones are named."""
    ours, theirs = set(observed.perturbed), set(predicted.perturbed)
    if predicted.modes != observed.modes:
        raise BadDataError(
            f"predicted cells are perturbed by {_listed(predicted.modes)}, observed ones by {_listed(observed.modes)}",
            remedy="if a file does not say its mode, give --mode",
        )
    lacking = theirs - ours
    if lacking or not theirs:
        raise BadDataError(
            f"predicted but not observed: {_some(lacking)}" if lacking else "no predicted condition",
            remedy="give files with the same perturbations and contexts",
        )
    return sorted(theirs)


def _not_predicted(cells: Cells, split: Split) -> tuple[str, ...]:
    """What was observed, and neither judged nor trained on: said, because a model may have left out the hard ones."""
    rest = set(cells.perturbed) - split.test - split.train - split.valid
    return (f"observed but not predicted, and so not judged: {_some(rest)}",) if rest else ()


def _some(conditions: Collection[Condition]) -> str:
    named = ", ".join(sorted(one.label for one in conditions)[:6])
    return f"{len(conditions)} ({named}{' and more' if len(conditions) > 6 else ''})"


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"


@dataclass(frozen=True, eq=False)
class Train:
    """Train cells without the judged conditions and the controls that observed changes are taken from."""

    cells: Cells
    split: Split
    warnings: tuple[str, ...]


def _train(path: Path, reading: Reading, judged: Split) -> Train:
    cells = open_cells(path, **reading.flags)
    shown = frozenset(cells.perturbed) - judged.test
    if not shown:
        raise BadDataError("every condition in it is judged, none is left to train on", file=path)
    judge = {one for part in judged.controls.values() for one in part.judge}
    ids = {name: [str(one) for one in cells.ids[cells.control_rows(name)]] for name in cells.contexts}
    controls = {name: ControlPartition(tuple(sorted(set(own) - judge)), ()) for name, own in ids.items()}
    withheld = len(cells.perturbed) - len(shown)
    shared = sum(len(judge.intersection(own)) for own in ids.values())
    told = [f"{withheld} conditions of the train cells are judged and were not shown to the baselines"] * bool(withheld)
    told += [f"{shared} control cells of the train cells serve the observed changes and were not shown"] * bool(shared)
    seen = Split("train", shown, frozenset(), frozenset(), {}, controls, seed=judged.seed)
    return Train(cells, seen, tuple(told))


def _no_change(observed: Observed) -> Prediction:
    means = {one: observed.model_controls[i][None] for i, one in enumerate(observed.conditions)}
    return Prediction(observed.genes, means, Provenance("no-change"))


def _leave_one_out(observed: Observed) -> Prediction:
    """The mean observed change of the other perturbations of the context, from the model-side controls.

    It sees test cells of other perturbations, which no model may: a reference, not a baseline.
    """
    deltas = observed.means - observed.model_controls
    means = {}
    for i, one in enumerate(observed.conditions):
        others = (observed.contexts == observed.contexts[i]) & (np.arange(len(deltas)) != i)
        change = deltas[others].mean(axis=0) if others.any() else np.zeros(len(observed.genes))
        means[one] = (observed.model_controls[i] + change)[None]
    return Prediction(observed.genes, means, Provenance("leave-one-out-mean"))


def _baselines(train: Train, cells: Cells, split: Split, seed: int, observed: Observed) -> list[Prediction]:
    """Fit every baseline on the train cells; test conditions among these are never shown to it."""
    seen = train.split.visible(train.cells.with_genes(observed.genes))
    made = []
    for name, entry in MODELS.items():
        if name == "no-change":
            continue
        model = entry.build(None)
        model.fit(seen, train.split, seed=seed)
        answers: dict[Condition, Float[np.ndarray, "cells genes"]] = {}
        fallbacks: dict[Condition, str] = {}
        for context in sorted({one.context for one in observed.conditions}):
            asked = [one for one in observed.conditions if one.context == context]
            answer = model.predict(cells.take(split.model_controls(cells, context)), asked, seed=seed)
            answers |= answer.cells
            fallbacks |= answer.fallbacks
        made.append(Prediction(observed.genes, answers, Provenance(name), fallbacks))
    return made
