"""Scores of finished runs, gathered from their folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pertura.core.errors import MissingError
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
    names = [scores.model for _, scores in kept]
    return [
        replace(scores, model=f"{folder.name}/{scores.model}") if names.count(scores.model) > 1 else scores
        for folder, scores in kept
    ]


def _same(one: Scores, other: Scores) -> bool:
    return (one.model, one.split, one.seed, one.preset, one.conditions) == (
        other.model,
        other.split,
        other.seed,
        other.preset,
        other.conditions,
    ) and one.values.tobytes() == other.values.tobytes()
