"""cell-eval's `results.csv`, `agg_results.csv`, `real_de.csv` and `pred_de.csv`: its columns, rows and empty cells."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from pertura.core.atomic import replacing, write_text
from pertura.evaluation.compatible.aggregate import described
from pertura.evaluation.compatible.profile import Column, Judged
from pertura.metrics.differential import DifferentialExpression

TEST_FILES = {"observed": "real_de.csv", "predicted": "pred_de.csv"}
TEST_COLUMNS = (
    "target",
    "feature",
    "target_mean",
    "ref_mean",
    "target_membership",
    "ref_membership",
    "log2_fold_change",
    "percent_change",
    "p_value",
    "statistic",
    "fdr",
)


def write_files(judged: Judged, genes: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Write the results, their aggregate, and the tests of either side where there are any; return the paths."""
    write_text(folder / "results.csv", results_text(judged))
    write_text(folder / "agg_results.csv", aggregate_text(judged))
    for side, tests in judged.tests.items():
        write_tests(tests, judged.labels, genes, folder / TEST_FILES[side])
    names = ("results.csv", "agg_results.csv", *(TEST_FILES[side] for side in judged.tests))
    return tuple(folder / name for name in names)


def results_text(judged: Judged) -> str:
    """Return one row per label: numbers in full, NaN as NaN, and nothing where there is no entry."""
    columns = [_cells(column) for column in judged.columns.values()]
    rows = zip(judged.labels, *columns, strict=True)
    return _text(["perturbation", *judged.columns], rows)


def aggregate_text(judged: Judged) -> str:
    """Return one row per statistic, described as polars does."""
    rows = [[name, *map(_number, row.values())] for name, row in described(judged.columns).items()]
    return _text(["statistic", *judged.columns], rows)


def write_tests(tests: DifferentialExpression, labels: Sequence[str], genes: Sequence[str], path: Path) -> None:
    """Write one row per label and gene: the table of differential expression of one side.

    A gene that was filtered out of a label's tests has no row.
    """
    options = arrow_csv.WriteOptions(include_header=False)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write((",".join(TEST_COLUMNS) + "\n").encode())
        tables = _tables(tests, labels, genes)
        first = next(tables, None)
        if first is None:
            return
        with arrow_csv.CSVWriter(file, first.schema, write_options=options) as writer:
            writer.write_batch(first)
            for table in tables:
                writer.write_batch(table)


def _tables(tests: DifferentialExpression, labels: Sequence[str], genes: Sequence[str]) -> Iterator[pa.RecordBatch]:
    names = pa.array(genes, type=pa.string())
    reference = np.full(len(genes), tests.reference_count)
    for row, label in enumerate(labels):
        arrays = [
            pa.array([label] * len(genes), type=pa.string()),
            names,
            tests.target_mean[row],
            tests.reference_mean,
            np.full(len(genes), tests.target_counts[row]),
            reference,
            tests.log2_fold_change[row],
            tests.percent_change[row],
            tests.p_value[row],
            tests.statistic[row],
            tests.fdr[row],
        ]
        batch = pa.RecordBatch.from_arrays([pa.array(one) for one in arrays], names=list(TEST_COLUMNS))
        left_out = np.isnan(tests.p_value[row])
        yield batch.filter(pa.array(~left_out)) if left_out.any() else batch


def _cells(column: Column) -> list[str]:
    absent = np.zeros(len(column.values), dtype=bool) if column.absent is None else column.absent
    return ["" if none else _number(float(value)) for value, none in zip(column.values, absent, strict=True)]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return "NaN" if np.isnan(value) else repr(value)


def _text(header: Sequence[str], rows: object) -> str:
    return "".join(",".join(map(_quoted, row)) + "\n" for row in (header, *rows))  # type: ignore[misc]


def _quoted(cell: str) -> str:
    needed = any(one in cell for one in ',"\r\n')
    return '"' + cell.replace('"', '""') + '"' if needed else cell
