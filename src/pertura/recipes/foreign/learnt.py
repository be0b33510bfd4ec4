"""Baselines fitted on train cells, as references of another evaluator's rules; strata of a split by label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction
from pertura.core.split import ControlPartition, Split
from pertura.data.anndata_io import open_cells
from pertura.data.conventions import NONE
from pertura.data.labelled import Labelled
from pertura.data.splits.files import read_split
from pertura.evaluation.compatible.study import Profiles, Reference
from pertura.recipes.foreign.files import Files, Reading, truth_of
from pertura.recipes.foreign.references import baselines, train_of


@dataclass(frozen=True, eq=False)
class Learnt:
    """References of each context, and what was withheld from them."""

    predictions: tuple[Prediction, ...]
    observed: Cells
    warnings: tuple[str, ...]

    def references(self, cells: Labelled) -> tuple[Reference, ...]:
        """Return the baselines as references for labelled cells, which are (some of) the observed ones."""
        named = conditions_of(cells, self.observed)
        return tuple(_reference(one, cells.labels, named) for one in self.predictions)


def learn(train: Cells, observed: Cells, judged: frozenset[Condition], seed: int, file: object) -> Learnt:
    """Fit every baseline on train cells without the judged conditions, and ask it about these.

    The rules of another evaluator have one pool of control cells: the baselines answer from all observed controls.
    """
    contexts = sorted({one.context for one in judged})
    pools = {name: [str(one) for one in observed.ids[observed.control_rows(name)]] for name in contexts}
    shared = {name: ControlPartition.shared(ids) for name, ids in pools.items()}
    split = Split("given", frozenset(), frozenset(), judged, {}, shared, seed=seed)
    known = train_of(train, split, file)
    return Learnt(tuple(baselines(known, observed, split, sorted(judged), seed)), observed, known.warnings)


def cells_beside(files: Files, reading: Reading) -> tuple[Cells, Cells]:
    """Return train and observed cells, read as conditions; no context is recognised where none was given."""
    flags = {**reading.flags}
    if reading.context_column is None:
        flags["context_column"] = (NONE,)
    observed = truth_of(files.predicted, flags) if files.observed is None else open_cells(files.observed, **flags)
    return open_cells(Path(str(files.train)), **flags), observed


def conditions_of(cells: Labelled, observed: Cells) -> dict[str, Condition]:
    """Return the condition that each label of some observed cells stands for."""
    row_of = observed.row_of_id
    firsts = {label: str(cells.ids[cells.rows_of(label)[0]]) for label in cells.labels if len(cells.rows_of(label))}
    return {label: observed.conditions[observed.codes[row_of[one]]] for label, one in firsts.items()}


def judged_conditions(cells: Labelled, observed: Cells) -> frozenset[Condition]:
    """Return the conditions, control aside, of some observed cells."""
    codes = np.unique(observed.codes[observed.rows_of_ids([str(one) for one in cells.ids])])
    return frozenset(one for one in (observed.conditions[code] for code in codes) if not one.is_control)


def genes_of(labels: Sequence[str], control: str) -> dict[str, frozenset[str]]:
    """Return the genes that each label names, joined by + and perhaps beside the name of control."""
    return {one: frozenset(gene for gene in one.split("+") if gene != control) for one in labels}


def strata_of(path: Path | None, labels: Sequence[str], control: str) -> tuple[dict[str, frozenset[str]], str]:
    """Return the strata of a split by label, and a warning where a stratum names what no label says."""
    if path is None:
        return {}, ""
    split = read_split(path)
    named = genes_of(labels, control)
    found, missing = {}, 0
    for name, members in split.strata.items():
        wanted = {frozenset(one.genes) for one in members}
        found[name] = frozenset(label for label, genes in named.items() if genes in wanted)
        missing += len(wanted - set(named.values()))
    return found, f"{missing} conditions of the strata in {path} are no label here" if missing else ""


def _reference(prediction: Prediction, labels: Sequence[str], named: Mapping[str, Condition]) -> Reference:
    means = np.full((len(labels), len(prediction.genes)), np.nan)
    for row, label in enumerate(labels):
        if label in named and named[label] in prediction.cells:
            means[row] = prediction.mean(named[label])
    note = f"stand-in for {len(prediction.fallbacks)} conditions" if prediction.fallbacks else ""
    return Reference(prediction.provenance.model, _Fixed(np.maximum(means, 0.0)), note)


@dataclass(frozen=True, eq=False)
class _Fixed:
    """Profiles that were learnt elsewhere."""

    means: Float[np.ndarray, "labels genes"]

    def __call__(self, means: Profiles, control: int) -> Profiles:
        return self.means
