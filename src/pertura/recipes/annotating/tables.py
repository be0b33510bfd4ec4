"""The numbers of an annotation as tables: for files, for the page, for Python."""

import numpy as np
import pandas as pd
from jaxtyping import Int

from pertura.annotation.comparison import METRICS, Difference, StrategyComparison, corrected_interval
from pertura.annotation.scores import class_scores, confusion_of
from pertura.recipes.annotating.running import Compared
from pertura.report.tables import Column, Interval, Row, Table

STRATEGY_COLUMNS = ("strategy", "accuracy", "macro_f1", "silhouette", "runtime_sec", "trainable_parameters")
MOST_MISTAKES = 12


def strategy_frame(comparison: StrategyComparison) -> pd.DataFrame:
    """Return a row for each strategy with the published columns, means over folds, the best macro F1 first."""
    rows = [
        {
            "strategy": one,
            "accuracy": comparison.mean(one, "accuracy"),
            "macro_f1": comparison.mean(one, "macro_f1"),
            "silhouette": comparison.mean(one, "silhouette"),
            "runtime_sec": comparison.mean(one, "seconds"),
            "trainable_parameters": max(outcome.trainable_parameters for outcome in comparison.of(one)),
        }
        for one in comparison.strategies
    ]
    frame = pd.DataFrame(rows, columns=list(STRATEGY_COLUMNS))
    return frame.sort_values(["macro_f1", "accuracy"], ascending=False, kind="stable", ignore_index=True)


def fold_frame(comparison: StrategyComparison) -> pd.DataFrame:
    """Return a row for each strategy and fold, with every score."""
    names = (*METRICS, "calibration_error", "silhouette", "valid_macro_f1", "temperature", "unknown")
    rows = [
        {
            "strategy": one.strategy,
            "repeat": one.fold.repeat + 1,
            "fold": one.fold.number + 1,
            "train_cells": len(one.fold.train),
            "valid_cells": len(one.fold.valid),
            "test_cells": len(one.fold.test),
            **{name: getattr(one, name) for name in names},
            "runtime_sec": one.seconds,
            "trainable_parameters": one.trainable_parameters,
            "notes": "; ".join(one.notes),
        }
        for one in comparison.outcomes
    ]
    return pd.DataFrame(rows)


def differences(found: Compared, metric: str) -> tuple[Difference, ...]:
    """Return every other strategy against the better linear one; against the first where none is linear."""
    against = found.linear or found.comparison.strategies[0]
    others = [one for one in found.comparison.strategies if one != against]
    return tuple(found.comparison.difference(one, against, metric) for one in others)


def difference_frame(found: Compared) -> pd.DataFrame:
    """Return the paired differences in every score."""
    rows = [
        {
            "strategy": one.strategy,
            "against": one.against,
            "metric": one.metric,
            "difference": one.mean,
            "low": one.low,
            "high": one.high,
            "folds": one.folds,
            "verdict": one.verdict,
        }
        for metric in METRICS
        for one in differences(found, metric)
    ]
    columns = ["strategy", "against", "metric", "difference", "low", "high", "folds", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def pooled_confusion(found: Compared, strategy: str) -> Int[np.ndarray, "observed predicted"]:
    """Return the confusion of a strategy, test cells of all folds and repeats together."""
    count = len(found.reference.classes)
    total = np.zeros((count, count), dtype=np.int64)
    for one in found.comparison.of(strategy):
        total += confusion_of(found.reference.codes[one.fold.test], one.calls.first, count)
    return total


def confusion_frame(found: Compared) -> pd.DataFrame:
    """Return the pooled confusion of the best strategy, observed classes as rows."""
    classes = list(found.reference.classes)
    return pd.DataFrame(pooled_confusion(found, found.best), index=pd.Index(classes, name="observed"), columns=classes)


def class_frame(found: Compared) -> pd.DataFrame:
    """Return precision, recall, F1 of each class under each strategy, with how sure it was of that class's cells."""
    rows = []
    codes = found.reference.codes
    sizes = np.bincount(codes, minlength=len(found.reference.classes))
    for strategy in found.comparison.strategies:
        scores = class_scores(pooled_confusion(found, strategy))
        outcomes = found.comparison.of(strategy)
        observed = np.concatenate([codes[one.fold.test] for one in outcomes])
        sure = np.concatenate([one.calls.confidence for one in outcomes])
        unknown = np.concatenate([one.calls.unknown for one in outcomes])
        for code, name in enumerate(found.reference.classes):
            mine = observed == code
            rows.append(
                {
                    "strategy": strategy,
                    "class": name,
                    "cells": int(sizes[code]),
                    "precision": scores.precision[code],
                    "recall": scores.recall[code],
                    "f1": scores.f1[code],
                    "mean_probability": float(sure[mine].mean()) if mine.any() else np.nan,
                    "called_unknown": float(unknown[mine].mean()) if mine.any() else np.nan,
                }
            )
    return pd.DataFrame(rows)


def class_order(confusion: Int[np.ndarray, "observed predicted"]) -> Int[np.ndarray, " classes"]:
    """Return an order of classes in which those that are taken for one another stand together."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if len(confusion) < 3:
        return np.arange(len(confusion))
    shares = confusion / np.maximum(confusion.sum(axis=1), 1)[:, None]
    apart = 1 - np.clip(shares + shares.T, 0, 1)
    np.fill_diagonal(apart, 0)
    flat = squareform(apart, checks=False)
    return leaves_list(optimal_leaf_ordering(linkage(flat, "average"), flat)).astype(np.int64)


# ---- for the page


def strategy_table(found: Compared) -> Table:
    """Return the strategies with intervals over folds."""
    comparison = found.comparison
    columns = (
        Column("strategy"),
        Column(
            "macro F1", "interval", "mean over classes; interval over folds, corrected for shared cells", 3, "higher"
        ),
        Column("accuracy", "interval", "share of test cells with the observed label", 3, "higher"),
        Column("balanced accuracy", "number", "mean recall over classes", 3, "higher"),
        Column("calibration error", "number", "mean gap of probability and share right, ten bins", 3, "lower"),
        Column("silhouette", "number", "of the observed classes in the strategy's embedding, test cells", 3),
        Column("seconds", "number", "fit and answer of one fold; a frozen embedding is made once, before", 2),
        Column("trained", "count", "numbers fitted to labels"),
    )
    order = strategy_frame(comparison)["strategy"].tolist()
    rows = []
    for name in order:
        marks: tuple[str, ...] = ("chosen: best macro F1 on valid cells",) if name == comparison.best else ()
        marks += ("labels the query, as asked",) if name == found.best != comparison.best else ()
        rows.append(
            Row(
                (
                    name,
                    interval_of(comparison, name, "macro_f1"),
                    interval_of(comparison, name, "accuracy"),
                    comparison.mean(name, "balanced_accuracy"),
                    comparison.mean(name, "calibration_error"),
                    comparison.mean(name, "silhouette"),
                    comparison.mean(name, "seconds"),
                    max(one.trainable_parameters for one in comparison.of(name)),
                ),
                marks,
            )
        )
    return Table("Strategies on test cells", columns, tuple(rows))


def interval_of(comparison: StrategyComparison, name: str, metric: str) -> Interval:
    """Return the mean of a score over folds with its interval, cut to the scores that are possible: 0 to 1."""
    values = comparison.values(name, metric)
    learnt = [len(one.train) + len(one.valid) for one in comparison.folds]
    ratio = float(np.mean([len(one.test) / size for one, size in zip(comparison.folds, learnt)]))
    low, high = corrected_interval(values, ratio)
    mean = float(values.mean())
    return Interval(mean, max(low, 0.0), min(high, 1.0)) if len(values) > 1 else Interval(mean)


def difference_table(found: Compared) -> Table:
    """Return what each strategy gains over the linear model."""
    against = found.linear or found.comparison.strategies[0]
    columns = (
        Column("strategy"),
        Column("macro F1 gained", "interval", "on the same folds"),
        Column("verdict"),
        Column("accuracy gained", "interval", "on the same folds"),
    )
    rows = []
    for one, other in zip(differences(found, "macro_f1"), differences(found, "accuracy"), strict=True):
        gained = Interval(one.mean, one.low, one.high) if one.folds > 1 else Interval(one.mean)
        right = Interval(other.mean, other.low, other.high) if one.folds > 1 else Interval(other.mean)
        rows.append(Row((one.strategy, gained, one.verdict if one.folds > 1 else "one division: no interval", right)))
    note = "95 % interval over folds, widened because train parts overlap (Nadeau and Bengio, 2003)."
    return Table(f"Paired differences from {against}", columns, tuple(rows), note)


def class_table(found: Compared) -> Table:
    """Return the classes under the best strategy, rarest last."""
    frame = class_frame(found)
    mine = frame[frame["strategy"] == found.best].sort_values("cells", ascending=False, kind="stable")
    columns = (
        Column("class"),
        Column("cells", "count"),
        Column("precision", "number", digits=2),
        Column("recall", "number", digits=2),
        Column("F1", "number", digits=2),
        Column("mean probability", "number", "of the label given to its cells", digits=2),
        Column("called unknown", "number", "share of its cells", digits=2),
    )
    names = ["class", "cells", "precision", "recall", "f1", "mean_probability", "called_unknown"]
    rows = tuple(Row(tuple(line)) for line in mine[names].itertuples(index=False, name=None))
    return Table(f"Classes under {found.best}", columns, rows)


def mistake_table(found: Compared) -> Table:
    """Return the commonest mistakes of the best strategy."""
    confusion = pooled_confusion(found, found.best)
    repeats = len({one.fold.repeat for one in found.best_outcomes})
    wrong = [
        (int(confusion[row, column]), row, column)
        for row, column in np.argwhere(confusion > 0).tolist()
        if row != column
    ]
    wrong.sort(key=lambda one: (-one[0], one[1], one[2]))
    names = found.reference.classes
    rows = tuple(
        Row((names[row], names[column], count / repeats, count / max(int(confusion[row].sum()), 1)))
        for count, row, column in wrong[:MOST_MISTAKES]
    )
    columns = (
        Column("observed"),
        Column("label given"),
        Column("cells", "number", "a mean over repeats", digits=1),
        Column("share of the class", "number", digits=2),
    )
    return Table("Commonest mistakes", columns, rows)


def unseen_table(found: Compared) -> Table:
    """Return how well each class would be noticed if nobody had labelled it."""
    columns = (
        Column("class left out"),
        Column("cells", "count"),
        Column("found by distance", "number", "AUROC: 0.5 is chance, 1 always farther than known cells", 2, "higher"),
        Column("found by probability", "number", "AUROC: below 0.5 its cells look surer than known ones", 2, "higher"),
    )
    rows = tuple(Row((one.label, one.cells, one.by_distance, one.by_probability)) for one in found.unseen)
    return Table(f"Types that nobody labelled, with {found.unseen_with}", columns, rows)
