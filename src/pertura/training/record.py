"""What a training did: one line an epoch, and the facts that a card quotes."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pertura.core.atomic import write_text


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
        return sum(one.seconds for one in self.epochs)

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


def write_record(record: TrainingRecord, folder: Path) -> None:
    """Write `training.jsonl` (a line an epoch) and `training_stats.json`."""
    lines = [json.dumps(asdict(one), sort_keys=True) for one in record.epochs]
    write_text(folder / "training.jsonl", "".join(f"{line}\n" for line in lines))
    stats = {
        "wall_clock_s": record.seconds,
        "reason": record.reason,
        "epochs": len(record.epochs),
        "cells_seen": record.cells_seen,
        "best_epoch": record.best_epoch,
        "best_score": record.best_score,
        "device": record.device,
        "rollbacks": record.rollbacks,
        "events": list(record.events),
    }
    write_text(folder / "training_stats.json", json.dumps(stats, indent=1, sort_keys=True) + "\n")
