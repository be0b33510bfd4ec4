"""Which conditions and controls a template asks for, by the rules it will be judged under."""

from pathlib import Path

import numpy as np

from pertura.core.errors import BadDataError, UsageError
from pertura.data.anndata_io import open_cells
from pertura.data.labelled_file import LabelColumns, LabelledFile, open_labelled
from pertura.data.splits.files import read_split
from pertura.evaluation.compatible.table import COMPATIBLE
from pertura.evaluation.presets import PRESETS
from pertura.recipes.foreign.files import Reading, control_part
from pertura.recipes.foreign.learnt import genes_of
from pertura.recipes.foreign.template import Rows, Skeleton, write_template


def skeleton(
    observed: Path, out: Path, reading: Reading, *, split: Path | None = None, rules: tuple[str, int] = ("pertura", 1)
) -> Skeleton:
    """Write a template for the observed conditions (those of the split's test part where one is given).

    `rules` are preset and seed. Under preset `pertura` it holds the model-side half of the controls, since no
    prediction may see the half that observed changes are taken from; under other presets all of them.
    """
    if out.suffix != ".h5ad":
        raise UsageError(f"--template {out}: name an .h5ad file")
    if rules[0] not in {*PRESETS, *COMPATIBLE}:
        raise UsageError(f"no preset {rules[0]!r}; there are {', '.join((*PRESETS, *COMPATIBLE))}")
    columns = LabelColumns(reading.perturbation_column, reading.control, reading.context_column)
    cells = open_labelled(observed, columns)
    wanted = _wanted(cells, split)
    controls = cells.cells.rows_of(cells.cells.control)
    if rules[0] in PRESETS:
        controls = _model_side(observed, reading, split, rules[1])
    return write_template(observed, out, columns, wanted, controls)


def _wanted(cells: LabelledFile, split: Path | None) -> tuple[str, ...]:
    labels = cells.cells.targets
    if split is None:
        return labels
    test = {frozenset(one.genes) for one in read_split(split).test}
    named = genes_of(labels, cells.cells.control)
    found = tuple(one for one in labels if named[one] in test)
    if not found:
        raise BadDataError("no observed label is one of its test conditions", file=split)
    return found


def _model_side(observed: Path, reading: Reading, split: Path | None, seed: int) -> Rows:
    cells = open_cells(observed, **reading.flags)
    given = None if split is None else read_split(split)
    parts = [control_part(cells, name, given, seed).model for name in cells.contexts]
    rows = [cells.rows_of_ids(list(one)) for one in parts]
    return np.sort(np.concatenate(rows))
