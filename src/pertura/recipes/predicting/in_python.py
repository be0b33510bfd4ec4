"""Predictions in Python: a model, control cells, and the genes to perturb."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float

from pertura.core.errors import UsageError
from pertura.core.perturbation import Mode
from pertura.data.conventions import Flags, reject_unknown
from pertura.prediction.domain import DomainCheck, told
from pertura.recipes.foreign.in_python import PerturaWarning
from pertura.recipes.predicting.answering import Manner
from pertura.recipes.predicting.asked import labels_of
from pertura.recipes.predicting.controls import (
    Controls,
    ControlsWish,
    controls_from_anndata,
    controls_from_array,
    controls_from_file,
)
from pertura.recipes.predicting.models import Member, OpenedModel, opened_model
from pertura.recipes.predicting.plotting import write_predictions_figure
from pertura.recipes.predicting.predicting import Ask, ModelAnswer, Predictions, memory_of, predictions
from pertura.recipes.predicting.summary import gene_table
from pertura.recipes.predicting.writing import to_anndata, write_answers

Given = str | Path | Member
WISHES = ("mode", "all_cells", "most")
SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False)
class Predicted:
    """The answers of one or several models; cells are made when they are asked for.

    Printed, it says for each perturbation what to expect and why.
    """

    made: Predictions
    manner: Manner

    @property
    def perturbations(self) -> tuple[str, ...]:
        """What was asked, as `A` or `A+B` with the genes sorted."""
        return self.made.labels

    @property
    def models(self) -> tuple[str, ...]:
        """The models that were asked."""
        return tuple(one.model.name for one in self.made.answers)

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes that the first model answers on: the columns of its cells."""
        return self.made.first.controls.genes

    @property
    def memory(self) -> float:
        """About how many bytes the largest step takes."""
        return memory_of(self.made, self.manner)

    def cells(self, perturbation: str | None = None, model: str | None = None) -> Float[np.ndarray, "cells genes"]:
        """Return what each control becomes: row i belongs to row i of the controls. float32, never below zero."""
        return self._answer(model).cells(self._label(perturbation))

    def table(self, perturbation: str | None = None) -> pd.DataFrame:
        """Return the genes ranked by predicted change; of one perturbation, or of all. See `gene_table`."""
        wanted = self.made.labels if perturbation is None else (self._label(perturbation),)
        return gene_table(one.summary(label) for label in wanted for one in self.made.answers)

    def check(self, perturbation: str | None = None, model: str | None = None) -> DomainCheck:
        """Return what to expect of an answer, and why."""
        return self._answer(model).checks[self._label(perturbation)]

    def to_anndata(self) -> anndata.AnnData:
        """Return all cells as AnnData; see `to_anndata` of `pertura.recipes.predicting.writing`."""
        return to_anndata(self.made)

    def write(self, path: str | Path) -> None:
        """Write all cells as .h5ad, one perturbation in memory at a time."""
        write_answers(Path(path), self.made)

    def plot(self, path: str | Path) -> None:
        """Write the figure of the 20 genes that change most (.png, .pdf, .svg), and its numbers as CSV."""
        write_predictions_figure(Path(path), self.made)

    def __repr__(self) -> str:
        size = f"{len(self.perturbations)} perturbations of {len(self.made.first.controls):,} controls"
        lines = [f"{', '.join(self.models)}: {size}"]
        lines += [f"note: {one}" for one in self.made.notes]
        for one in self.made.answers:
            lines += [f"note ({one.model.name}): {note}" for note in one.notes]
            lines += told(list(one.checks.values()))
        return "\n".join(lines)

    def _label(self, perturbation: str | None) -> str:
        if perturbation is None:
            if len(self.made.labels) > 1:
                raise UsageError(f"which perturbation? there are {', '.join(self.made.labels)}")
            return self.made.labels[0]
        label = labels_of([perturbation])[0]
        if label not in self.made.labels:
            raise UsageError(f"{perturbation} was not asked; there are {', '.join(self.made.labels)}")
        return label

    def _answer(self, model: str | None) -> ModelAnswer:
        found = [one for one in self.made.answers if model in (None, one.model.name)]
        if not found:
            raise UsageError(f"no model {model!r} was asked; there are {', '.join(self.models)}")
        return found[0]


def predict(
    model: Given | Sequence[Given],
    controls: "anndata.AnnData | str | Path | Float[np.ndarray, '*cells genes']",
    perturb: str | Sequence[str],
    *,
    genes: Sequence[str] | None = None,
    context: str | None = None,
    **how: Any,
) -> Predicted:
    """Return what control cells become when genes are perturbed, with ranked genes and what to expect of the answer.

    `model`: a run folder, `RUN/models/NAME`, a folder of a fitted or published model, a hub name with a revision, or a
    fitted model; several of them are asked the same. `controls`: AnnData, a file, or an array with `genes` naming its
    columns (one control sample: one dimension). `perturb`: `POU3F2`, `SAMD1+ZBTB1`, or several. `context` names the
    cell line, or chooses one.

    Further keywords: `mode`, `all_cells`, `most` (controls), `seed`, `missing` ("mask" or "refuse"), `genes_at_once`,
    `emitter`, `device`, and the flags of `pertura inspect` for controls in a file or AnnData. What must be known but
    stops nothing is a `PerturaWarning`. Raises `UnknownGeneError`, `ModeError`, `BadDataError`.
    """
    manners, flags = {one.name for one in fields(Manner)}, {one.name for one in fields(Flags)} - {"mode"}
    reject_unknown(how, (*WISHES, *sorted(manners), *sorted(flags)), "keyword")
    wish = ControlsWish(
        context=context,
        all_cells=bool(how.get("all_cells", False)),
        most=how.get("most"),
        flags={name: one for name, one in how.items() if name in flags},
    )
    opened = [opened_model(one) for one in _several(model)]
    manner = Manner(**{name: one for name, one in how.items() if name in manners})
    asked = (perturb,) if isinstance(perturb, str) else tuple(perturb)
    mode = None if how.get("mode") is None else Mode(how["mode"])
    ask = Ask(perturbations=asked, mode=mode, manner=manner)
    made = predictions(opened, _controls(controls, genes, wish, opened[0]), ask)
    for note in made.notes:
        warnings.warn(note, PerturaWarning, stacklevel=2)
    doubtful = [label for label in made.labels if made.first.checks[label].level == "doubtful"]
    if doubtful:
        few = ", ".join(doubtful[:SHOWN]) + (" and more" if len(doubtful) > SHOWN else "")
        said = (
            f"little is to be expected for {len(doubtful)} of {len(made.labels)} ({few}): print the result to see why"
        )
        warnings.warn(said, PerturaWarning, stacklevel=2)
    return Predicted(made, manner)


def _several(model: Given | Sequence[Given]) -> list[Given]:
    if isinstance(model, Sequence) and not isinstance(model, str):
        return list(model)
    return [model]


def _controls(
    controls: "anndata.AnnData | str | Path | Float[np.ndarray, '*cells genes']",
    genes: Sequence[str] | None,
    wish: ControlsWish,
    first: OpenedModel,
) -> Controls:
    if isinstance(controls, anndata.AnnData):
        return controls_from_anndata(controls, wish)
    if isinstance(controls, str | Path):
        return controls_from_file(Path(controls), wish)
    if genes is None:
        raise UsageError("an array does not say which gene a column is: name them with genes=")
    return controls_from_array(controls, genes, wish, first.scale)
