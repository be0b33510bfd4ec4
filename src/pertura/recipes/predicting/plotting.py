"""The figure of the genes that change most, for one or several models."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pertura.core.atomic import write_bytes, write_text
from pertura.core.errors import UsageError
from pertura.recipes.figure_files_cells import unit
from pertura.recipes.predicting.predicting import Predictions
from pertura.recipes.predicting.summary import GeneSummary
from pertura.report.predicted_genes import (
    CONTROL,
    OBSERVED,
    PredictedGenes,
    predicted_genes_capacity,
    predicted_genes_sheet,
)
from pertura.report.publication import FORMATS, WIDTHS
from pertura.report.tables import to_csv

TOP_GENES = 20
MOST_MODELS = 4
NARROW, WIDE = WIDTHS
Spread = Callable[[GeneSummary, tuple[str, ...]], Float[np.ndarray, "cells genes"]]
"""Gives for a perturbation and some genes the difference of single cells from the control mean."""


def check_figure(path: Path) -> None:
    """Raise `UsageError` where a file cannot be a figure."""
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise UsageError(f"--plot {path}: a figure ends in {', '.join('.' + one for one in FORMATS)}")
    if path.is_dir():
        raise UsageError(f"--plot {path}: this is a folder; name a file")


def numbers_beside(path: Path) -> Path:
    """Return where the numbers of a figure go; a table of all genes may have the figure's own name."""
    return path.with_suffix(".figure.csv")


def write_figure(path: Path, summaries: Mapping[str, Sequence[GeneSummary]], kind: str, spread: Spread) -> list[str]:
    """Write the figure and, beside it, its numbers as CSV; return what a reader must be told.

    `summaries`: for each perturbation one for each model. The genes are those that were observed to change most, where
    observed cells are there, otherwise those whose change the first model predicts to be largest.
    """
    check_figure(path)
    models = max(len(one) for one in summaries.values())
    if models > MOST_MODELS:
        raise UsageError(f"--plot: {models} models are too many for one figure; at most {MOST_MODELS}")
    width = NARROW if len(summaries) == 1 else WIDE
    most = predicted_genes_capacity(width)
    shown = dict(list(summaries.items())[:most])
    panels = [_panel(label, each, kind, spread) for label, each in shown.items()]
    sheet = predicted_genes_sheet(panels, unit=unit(next(iter(shown.values()))[0].scale), width_mm=width)
    write_bytes(path, sheet.rendered(path.suffix.lower().removeprefix(".")))
    write_text(numbers_beside(path), to_csv(sheet.source))
    left = len(summaries) - len(shown)
    return [f"drawn: the first {len(shown)} of {len(summaries)} perturbations"] if left else []


def control_spread(made: Predictions) -> Spread:
    """Return what gives the controls of the first model as differences from their mean."""
    answer = made.first

    def spread(one: GeneSummary, genes: tuple[str, ...]) -> Float[np.ndarray, "cells genes"]:
        cells = answer.controls.with_genes(genes)
        values = cells.dense(np.arange(len(cells)))
        return values - values.mean(axis=0)

    return spread


def write_predictions_figure(path: Path, made: Predictions) -> list[str]:
    """Write the figure of answers about somebody's controls."""
    summaries = {label: [one.summary(label) for one in made.answers] for label in made.labels}
    return write_figure(path, summaries, CONTROL, control_spread(made))


def _panel(label: str, each: Sequence[GeneSummary], kind: str, spread: Spread) -> PredictedGenes:
    first = each[0]
    common = set(first.genes).intersection(*(one.genes for one in each[1:]))
    by = first.observed - first.control if kind == OBSERVED and first.observed is not None else first.change
    ranked = sorted(
        (i for i, gene in enumerate(first.genes) if gene in common), key=lambda i: (-abs(by[i]), first.genes[i])
    )
    genes = tuple(first.genes[i] for i in ranked[:TOP_GENES])
    predicted = tuple((one.model, _of(one, genes)) for one in each)
    stand_ins = [one.model for one in each if one.stand_in]
    note = f"a stand-in answers: {', '.join(stand_ins)}" if stand_ins else ""
    return PredictedGenes(label, genes, kind, spread(first, genes), predicted, first.targets, note)


def _of(one: GeneSummary, genes: Sequence[str]) -> Float[np.ndarray, " genes"]:
    place = {gene: i for i, gene in enumerate(one.genes)}
    return one.change[[place[gene] for gene in genes]]
