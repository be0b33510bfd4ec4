"""Tables of differential expression of both sides, as parquet: one row for each condition and gene."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from pertura.core.atomic import replacing
from pertura.core.cells import Cells
from pertura.core.expression import Expression, Subset
from pertura.core.perturbation import Condition
from pertura.evaluation.predicted import Predicted, Stacked
from pertura.metrics.differential import DifferentialExpression, Tests, differential_expression
from pertura.recipes.foreign.judging import Judgement
from pertura.recipes.foreign.references import by_context

FILES = {"observed": "observed_de.parquet", "predicted": "predicted_de.parquet"}
Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class Side:
    """Some cells and the control cells of their context, stacked, with a code for each."""

    expression: Expression
    codes: Rows


def write_tests(made: Judgement, out: Path, options: Tests) -> tuple[str, ...]:
    """Write the tests of the observed and, where it has cells, of the predicted side; return the names of the files.

    Observed cells are tested against the judge-side controls of their context, predicted ones against the model side's.
    """
    predicted = Predicted.of(made.predictions[0], made.observed)
    _write(out / FILES["observed"], made, [_observed(made, context) for context in _contexts(made)], options)
    if not predicted.has_cells:
        return (FILES["observed"],)
    sides = [_predicted(made, predicted, context) for context in _contexts(made)]
    _write(out / FILES["predicted"], made, sides, options)
    return FILES["observed"], FILES["predicted"]


def _contexts(made: Judgement) -> dict[str, list[Condition]]:
    return dict(by_context(made.observed.conditions))


def _write(path: Path, made: Judgement, sides: Sequence[Side], options: Tests) -> None:
    genes = pa.array(made.observed.genes, type=pa.string())
    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        for (context, conditions), side in zip(_contexts(made).items(), sides):
            found = differential_expression(side.expression, side.codes, len(conditions), options=options)
            for table in _tables(found, conditions, context, genes):
                if writer is None:
                    writer = pq.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
        if writer is not None:
            writer.close()


def _tables(
    found: DifferentialExpression, conditions: Sequence[Condition], context: str, genes: pa.Array
) -> Iterator[pa.Table]:
    size = len(genes)
    for row, one in enumerate(conditions):
        columns = {
            "context": pa.array([context] * size).dictionary_encode(),
            "target": pa.array([one.perturbation.label] * size).dictionary_encode(),
            "feature": genes,
            "target_mean": np.asarray(found.target_mean[row], dtype=np.float64),
            "reference_mean": np.asarray(found.reference_mean, dtype=np.float64),
            "target_cells": np.full(size, found.target_counts[row]),
            "reference_cells": np.full(size, found.reference_count),
            "log2_fold_change": found.log2_fold_change[row],
            "percent_change": found.percent_change[row],
            "p_value": found.p_value[row],
            "statistic": found.statistic[row],
            "fdr": found.fdr[row],
        }
        yield pa.table(columns)


def _observed(made: Judgement, context: str) -> Side:
    cells: Cells = made.cells
    groups = [cells.rows_of(one) for one in _contexts(made)[context]]
    groups.append(made.split.judge_controls(cells, context))
    return Side(Subset(cells.expression, np.concatenate(groups)), _codes([len(rows) for rows in groups]))


def _predicted(made: Judgement, predicted: Predicted, context: str) -> Side:
    controls = made.split.model_controls(made.cells, context)
    stacked = Stacked(predicted, controls)
    starts = np.concatenate([[0], np.cumsum(predicted.sizes)])
    mine = [made.observed.conditions.index(one) for one in _contexts(made)[context]]
    rows = [np.arange(starts[i], starts[i + 1]) for i in mine]
    rows.append(np.arange(starts[-1], starts[-1] + len(controls)))
    return Side(Subset(stacked, np.concatenate(rows)), _codes([len(one) for one in rows]))


def _codes(sizes: Sequence[int]) -> Rows:
    return np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
