"""The files of a judgement, and both sides of it read out of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, ContextError, UsageError
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction, Provenance
from pertura.core.split import ControlPartition, Split
from pertura.data.anndata_io import open_cells, open_screen
from pertura.data.labelled_file import TRUTH, layer_of_file
from pertura.data.means_table import MeansTable, is_means_table, read_means
from pertura.data.predictions import is_prediction_file, read_predictions
from pertura.data.splits.files import read_split
from pertura.models.table import BASELINES
from pertura.recipes.foreign.checks import Side, check_genes, check_sides
from pertura.recipes.foreign.template import explained
from pertura.recipes.recipe import names_a_folder

REFERENCES = ("no-change", "leave-one-out-mean")
ONE_FILE = "does not hold observed cells beside predicted ones; give --observed FILE"


@dataclass(frozen=True)
class Files:
    """What is judged: predicted cells or means, observed cells (None: in the predicted file), train cells, a split."""

    predicted: Path
    observed: Path | None = None
    train: Path | None = None
    name: str | None = None
    """What the predicting model is called; None: as the file says, or `prediction`."""
    split: Path | None = None
    """Names strata of what is judged; where it names the observed control cells, also their two halves."""


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


@dataclass(frozen=True, eq=False)
class Pair:
    """A prediction, the observed cells it is judged on, and under which split. `means_only`: it has no cells."""

    prediction: Prediction
    cells: Cells
    split: Split
    warnings: tuple[str, ...] = ()
    means_only: bool = False


def check_name(name: str | None) -> None:
    """Raise where a name cannot become a folder, or is that of a reference."""
    if name is not None and not names_a_folder(name):
        raise UsageError(f"--name {name!r} cannot be the name of a folder")
    if name in {*REFERENCES, *BASELINES}:
        raise UsageError(f"--name {name} is what a reference is called; choose another")


def open_pair(files: Files, reading: Reading, seed: int) -> Pair:
    """Return both sides of a judgement.

    Files of our own bring split and observed cells with them. Observed controls are cut in two where neither the file
    nor a split says how. Whatever cannot be set beside one another raises `BadDataError`.
    """
    if files.observed is None and not is_means_table(files.predicted) and is_prediction_file(files.predicted):
        return _own(files, reading)
    if is_means_table(files.predicted):
        if files.observed is None:
            raise UsageError(f"{files.predicted} holds means only; give --observed FILE")
        cells = open_cells(files.observed, **reading.flags)
        return pair_of_means(read_means(files.predicted, cells.genes), cells, files, seed)
    with explained(files.predicted):
        predicted = open_cells(files.predicted, **reading.flags)
    flags = reading.flags
    cells = truth_of(files.predicted, flags) if files.observed is None else open_cells(files.observed, **flags)
    return pair_of_cells(predicted, cells, files, seed)


def pair_of_cells(predicted: Cells, cells: Cells, files: Files, seed: int) -> Pair:
    """Return the pair of two screens."""
    sides = Side.of_cells(predicted, str(files.predicted)), Side.of_cells(cells, str(files.observed or files.predicted))
    told = check_sides(*sides, (predicted.scale.kind == "counts", cells.scale.kind == "counts"))
    conditions = _common(predicted, cells)
    split, more = _split(cells, conditions, files.split, seed)
    provenance = Provenance(files.name or "prediction", tuple(sorted(predicted.modes)), predicted.scale)
    prediction = Prediction(predicted.genes, CellsByCondition(predicted), provenance)
    return Pair(prediction, cells, split, (*_not_predicted(cells, split), *told, *more))


def pair_of_means(table: MeansTable, cells: Cells, files: Files, seed: int) -> Pair:
    """Return the pair of a table of means and a screen; conditions are named as the screen's file spells them."""
    if cells.scale.kind == "counts":
        raise BadDataError("means of logarithms cannot be judged on counts", file=files.observed, remedy="normalise it")
    named = {cells.spellings.get(one, one.label): one for one in cells.present}
    named |= {one.label: one for one in cells.present}
    unknown = [one for one in table.names if one not in named]
    if unknown:
        raise BadDataError(
            f"predicted but not observed: {len(unknown)} ({', '.join(unknown[:6])}{' and more' * (len(unknown) > 6)})",
            file=files.predicted,
            remedy="name the conditions as the observed file spells them",
        )
    rows = {named[one]: table.of(one)[None] for one in table.names if not named[one].is_control}
    if not rows:
        raise BadDataError("no predicted condition", file=files.predicted)
    split, more = _split(cells, sorted(rows), files.split, seed)
    prediction = Prediction(table.genes, rows, Provenance(files.name or "prediction", scale=cells.scale))
    told = (f"means only ({table.evidence}): metrics that look at cells need cells", *more)
    return Pair(prediction, cells, split, (*_not_predicted(cells, split), *told), means_only=True)


def pair_of_prediction(prediction: Prediction, cells: Cells, split: Split | None, files: Files, seed: int) -> Pair:
    """Return the pair of a prediction in memory and a screen; without a split its controls are cut in halves."""
    check_genes(prediction.genes, cells.genes, prediction.provenance.model)
    lacking = set(prediction.conditions) - set(cells.perturbed)
    if lacking or not prediction.conditions:
        problem = f"predicted but not observed: {some(lacking)}" if lacking else "no predicted condition"
        raise BadDataError(problem, remedy="give a prediction of observed conditions")
    told: tuple[str, ...] = ()
    if split is None:
        split, told = _split(cells, prediction.conditions, files.split, seed)
    name = files.name or prediction.provenance.model
    named = replace(prediction, provenance=replace(prediction.provenance, model=name))
    return Pair(named, cells, split, (*_not_predicted(cells, split), *told))


def _own(files: Files, reading: Reading) -> Pair:
    if reading.flags and files.train is None:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in reading.flags)
        raise UsageError(f"{files.predicted} says how it is read; leave out {flags}")
    if files.split is not None:
        raise UsageError(f"{files.predicted} holds the split it was made under; leave out --split")
    stored = read_predictions(files.predicted)
    name = files.name or stored.prediction.provenance.model
    if not names_a_folder(name):
        raise BadDataError(f"the model is called {name!r}", file=files.predicted, remedy="give --name")
    renamed = replace(stored.prediction, provenance=replace(stored.prediction.provenance, model=name))
    return Pair(renamed, stored.observed, stored.split, _not_predicted(stored.observed, stored.split))


def truth_of(path: Path, flags: Mapping[str, object]) -> Cells:
    """Return the observed cells that a file of predictions holds in a layer, whoever wrote it."""
    screen = open_screen(path, **flags)
    if TRUTH not in screen.facts.layers:
        raise UsageError(f"{path} {ONE_FILE}")
    cells = screen.cells
    expression, whole = layer_of_file(path, TRUTH, cells.genes, cells.ids)
    said = f"observed cells from layers[{TRUTH!r}]"
    scale = Scale("counts", evidence=said) if whole else Scale("lognormalised", evidence=f"fractions; {said}")
    return replace(cells, expression=expression, scale=scale, name=f"{cells.name}, observed")


# ---- conditions and controls


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
            f"predicted but not observed: {some(lacking)}" if lacking else "no predicted condition",
            remedy="give files with the same perturbations and contexts",
        )
    return sorted(theirs)


def _split(
    cells: Cells, conditions: Collection[Condition], path: Path | None, seed: int
) -> tuple[Split, tuple[str, ...]]:
    given = None if path is None else read_split(path)
    shown = frozenset(conditions) & (given.train | given.valid) if given else frozenset()
    judged = frozenset(conditions) - shown
    if not judged:
        raise BadDataError("every predicted condition is one of train or valid", file=path)
    strata = {name: members & judged for name, members in given.strata.items()} if given else {}
    contexts = sorted({one.context for one in judged})
    controls = {name: control_part(cells, name, given, seed) for name in contexts}
    told = (f"train or valid conditions of the split, and so not judged: {some(shown)}",) if shown else ()
    return Split("given", frozenset(), frozenset(), judged, strata, controls, seed=seed), told


def control_part(cells: Cells, context: str, given: Split | None, seed: int) -> ControlPartition:
    """Return the cut of a context's controls: that of a split which names these very cells, else halves."""
    ids = [str(one) for one in cells.ids[cells.control_rows(context)]]
    if given is not None and context in given.controls:
        known = given.controls[context]
        if set(ids) == {*known.model, *known.judge}:
            return known
    if len(ids) < 4:
        raise ContextError(f"context {context!r} has {len(ids)} observed control cells; 4 are needed to cut in two")
    return ControlPartition.halves(ids, seed, context)


def _not_predicted(cells: Cells, split: Split) -> tuple[str, ...]:
    """What was observed, and neither judged nor trained on: said, because a model may have left out the hard ones."""
    rest = set(cells.perturbed) - split.test - split.train - split.valid
    return (f"observed but not predicted, and so not judged: {some(rest)}",) if rest else ()


def some(conditions: Collection[Condition]) -> str:
    """Return how many conditions there are, and the first of them."""
    named = ", ".join(sorted(one.label for one in conditions)[:6])
    return f"{len(conditions)} ({named}{' and more' if len(conditions) > 6 else ''})"


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"
