"""What a model of a run learnt from: the facts of `training.jsonl` and `training_stats.json`, which a card quotes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pertura.core.atomic import write_text
from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.models.networks import Learnt
from pertura.training.record import LINES, STATS, lines_of

LAST, BEST = "last.safetensors", "best.safetensors"
"""Checkpoints that a training leaves beside its model."""


@dataclass(frozen=True, slots=True)
class Taught:
    """How a model was fitted. `network` says more of one that was trained step by step; the clock is not among it."""

    train_cells: int
    cells_seen: int
    epochs: int
    network: Learnt | None = None


def write_fitted(home: Path, visible: Cells, seconds: float) -> Taught:
    """Write what a model was fitted to at once, and apart from it the clock, the one thing that no two runs share."""
    facts = {"cells_seen": len(visible), "conditions_seen": len(visible.perturbed), "epochs": 1}
    write_text(home / LINES, json.dumps({"step": 1, **facts}) + "\n")
    stats = {"wall_clock_s": round(seconds, 3), "reason": "fitted", "details": facts}
    write_text(home / STATS, json.dumps(stats, indent=1) + "\n")
    return Taught(len(visible), len(visible), 1)


def write_learnt(home: Path, learnt: Learnt) -> Taught:
    """Complete the files of a training by what only the fitted model knows; files that contradict it raise.

    The clock is that of the training, over all its parts.
    """
    stats = _object(home / STATS)
    details = {one: value for one, value in asdict(learnt).items() if one != "record"}
    write_text(home / STATS, json.dumps({**stats, "details": details}, indent=1, sort_keys=True) + "\n")
    return read_taught(home, learnt)


def read_taught(home: Path, learnt: Learnt | None = None) -> Taught:
    """Return what the files of a model say; of a network they must say what the fitted model itself does."""
    if learnt is not None:
        check_files(home, learnt)
        return Taught(learnt.train_cells, learnt.record.cells_seen, len(learnt.record.epochs), learnt)
    line = _lines(home / LINES)[0]
    return Taught(line["cells_seen"], line["cells_seen"], line["epochs"])


def check_files(home: Path, learnt: Learnt) -> None:
    """Raise `BadDataError` where training.jsonl, training_stats.json and the model do not tell of one training."""
    record, lines, stats = learnt.record, _lines(home / LINES), _object(home / STATS)
    found = {name: stats.get(name) for name in ("cells_seen", "epochs", "best_epoch", "best_score", "reason")}
    wanted = {
        "cells_seen": sum(line["cells"] for line in lines),
        "epochs": len(lines),
        "best_epoch": record.best_epoch,
        "best_score": record.best_score,
        "reason": record.reason,
    }
    wrong = [name for name, value in wanted.items() if found[name] != value]
    if lines != json.loads(json.dumps(lines_of(record))):
        wrong.append("the epochs")
    if not learnt.redrawn and record.cells_seen > learnt.train_cells * len(record.epochs):
        wrong.append("cells_seen (more than epochs x train cells)")
    if learnt.stop_metric and record.best_score != record.epochs[record.best_epoch].valid[learnt.stop_metric]:
        wrong.append(f"best_score (not {learnt.stop_metric} of the best epoch)")
    if wrong:
        raise BadDataError(
            f"{LINES}, {STATS} and the model do not agree on {', '.join(wrong)}",
            file=home,
            remedy="the files were changed, or belong to different trainings: run in another folder",
        )


def is_timed(home: Path) -> bool:
    """Whether the clock of a finished fit is there."""
    try:
        return "wall_clock_s" in _object(home / STATS)
    except BadDataError:
        return False


def forget_training(home: Path) -> None:
    """Delete the checkpoints of a training on other data or of another version: it cannot be gone on with."""
    for name in (LAST, BEST):
        (home / name).unlink(missing_ok=True)


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise BadDataError(f"cannot be read ({error})", file=path) from error


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadDataError(f"cannot be read ({error})", file=path) from error
    if not isinstance(content, dict):
        raise BadDataError("not a JSON object", file=path)
    return content
