"""What a training did: one line an epoch, and the facts that a card quotes."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pertura.core.atomic import write_text

LINES, STATS = "training.jsonl", "training_stats.json"


@dataclass(frozen=True)
class Epoch:
    """One pass: the mean loss, the valid metrics, and what it took."""

    epoch: int
    loss: float
    learning_rate: float
    cells: int
    seconds: float
    valid: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRecord:
    """All epochs, which was best, why it ended, and what was forgiven on the way.

    `seconds` adds up over resumed parts. `reason`: max_epochs, early_stop, or empty while it runs.
    """

    epochs: tuple[Epoch, ...] = ()
    best_epoch: int = -1
    best_score: float | None = None
    reason: str = ""
    device: str = ""
    rollbacks: int = 0
    micro_batch: int | None = None
    events: tuple[str, ...] = ()

    @property
    def cells_seen(self) -> int:
        """Cells of all epochs together."""
        return sum(one.cells for one in self.epochs)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all epochs."""
        return sum((one.seconds for one in self.epochs), 0.0)

    def with_epoch(self, one: Epoch) -> "TrainingRecord":
        """Return the record with one more epoch."""
        return replace(self, epochs=(*self.epochs, one))

    def noted(self, event: str) -> "TrainingRecord":
        """Return the record with one more event."""
        return replace(self, events=(*self.events, event))

    def timeless(self) -> "TrainingRecord":
        """Return the record without what it took: equal trainings give equal ones."""
        return replace(self, epochs=tuple(replace(one, seconds=0.0) for one in self.epochs))

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TrainingRecord":
        """Return the record that `to_json` wrote."""
        content = json.loads(text)
        epochs = tuple(Epoch(**one) for one in content.pop("epochs"))
        return cls(epochs=epochs, events=tuple(content.pop("events")), **content)


def write_record(record: TrainingRecord, folder: Path, running: float = 0.0) -> None:
    """Write `training.jsonl` (a line an epoch) and `training_stats.json`, which alone holds the clock.

    `running` are the seconds of an epoch that is not finished.
    """
    write_text(folder / LINES, "".join(f"{json.dumps(one, sort_keys=True)}\n" for one in lines_of(record)))
    stats = {
        "wall_clock_s": round(record.seconds + running, 3),
        "epoch_seconds": [one.seconds for one in record.epochs],
        "running_seconds": running,
        "reason": record.reason,
        "epochs": len(record.epochs),
        "cells_seen": record.cells_seen,
        "best_epoch": record.best_epoch,
        "best_score": record.best_score,
        "device": record.device,
        "rollbacks": record.rollbacks,
        "events": list(record.events),
    }
    write_text(folder / STATS, json.dumps(stats, indent=1, sort_keys=True) + "\n")


def lines_of(record: TrainingRecord) -> list[dict[str, object]]:
    """Return what `training.jsonl` says of each epoch: all but the clock, so that equal trainings write equal files."""
    lines = [asdict(one) for one in record.epochs]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def clocked(record: TrainingRecord, folder: Path) -> tuple[TrainingRecord, float]:
    """Return the record with the seconds that `training_stats.json` tells, and those of an unfinished epoch.

    The clock decides nothing: where it cannot be read it counts as zero.
    """
    try:
        stats = json.loads((folder / STATS).read_text(encoding="utf-8"))
        seconds, running = [float(one) for one in stats["epoch_seconds"]], float(stats["running_seconds"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return record, 0.0
    seconds += [0.0] * len(record.epochs)
    told = tuple(replace(one, seconds=taken) for one, taken in zip(record.epochs, seconds))
    return replace(record, epochs=told), running
