"""Scores of finished runs, gathered from their folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pertura.core.errors import BadDataError, MissingError
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.files import read_scores


def scores_of_runs(folders: Sequence[Path]) -> list[Scores]:
    """Return all scores under the folders; where two runs have a model of one name, each gets its run's name too.

    Equal scores of one model in two runs (the baselines of a shared split) are taken once.
    """
    found: list[tuple[Path, Scores]] = []
    for folder in folders:
        paths = sorted(folder.glob("models/*/scores/scores.json"))
        if not paths:
            raise MissingError(f"no scores under {folder}; give a folder that `pertura run` or `evaluate` wrote")
        found += [(folder, read_scores(path.parent)) for path in paths]
    kept: list[tuple[Path, Scores]] = []
    for folder, scores in found:
        if not any(_same(scores, other) for _, other in kept):
            kept.append((folder, scores))
    _check_observed(kept)
    # two runs may have one name, in different folders
    short = [f"{folder.resolve().name}/{scores.model}" for folder, scores in kept]
    names = [scores.model for _, scores in kept]
    return [replace(scores, model=_told_apart(folder, scores, names, short)) for folder, scores in kept]


def _told_apart(folder: Path, scores: Scores, names: Sequence[str], short: Sequence[str]) -> str:
    if names.count(scores.model) == 1:
        return scores.model
    name = f"{folder.resolve().name}/{scores.model}"
    return name if short.count(name) == 1 else f"{folder}/{scores.model}"


def _check_observed(found: Sequence[tuple[Path, Scores]]) -> None:
    """Raise where runs of one split were judged on different observed cells: the split names cells, not values."""
    (first_folder, first), *others = found
    for folder, scores in others:
        if not all(getattr(scores, what) == getattr(first, what) for what in ("split", "seed", "preset", "conditions")):
            continue  # these are refused where they are compared, with the reason
        # what no change scores depends on the observed cells alone; stored cells are rounded to float32, and a
        # prediction of means has fewer metrics than one of cells
        shared = [name for name in scores.metrics if name in first.metrics]
        mine, theirs = (one.floor[[one.row(name) for name in shared]] for one in (scores, first))
        if not np.allclose(mine, theirs, rtol=1e-3, atol=1e-9, equal_nan=True):
            raise BadDataError(
                f"{first_folder} and {folder} have one split, but were judged on different observed cells",
                remedy="evaluate both on one data file",
            )


def _same(one: Scores, other: Scores) -> bool:
    return (one.model, one.split, one.seed, one.preset, one.conditions) == (
        other.model,
        other.split,
        other.seed,
        other.preset,
        other.conditions,
    ) and one.values.tobytes() == other.values.tobytes()
