"""What a judgement by another evaluator's rules leaves on disk: its own files, and what its numbers are worth."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pertura.core.atomic import write_text
from pertura.core.errors import BadDataError
from pertura.evaluation.compatible.cell_eval_files import TEST_FILES, aggregate_text, results_text, write_tests
from pertura.evaluation.compatible.worth import MetricWorth, Spread, numbers
from pertura.recipes.foreign.compatible import Answer
from pertura.recipes.recipe import names_a_folder
from pertura.report.tables import Cell, Column, Interval, Row, Table, to_csv

FORMAT = "pertura-compatible-scores"
FORMAT_VERSION = 1
NEEDS_TRAIN = "needs --train"


def write_answers(answers: Sequence[Answer], out: Path) -> None:
    """Write results, aggregate and tests of each context, `worth.csv` and `scores.json`.

    With contexts each file of the preset begins with the name of its context, a slash in it written as a dash.
    """
    prefixes = {one.context: prefix_of(one.context) for one in answers}
    if len(set(prefixes.values())) < len(prefixes):
        raise BadDataError("two contexts would have files of one name", remedy="rename one: / and - are written alike")
    for one in answers:
        _write_files(one, out, prefixes[one.context])
    write_text(out / "worth.csv", to_csv(worth_table(answers)))
    write_text(out / "scores.json", json.dumps(_record(answers), indent=1, allow_nan=False) + "\n")


def prefix_of(context: str) -> str:
    """Return what the names of a context's files begin with; a name that would lead elsewhere is refused."""
    if not context:
        return ""
    name = context.replace("/", "-")
    if not names_a_folder(name):
        raise BadDataError(f"context {context!r} cannot begin the name of a file", remedy="rename it")
    return f"{name}_"


def _write_files(answer: Answer, out: Path, prefix: str) -> None:
    write_text(out / f"{prefix}results.csv", results_text(answer.judged))
    write_text(out / f"{prefix}agg_results.csv", aggregate_text(answer.judged))
    if answer.scale is not None:
        write_text(out / f"{prefix}scaled.csv", answer.scale.to_csv(index=False))
    genes = answer.sides.observed.genes
    for side, tests in answer.judged.tests.items():
        write_tests(tests, answer.judged.labels, genes, out / f"{prefix}{TEST_FILES[side]}")


def worth_table(answers: Sequence[Answer]) -> Table:
    """Return one row for each context and metric, with all that stands beside the score; unknown is empty."""
    names = list(dict.fromkeys(name for one in answers for name in reference_names(one)))
    columns = [Column("context"), Column("metric"), Column("score", "interval"), Column("interval_redraws")]
    columns += [Column("best", "number"), Column("valid", "count"), Column("labels", "count")]
    columns += [Column(name.replace("-", "_"), "number") for name in names]
    columns += [Column("permuted_labels", "interval"), Column("ceiling", "number"), Column("scaled", "number")]
    columns += [Column("best_reference"), Column("difference", "interval")]
    columns += [Column("inflation", "number"), Column("inflated_null", "number"), Column("remark")]
    rows = [Row(_worth_row(one, row, names)) for one in answers for row in one.worth.metrics]
    return Table("worth", tuple(columns), tuple(rows))


def reference_names(answer: Answer) -> list[str]:
    """Return the names of the references that were asked, in order."""
    return [one.name for one in answer.study.references]


def remark(answer: Answer, row: MetricWorth) -> str:
    """Return what is not known of a metric, and why."""
    said = [row.left_out] if row.left_out else []
    said += [] if answer.trained else [f"train mean, additive, linear: {NEEDS_TRAIN}"]
    return "; ".join(said)


def _worth_row(answer: Answer, row: MetricWorth, names: Sequence[str]) -> tuple[Cell, ...]:
    return (
        answer.context,
        row.metric.name,
        as_interval(row.score),
        row.resampled,
        row.metric.best,
        row.valid,
        row.labels,
        *(row.references.get(name) for name in names),
        as_interval(row.permuted),
        row.ceiling,
        row.scaled,
        row.best_reference,
        as_interval(row.difference),
        row.inflation,
        row.inflated_null,
        remark(answer, row),
    )


def as_interval(spread: Spread) -> Interval:
    """Return a spread as a cell of a table; one without an interval is a bare number."""
    bounded = math.isfinite(spread.low) and math.isfinite(spread.high)
    return Interval(spread.value, spread.low, spread.high) if bounded else Interval(spread.value)


def _record(answers: Sequence[Answer]) -> dict[str, object]:
    first = answers[0]
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "model": first.model,
        "preset": first.preset.name,
        "preset_version": first.preset.version,
        "seed": first.study.seed,
        "contexts": [_context(one) for one in answers],
    }


def _context(answer: Answer) -> dict[str, object]:
    return {
        "context": answer.context,
        "labels": list(answer.judged.labels),
        "shared_controls": answer.worth.shared_controls,
        "significant_genes": dict(answer.worth.called),
        "reruns": {tier: asdict(runs) for tier, runs in answer.worth.runs.items()},
        "metrics": {one.metric.name: _metric(one) for one in answer.worth.metrics},
        "counts": {
            name: float(numbers(column).mean())
            for name, column in answer.judged.columns.items()
            if name not in {one.metric.name for one in answer.worth.metrics} and math.isfinite(numbers(column).mean())
        },
        "undone": dict(answer.judged.undone),
        "warnings": list(answer.warnings),
    }


def _metric(row: MetricWorth) -> dict[str, object]:
    numbers_of = {
        "score": row.score.value,
        "low": row.score.low,
        "high": row.score.high,
        **{f"reference {name}": value for name, value in row.references.items()},
        "permuted": row.permuted.value,
        "ceiling": row.ceiling,
        "scaled": row.scaled,
        "difference": row.difference.value,
        "difference_low": row.difference.low,
        "difference_high": row.difference.high,
        "inflation": row.inflation,
        "inflated_null": row.inflated_null,
    }
    known = {name: value if math.isfinite(value) else None for name, value in numbers_of.items()}
    counted = {"valid": row.valid, "labels": row.labels, "interval_redraws": row.resampled}
    return {**known, **counted, "best_reference": row.best_reference, "left_out": row.left_out}
