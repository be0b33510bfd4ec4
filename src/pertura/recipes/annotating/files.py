"""The files of an annotation: each whole or absent."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd

from pertura.annotation.network import merge
from pertura.annotation.pretrained import merged_checkpoint
from pertura.annotation.tuned import TunedFit
from pertura.core.atomic import write_bytes, write_text
from pertura.core.errors import UsageError
from pertura.models.scgpt.foreign import save_foreign
from pertura.recipes.annotating.card import card_markdown, report_csv, report_markdown
from pertura.recipes.annotating.columns import cell_columns
from pertura.recipes.annotating.copied import annotated_name
from pertura.recipes.annotating.figures import figures_of
from pertura.recipes.annotating.page import page_of
from pertura.recipes.annotating.querying import Labelled, OutOfFold
from pertura.recipes.annotating.running import Compared
from pertura.recipes.annotating.tables import (
    class_frame,
    confusion_frame,
    difference_frame,
    fold_frame,
    strategy_frame,
)
from pertura.report.html import render

ANNOTATOR = "annotator"
PREDICTIONS = "reference_predictions.csv"


def write_all(found: Compared, labelled: Labelled | None, out: Path) -> None:
    """Write tables, figures, reports, card and annotator into a folder; the annotated copy is there already."""
    tables = {
        "strategy_metrics.csv": strategy_frame(found.comparison).to_csv(index=False),
        "report.csv": report_csv(found),
        "folds.csv": fold_frame(found.comparison).to_csv(index=False),
        "differences.csv": difference_frame(found).to_csv(index=False),
        "per_class.csv": class_frame(found).to_csv(index=False),
        "confusion_matrix.csv": confusion_frame(found).to_csv(),
        PREDICTIONS: reference_predictions(found).to_csv(index=False),
        "report.md": report_markdown(found),
        "model_card.md": card_markdown(found),
    }
    if found.unseen:
        tables["unseen_types.csv"] = pd.DataFrame(found.unseen).to_csv(index=False)
    for name, text in tables.items():
        write_text(out / name, text)
    if labelled is not None:
        write_predictions(labelled, out)
    figures = figures_of(found, labelled)
    for name, picture in figures.files.items():
        write_bytes(out / name, picture.png)
    found.annotator.save(out / ANNOTATOR)
    files = [*tables, *figures.files, f"{ANNOTATOR}/model.json", f"{ANNOTATOR}/weights.safetensors"]
    files += ["predictions.csv"] if labelled is not None else []
    copy = annotated_name(found.reference.source.origin if labelled is None else labelled.query.source.origin)
    files += [copy] if (out / copy).exists() else []
    write_text(out / "report.html", render(page_of(found, figures, labelled, sorted(files))))


def write_predictions(labelled: Labelled, out: Path) -> None:
    """Write the labels of a query as `predictions.csv`."""
    frame = labelled.columns.copy()
    frame.insert(0, "cell", labelled.query.view.ids)
    write_text(out / "predictions.csv", frame.to_csv(index=False))


def reference_predictions(found: Compared) -> pd.DataFrame:
    """Return what the best strategy said of each labelled cell in the folds that tested it, and what was observed."""
    reference = found.reference
    classes = np.asarray(reference.classes, dtype=object)
    frames = []
    for one in found.best_outcomes:
        frame = cell_columns(one.calls, reference.classes)
        frame.insert(0, "cell", reference.view.ids[one.fold.test])
        frame.insert(1, "observed", classes[reference.codes[one.fold.test]])
        frame.insert(2, "repeat", one.fold.repeat + 1)
        frame.insert(3, "fold", one.fold.number + 1)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def out_of_fold(found: Compared) -> OutOfFold:
    """Return what the first repeat's folds said of the cells they tested."""
    tested = [one for one in found.best_outcomes if one.fold.repeat == 0]
    frame = pd.concat([cell_columns(one.calls, found.reference.classes) for one in tested], ignore_index=True)
    rows = found.reference.rows[np.concatenate([one.fold.test for one in tested])]
    return OutOfFold(rows, np.concatenate([one.calls.first for one in tested]), frame)


def export_merged(found: Compared, folder: Path) -> None:
    """Write the tuned network as a published folder, adapters added into its weights.

    Raises `UsageError` where the annotator's strategy changes no network.
    """
    fitted = found.annotator.trusted.fitted
    if not isinstance(fitted, TunedFit) or found.base is None:
        raise UsageError(
            f"{found.best} changes no network: --export-merged goes with --label-with scgpt_lora or scgpt_full"
        )
    save_foreign(merged_checkpoint(found.base, merge(copy.deepcopy(fitted.network))), folder)
