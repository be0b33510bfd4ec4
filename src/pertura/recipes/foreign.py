"""Prediction files of any model, judged like our own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pertura.comparison.compare import Comparison, compare, comparison_table
from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, ContextError
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction, Provenance
from pertura.core.split import ControlPartition, Split
from pertura.data.anndata_io import open_cells
from pertura.data.atomic import write_text
from pertura.data.predictions import read_predictions
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.files import write_scores
from pertura.evaluation.observed import Observed, observe
from pertura.models.table import MODELS


@dataclass(frozen=True)
class Files:
    """What is judged: predicted cells, observed cells (None: in the predicted file), train cells if there are any."""

    predicted: Path
    observed: Path | None
    train: Path | None
    name: str


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


def evaluate_files(files: Files, reading: Reading, out: Path, *, preset: str = "pertura", seed: int = 1) -> Comparison:
    """Return the scores of a prediction file beside no-change and the leave-one-out mean, and write all scores.

    With train cells every baseline is fitted on them and judged too. Files of our own bring split and observed cells
    with them. Observed controls are cut in two where the file does not say how.
    """
    prediction, cells, split = _read(files, reading, seed)
    observed = observe(cells, split, seed=seed)
    judged = [prediction, _no_change(observed), _leave_one_out(observed)]
    if files.train is not None:
        judged += _baselines(open_cells(files.train, **reading.flags), cells, split, seed, observed)
    scores = [evaluate(one, observed, preset=preset) for one in judged]
    for one in scores:
        write_scores(one, out / "models" / one.model / "scores")
    made = compare(scores, subject=prediction.provenance.model)
    write_text(out / "comparison.csv", comparison_table(made).to_csv(index=False))
    return made


def _read(files: Files, reading: Reading, seed: int) -> tuple[Prediction, Cells, Split]:
    if files.observed is None:
        stored = read_predictions(files.predicted)
        return stored.prediction, stored.observed, stored.split
    cells = open_cells(files.observed, **reading.flags)
    predicted = open_cells(files.predicted, **reading.flags)
    if predicted.scale.kind != cells.scale.kind:
        raise BadDataError(
            f"predicted cells are {predicted.scale.kind}, observed ones {cells.scale.kind}",
            file=files.predicted,
            remedy="bring both to one scale",
        )
    conditions = _common(predicted, cells)
    controls = {}
    for context in sorted({one.context for one in conditions}):
        ids = [str(one) for one in cells.ids[cells.control_rows(context)]]
        if len(ids) < 4:
            raise ContextError(f"context {context!r} has {len(ids)} observed control cells; 4 are needed to cut in two")
        controls[context] = ControlPartition.halves(ids, seed, context)
    split = Split("given", frozenset(), frozenset(), frozenset(conditions), {}, controls, seed=seed)
    provenance = Provenance(files.name, tuple(sorted(predicted.modes)), predicted.scale)
    return Prediction(predicted.genes, CellsByCondition(predicted), provenance), cells, split


def _common(predicted: Cells, observed: Cells) -> list[Condition]:
    """The conditions both have; one that only one of them has is refused, never left out in silence."""
    ours, theirs = set(observed.perturbed), set(predicted.perturbed)
    for who, lacking in (("predicted", ours - theirs), ("observed", theirs - ours)):
        if lacking:
            named = ", ".join(sorted(one.label for one in lacking)[:6])
            raise BadDataError(
                f"{len(lacking)} conditions are not among the {who} cells: {named}",
                remedy="give files with the same conditions, contexts and modes",
            )
    return sorted(ours)


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


def _baselines(train: Cells, cells: Cells, split: Split, seed: int, observed: Observed) -> list[Prediction]:
    """Fit every baseline on the train cells; test conditions among these are never shown to it."""
    shown = frozenset(train.perturbed) - split.test
    controls = {
        name: ControlPartition(tuple(sorted(str(one) for one in train.ids[train.control_rows(name)])), ())
        for name in train.contexts
    }
    seen = Split("train", shown, frozenset(), frozenset(), {}, controls, seed=seed)
    made = []
    for name, entry in MODELS.items():
        if name == "no-change":
            continue
        model = entry.build(None)
        model.fit(seen.visible(train.with_genes(observed.genes)), seen, seed=seed)
        answers: dict[Condition, Float[np.ndarray, "cells genes"]] = {}
        fallbacks: dict[Condition, str] = {}
        for context in sorted({one.context for one in observed.conditions}):
            asked = [one for one in observed.conditions if one.context == context]
            answer = model.predict(cells.take(split.model_controls(cells, context)), asked, seed=seed)
            answers |= answer.cells
            fallbacks |= answer.fallbacks
        made.append(Prediction(observed.genes, answers, Provenance(name), fallbacks))
    return made
