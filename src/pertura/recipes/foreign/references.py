"""Predictions that stand beside a foreign one: no change, the leave-one-out mean, baselines fitted on train cells."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction, Provenance
from pertura.core.seeds import generator
from pertura.core.split import ControlPartition, Split
from pertura.evaluation.observed import Observed
from pertura.models.table import BASELINES
from pertura.prediction.emit import control_shift, draw

MOST_VALUES = 1 << 28


@dataclass(frozen=True, eq=False)
class Train:
    """Train cells without the judged conditions and the controls that observed changes are taken from."""

    cells: Cells
    split: Split
    warnings: tuple[str, ...]


def train_of(cells: Cells, judged: Split, file: object) -> Train:
    """Return train cells beside a split of what is judged; controls of its judge side are withheld."""
    shown = frozenset(cells.perturbed) - judged.test
    if not shown:
        raise BadDataError("every condition in it is judged, none is left to train on", file=file)
    judge = {one for part in judged.controls.values() if not part.is_shared for one in part.judge}
    ids = {name: [str(one) for one in cells.ids[cells.control_rows(name)]] for name in cells.contexts}
    controls = {name: ControlPartition(tuple(sorted(set(own) - judge)), ()) for name, own in ids.items()}
    withheld = len(cells.perturbed) - len(shown)
    shared = sum(len(judge.intersection(own)) for own in ids.values())
    told = [f"{withheld} conditions of the train cells are judged and were not shown to the baselines"] * bool(withheld)
    told += [f"{shared} control cells of the train cells serve the observed changes and were not shown"] * bool(shared)
    seen = Split("train", shown, frozenset(), frozenset(), {}, controls, seed=judged.seed)
    return Train(cells, seen, tuple(told))


def no_change(observed: Observed) -> Prediction:
    """Return the prediction that perturbed cells look like the model-side controls."""
    means = {one: observed.model_controls[i][None] for i, one in enumerate(observed.conditions)}
    return Prediction(observed.genes, means, Provenance("no-change"))


def leave_one_out_mean(observed: Observed) -> Prediction:
    """Return the mean observed change of the other perturbations of the context, from the model-side controls.

    It sees test cells of other perturbations, which no model may: a reference, not a baseline.
    """
    deltas = observed.means - observed.model_controls
    means = {}
    for i, one in enumerate(observed.conditions):
        others = (observed.contexts == observed.contexts[i]) & (np.arange(len(deltas)) != i)
        change = deltas[others].mean(axis=0) if others.any() else np.zeros(len(observed.genes))
        means[one] = (observed.model_controls[i] + change)[None]
    return Prediction(observed.genes, means, Provenance("leave-one-out-mean"))


def baselines(train: Train, cells: Cells, split: Split, asked: Sequence[Condition], seed: int) -> list[Prediction]:
    """Fit every baseline on the train cells and ask it about the judged conditions; each answer is a mean profile.

    Test conditions among the train cells are never shown to it.
    """
    seen = train.split.visible(train.cells.with_genes(cells.genes))
    made = []
    for name, entry in BASELINES.items():
        if name == "no-change":
            continue
        model = entry.build(None)
        model.fit(seen, train.split, seed=seed)
        answers: dict[Condition, Float[np.ndarray, "cells genes"]] = {}
        fallbacks: dict[Condition, str] = {}
        for context, mine in by_context(asked).items():
            answer = model.predict(cells.take(split.model_controls(cells, context)), mine, seed=seed)
            answers |= answer.cells
            fallbacks |= answer.fallbacks
        made.append(Prediction(cells.genes, answers, Provenance(name), fallbacks))
    return made


def by_context(conditions: Sequence[Condition]) -> Mapping[str, list[Condition]]:
    """Return the conditions of each context, contexts sorted."""
    contexts = sorted({one.context for one in conditions})
    return {name: [one for one in conditions if one.context == name] for name in contexts}


@dataclass(frozen=True, eq=False)
class EmittedCells(Mapping[Condition, Float[np.ndarray, "cells genes"]]):
    """Cells around the mean profiles of a reference, made when asked for: model-side controls, shifted to the mean."""

    prediction: Prediction
    cells: Cells
    split: Split
    seed: int

    def __getitem__(self, condition: Condition) -> Float[np.ndarray, "cells genes"]:
        name = self.prediction.provenance.model
        rng = generator(self.seed, "reference", name, condition.label)
        controls = self.cells.take(self.split.model_controls(self.cells, condition.context))
        drawn = draw(controls, len(self.cells.rows_of(condition)), None, rng)
        return control_shift(controls.dense(drawn.rows), self.prediction.mean(condition), rng)

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.prediction.cells)

    def __len__(self) -> int:
        return len(self.prediction.cells)


def with_cells(reference: Prediction, cells: Cells, split: Split, seed: int) -> Prediction:
    """Return a reference with as many cells of each condition as were observed, where these are not too many.

    Beyond `MOST_VALUES` values it keeps its mean profiles, and metrics that look at cells say that they need some.
    """
    size = sum(len(cells.rows_of(one)) for one in reference.conditions) * len(cells.genes)
    if size > MOST_VALUES:
        return reference
    return replace(reference, cells=EmittedCells(reference, cells, split, seed))
