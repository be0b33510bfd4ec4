"""Judging predictions from Python: AnnData, paths, tables of means or predictions in, tidy tables out."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import anndata
import numpy as np
import pandas as pd

from pertura.core.cells import Cells
from pertura.core.errors import UsageError
from pertura.core.expression import InMemory
from pertura.core.prediction import Prediction
from pertura.core.split import Split
from pertura.data.anndata_io import cells_from_anndata, open_cells
from pertura.data.conventions import NONE, reject_unknown
from pertura.data.labelled import Labelled
from pertura.data.labelled_file import (
    LabelColumns,
    LabelledFile,
    labelled_from_anndata,
    labelled_of_cells,
    open_labelled,
)
from pertura.data.means_table import is_means_table, means_from_frame, read_means
from pertura.evaluation.compatible.altered import stacked
from pertura.evaluation.compatible.worth import numbers
from pertura.evaluation.presets import PRESETS
from pertura.evaluation.table import METRICS
from pertura.recipes.foreign.asked import Asked
from pertura.recipes.foreign.compatible import Answer, Beside, ask, ask_files, rules_of
from pertura.recipes.foreign.files import (
    Files,
    Pair,
    Reading,
    open_pair,
    pair_of_cells,
    pair_of_means,
    pair_of_prediction,
)
from pertura.recipes.foreign.judging import Judgement, judged, metrics_of
from pertura.recipes.foreign.learnt import judged_conditions, learn
from pertura.recipes.foreign.sides import Opened, sides_of_means
from pertura.recipes.narration import Silent

READING_FLAGS = ("context_column", "mode")
WORK_FLAGS = ("skip", "memory", "threads", "device", "effort", "seed")
OTHER_FLAGS = ("train", "split", "name")
Source: TypeAlias = str | Path | anndata.AnnData | Cells | Prediction | pd.DataFrame


class PerturaWarning(UserWarning):
    """What a reader must know before believing a number."""


class Evaluation(NamedTuple):
    """Scores as a tidy table (condition, metric, value), and one row for each metric with what stands beside it."""

    scores: pd.DataFrame
    aggregate: pd.DataFrame


def evaluate(
    predicted: Source,
    observed: str | Path | anndata.AnnData | Cells | None = None,
    *,
    preset: str = "pertura",
    perturbation_column: str | None = None,
    control: str | None = None,
    **flags: Any,
) -> Evaluation:
    """Return the scores of a prediction of any model, and what they are worth.

    `predicted`: predicted cells (AnnData, or the path of an .h5ad), means (a data frame or the path of a table, one row
    or column for each condition), or a `Prediction`. `observed`: the observed cells, controls included; it may be left
    out for a file that holds them in `layers["truth"]`. `preset`: `pertura`, or the rules of another evaluator such as
    `cell-eval-0.8`. Flags are those of `pertura evaluate`: `context_column`, `mode`, `train`, `split`, `skip`, `seed`,
    `effort`, `threads`, `memory` (bytes), `device`, `name`.

    `aggregate` has a row for each metric: score and interval, references, permuted labels, ceiling. What must be known
    before believing a number is a `PerturaWarning`. Input that would give a wrong number raises a `PerturaError`.
    """
    reject_unknown(flags, (*READING_FLAGS, *WORK_FLAGS, *OTHER_FLAGS), "flag")
    reading = Reading(perturbation_column, control, *(_text(flags, one) for one in READING_FLAGS))
    work = {name: flags[name] for name in WORK_FLAGS if flags.get(name) is not None}
    skip = work.pop("skip", ())
    asked = Asked(preset, frozenset([skip] if isinstance(skip, str) else skip), **work)
    other = {name: flags[name] for name in OTHER_FLAGS if flags.get(name) is not None}
    if preset in PRESETS:
        return _of_judgement(_judged(predicted, observed, reading, asked, other))
    rules_of(asked)
    return _of_answers(_answers(predicted, observed, reading, asked, other))


def _text(flags: Mapping[str, Any], name: str) -> str | None:
    value = flags.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name}={value!r}: give one name")
    return value


# ---- presets of this package


def _judged(predicted: Source, observed: object, reading: Reading, asked: Asked, other: Mapping[str, Any]) -> Judgement:
    metrics = metrics_of(asked)
    pair = _pair(predicted, observed, reading, asked.seed, other)
    train = other.get("train")
    known = None if train is None else _cells(train, reading.flags)
    return judged([pair], known, asked, metrics, Silent())


def _pair(predicted: Source, observed: object, reading: Reading, seed: int, other: Mapping[str, Any]) -> Pair:
    split = other.get("split")
    files = _files(predicted, observed, other)
    if isinstance(predicted, Prediction):
        cells = _cells(observed, reading.flags)
        return pair_of_prediction(predicted, cells, split if isinstance(split, Split) else None, files, seed)
    if isinstance(predicted, str | Path) and (observed is None or isinstance(observed, str | Path)):
        return open_pair(files, reading, seed)
    if observed is None and isinstance(predicted, anndata.AnnData):
        observed = _truth(predicted)
    cells = _cells(observed, reading.flags)
    if isinstance(predicted, pd.DataFrame):
        return pair_of_means(means_from_frame(predicted, cells.genes), cells, files, seed)
    if isinstance(predicted, str | Path) and is_means_table(Path(predicted)):
        return pair_of_means(read_means(Path(predicted), cells.genes), cells, files, seed)
    return pair_of_cells(_cells(predicted, reading.flags), cells, files, seed)


def _files(predicted: Source, observed: object, other: Mapping[str, Any]) -> Files:
    split, name = other.get("split"), other.get("name")
    return Files(
        Path(predicted) if isinstance(predicted, str | Path) else Path("predicted"),
        Path(observed) if isinstance(observed, str | Path) else None,
        name=None if name is None else str(name),
        split=Path(split) if isinstance(split, str | Path) else None,
    )


def _cells(source: object, flags: Mapping[str, Any]) -> Cells:
    if isinstance(source, Cells):
        return source
    if isinstance(source, anndata.AnnData):
        return cells_from_anndata(source, None, **flags)
    if isinstance(source, str | Path):
        return open_cells(source, **flags)
    raise UsageError(f"{type(source).__name__}: give an AnnData, the path of an .h5ad, or Cells")


def _truth(predicted: anndata.AnnData) -> anndata.AnnData:
    if "truth" not in predicted.layers:
        raise UsageError("give observed=, or predicted cells with layers['truth']")
    return anndata.AnnData(predicted.layers["truth"], obs=predicted.obs, var=predicted.var)


def _of_judgement(made: Judgement) -> Evaluation:
    for text in made.warnings:
        warnings.warn(text, PerturaWarning, stacklevel=3)
    scores = made.scores
    labels = [one.label for one in scores.conditions]
    tidy = [
        pd.DataFrame({"condition": labels, "metric": name, "value": scores.values[i]})
        for i, name in enumerate(scores.metrics)
    ]
    rows = []
    for name in scores.metrics:
        one = scores.summary(name, "all")
        beside = scores.beside(name, "all")
        others = {
            other.model: other.summary(name, "all").value
            for other in made.comparison.scores
            if other.model != scores.model and name in other.metrics
        }
        rows.append(
            {
                "metric": name,
                "score": one.value,
                "low": one.low,
                "high": one.high,
                "best": METRICS[name].best,
                "valid": one.valid,
                "conditions": one.conditions,
                **beside,
                **others,
            }
        )
    return Evaluation(_stacked(tidy), pd.DataFrame(rows))


# ---- rules of other evaluators


def _answers(
    predicted: Source, observed: object, reading: Reading, asked: Asked, other: Mapping[str, Any]
) -> tuple[Answer, ...]:
    paths = all(one is None or isinstance(one, str | Path) for one in (predicted, observed, other.get("train")))
    files = _files(predicted, observed, other)
    if paths:
        train = other.get("train")
        return ask_files(replace(files, train=None if train is None else Path(str(train))), reading, asked)
    opened, cells = _opened(predicted, observed, reading)
    beside = Beside(files.name or "prediction")
    if other.get("train") is not None:
        flags = {**reading.flags} if reading.context_column else {**reading.flags, "context_column": (NONE,)}
        known = cells if cells is not None else _cells(observed, flags)
        wanted = judged_conditions(
            opened.observed.cells.only([*opened.predicted.cells.targets, opened.observed.cells.control]), known
        )
        learnt = learn(_cells(other["train"], flags), known, wanted, asked.seed, "train")
        beside = replace(beside, learnt=learnt, warnings=learnt.warnings)
    return ask(opened, asked, beside, Silent())


def _opened(predicted: Source, observed: object, reading: Reading) -> tuple[Opened, Cells | None]:
    """Both sides under labels; and the observed cells as conditions where labels are made from these."""
    if isinstance(predicted, Prediction) or isinstance(observed, Cells):
        cells = _cells(observed, reading.flags)
        theirs = labelled_of_cells(cells)
        if isinstance(predicted, pd.DataFrame):
            return sides_of_means(means_from_frame(predicted, cells.genes), theirs), cells
        if not isinstance(predicted, Prediction):
            return Opened(labelled_of_cells(_cells(predicted, reading.flags)), theirs), cells
        return Opened(_labelled_prediction(predicted, theirs), theirs), cells
    columns = LabelColumns(reading.perturbation_column, reading.control, reading.context_column)
    if observed is None and isinstance(predicted, anndata.AnnData):
        observed = _truth(predicted)
    side = _labelled(observed, columns, "observed")
    if isinstance(predicted, pd.DataFrame):
        return sides_of_means(means_from_frame(predicted, side.cells.genes), side), None
    return Opened(_labelled(predicted, columns, "predicted"), side), None


def _labelled(source: object, columns: LabelColumns, name: str) -> LabelledFile:
    if isinstance(source, anndata.AnnData):
        return labelled_from_anndata(source, columns, name=name)
    if isinstance(source, str | Path):
        return open_labelled(Path(source), columns)
    raise UsageError(f"{name}={type(source).__name__}: give an AnnData or the path of an .h5ad")


def _labelled_prediction(prediction: Prediction, observed: LabelledFile) -> LabelledFile:
    """A prediction under the labels of observed cells, with the observed controls, as other evaluators share them."""
    contexts = sorted({one.context for one in prediction.conditions})
    labels = tuple(sorted({one.perturbation.label for one in prediction.conditions} | {observed.cells.control}))
    blocks = [np.asarray(prediction.cells[one], dtype=np.float32) for one in prediction.conditions]
    sizes = [len(one) for one in blocks]
    codes = np.repeat([labels.index(one.perturbation.label) for one in prediction.conditions], sizes)
    where = np.repeat([contexts.index(one.context) for one in prediction.conditions], sizes)
    ids = np.asarray([f"predicted {i}" for i in range(len(codes))], dtype=object)
    control = observed.cells.control
    made = Labelled(InMemory(np.concatenate(blocks)), prediction.genes, ids, labels, codes, control, "predicted")
    kept = {i: contexts.index(one) for i, one in enumerate(observed.contexts) if one in contexts}
    rows = observed.cells.rows_of(control)
    rows = rows[np.isin(observed.context_codes[rows], list(kept))]
    pool = replace(observed.cells.take(rows), labels=labels, codes=np.full(len(rows), labels.index(control)))
    theirs = np.asarray([kept[int(one)] for one in observed.context_codes[rows]], dtype=np.int64)
    return LabelledFile(stacked(made, pool), "", tuple(contexts), np.concatenate([where, theirs]), observed.whole)


def _of_answers(answers: Sequence[Answer]) -> Evaluation:
    for text in dict.fromkeys(text for one in answers for text in one.warnings):
        warnings.warn(text, PerturaWarning, stacklevel=3)
    tidy, rows = [], []
    for answer in answers:
        mark = f"@{answer.context}" if answer.context else ""
        labels = [f"{one}{mark}" for one in answer.judged.labels]
        for name, column in answer.judged.columns.items():
            tidy.append(pd.DataFrame({"condition": labels, "metric": name, "value": numbers(column)}))
        for row in answer.worth.metrics:
            where = {"context": answer.context} if mark else {}
            score = {"score": row.score.value, "low": row.score.low, "high": row.score.high, "best": row.metric.best}
            beside = {"permuted": row.permuted.value, "ceiling": row.ceiling, "scaled": row.scaled}
            shared = {"inflation": row.inflation, "inflated_null": row.inflated_null, "left_out": row.left_out}
            counted = {"valid": row.valid, "conditions": row.labels}
            rows.append({**where, "metric": row.metric.name, **score, **counted, **row.references, **beside, **shared})
    return Evaluation(_stacked(tidy), pd.DataFrame(rows))


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame({"condition": [], "metric": [], "value": []})
    return pd.concat(parts, ignore_index=True)
