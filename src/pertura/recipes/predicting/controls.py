"""Somebody's control cells, from a file, an AnnData or an array, with what was assumed about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float, Num

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, UsageError
from pertura.core.expression import InMemory
from pertura.core.perturbation import Condition, Perturbation
from pertura.core.seeds import shuffled
from pertura.data.anndata_io import cells_from_anndata, open_screen
from pertura.data.conventions import known
from pertura.data.datasets.named import cells_named, is_name
from pertura.data.validate import walk_file

MARK, CONTROL = "pertura_control", "ctrl"
LARGEST_LOGARITHM = 30.0
NAMED = 6


@dataclass(frozen=True, kw_only=True)
class ControlsWish:
    """What a user says of the controls; whatever is left is recognised.

    `context` names their cell line, or chooses one of several. `all_cells`: every cell is a control, whatever labels
    say. `most`: so many of them, chosen by name. `flags` are those of `pertura inspect`.
    """

    context: str | None = None
    all_cells: bool = False
    most: int | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Controls:
    """Control cells of one context, in the order of their file, and notes on what was chosen and assumed."""

    cells: Cells
    notes: tuple[str, ...] = ()

    @property
    def context(self) -> str:
        """Their context; empty where nothing names it."""
        return self.cells.contexts[0]


def controls_from_file(path: Path, wish: ControlsWish) -> Controls:
    """Return the control cells of an .h5ad, a `dataset.toml` or a data set by name.

    In a file without labels every cell counts as one.
    """
    if path.suffix == ".toml" or (not path.exists() and is_name(str(path))):
        return _chosen(cells_named(str(path)), wish, ())
    walk_file(path)
    adata = anndata.read_h5ad(path) if path.is_file() else anndata.read_zarr(path)
    try:
        if _is_labelled(tuple(str(one) for one in adata.obs.columns), wish):
            return _chosen(open_screen(path, **wish.flags).cells, wish, ())
        return controls_from_anndata(adata, wish)
    except BadDataError as error:
        raise BadDataError(error.problem, file=error.file or path, place=error.place, remedy=error.remedy) from error


def controls_from_anndata(adata: anndata.AnnData, wish: ControlsWish) -> Controls:
    """Return the control cells of an AnnData; without labels every cell counts as one, which the notes say."""
    if _is_labelled(tuple(str(one) for one in adata.obs.columns), wish):
        return _chosen(cells_from_anndata(adata, **wish.flags), wish, ())
    marked = anndata.AnnData(
        adata.X, obs=adata.obs.assign(**{MARK: pd.Categorical([CONTROL] * adata.n_obs)}), var=adata.var, uns=adata.uns
    )
    kept = {name: one for name, one in wish.flags.items() if name not in ("control", "perturbation_column")}
    cells = cells_from_anndata(marked, perturbation_column=MARK, control=CONTROL, **kept)
    said = "as asked" if wish.all_cells else "no column says otherwise"
    return _chosen(cells, wish, (f"all {len(cells):,} cells count as controls: {said}",))


def controls_from_array(
    values: Num[np.ndarray, "*cells genes"], genes: Sequence[str], wish: ControlsWish, scale: Scale | None
) -> Controls:
    """Return controls from cells x genes, or from one control sample; `scale` is the model's, None where unknown.

    Numbers without a file say nothing of their scale: whole numbers of which some are large are taken for counts,
    others to be on the model's scale.
    """
    matrix = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if matrix.shape[1] != len(genes):
        raise UsageError(f"{matrix.shape[1]} numbers for each cell, and {len(genes)} genes are named")
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise BadDataError("values below zero or none at all (NaN)", remedy="give counts or log-normalised values")
    found, note = _scale_of(matrix, scale)
    cells = Cells(
        expression=InMemory(matrix),
        genes=tuple(str(one) for one in genes),
        ids=np.asarray([f"control-{i}" for i in range(len(matrix))], dtype=object),
        conditions=(Condition(Perturbation(), wish.context or ""),),
        codes=np.zeros(len(matrix), dtype=np.int64),
        scale=found,
        name="controls",
    )
    return _chosen(cells, wish, (note,))


def _scale_of(matrix: Float[np.ndarray, "cells genes"], scale: Scale | None) -> tuple[Scale, str]:
    whole = bool((matrix == np.rint(matrix)).all())
    if whole and float(matrix.max(initial=0.0)) > 1:
        return Scale("counts", evidence="whole numbers"), "the numbers are whole: taken for counts"
    if float(matrix.max(initial=0.0)) > LARGEST_LOGARITHM:
        raise BadDataError(f"fractions up to {matrix.max():,.6g} are neither counts nor logarithms of counts")
    if scale is not None and scale.kind == "lognormalised":
        return scale, "the numbers are taken to be on the scale that the model was trained on"
    return Scale("lognormalised", evidence="fractions"), "the numbers are taken for logarithms of normalised counts"


def _is_labelled(columns: Sequence[str], wish: ControlsWish) -> bool:
    """Whether some column may say which cells are controls."""
    if wish.all_cells:
        return False
    if any(wish.flags.get(name) for name in ("perturbation_column", "target_column", "control", "control_column")):
        return True
    names = (*known("perturbation_columns"), *known("target_columns"), *known("control_columns"))
    return any(one in columns for one in names)


def _chosen(cells: Cells, wish: ControlsWish, notes: tuple[str, ...]) -> Controls:
    """Return the controls among the cells, of one context, perhaps not all of them."""
    rows = np.flatnonzero(cells.is_control)
    if not len(rows):
        raise BadDataError(f"{cells.name}: no cell is a control", remedy="say which are, with --control or --all-cells")
    said = list(notes)
    if len(rows) < len(cells):
        said.append(f"{len(rows):,} of {len(cells):,} cells are controls; the others are not looked at")
    controls = _of_context(cells.take(rows), wish.context)
    if wish.most is not None and wish.most < len(controls):
        kept = np.sort(shuffled(controls.ids, 0, "controls to predict from")[: wish.most])
        said.append(f"{wish.most:,} of {len(controls):,} controls are used, chosen by name")
        controls = controls.take(kept)
    return Controls(controls, tuple(said))


def _of_context(controls: Cells, context: str | None) -> Cells:
    contexts = controls.contexts
    if context in contexts:
        return controls.take(controls.control_rows(str(context)))
    if len(contexts) > 1:
        listed = ", ".join(contexts[:NAMED]) + (" and more" if len(contexts) > NAMED else "")
        raise UsageError(f"the controls are of several contexts ({listed}): choose one with --context")
    if context is None:
        return controls
    if contexts[0]:
        raise UsageError(f"the controls are of {contexts[0]}, not of {context}")
    renamed = tuple(replace(one, context=context) for one in controls.conditions)
    return replace(controls, conditions=renamed)
