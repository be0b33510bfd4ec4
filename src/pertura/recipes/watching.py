"""Training under watch: progress is told, and who asks to stop gets a training that is stored where it stands."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pertura.models.networks import TrainedModel
from pertura.recipes.narration import Narrator

STOPS = (signal.SIGINT, signal.SIGTERM)


class Watching:
    """Hears of every update. A first request to stop waits until the update is made; a second one does not."""

    def __init__(self, narrator: Narrator, title: str) -> None:
        self.narrator, self.title = narrator, title
        self.asked: tuple[int, FrameType | None] | None = None
        self.before: dict[int, Any] = {}

    def __call__(self, moment: Any) -> None:
        """Tell where the training stands; stop if that was asked."""
        self.narrator.detail(f"{self.title}: {told(moment)}")
        if self.asked is not None:
            self.stop(*self.asked)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.asked is not None:
            self.stop(number, frame)
        self.asked = (number, frame)
        self.narrator.note("stopping after this update, to store the training; ask again to stop at once")

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Do what the signal did before."""
        handler = self.before[number]
        if callable(handler):
            handler(number, frame)
        raise KeyboardInterrupt


@contextmanager
def watched(model: TrainedModel, home: Path, narrator: Narrator, title: str) -> Iterator[None]:
    """Let a model be trained in `home`, told of and stoppable while the block runs."""
    watching = Watching(narrator, title)
    model.workspace, model.watch = home, watching
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return
    for number in STOPS:
        watching.before[number] = signal.signal(number, watching.hear)
    try:
        yield
    finally:
        for number in STOPS:
            signal.signal(number, watching.before[number])
    if watching.asked is not None:  # it came after the last update: the training is finished and stored
        watching.stop(*watching.asked)


def told(moment: Any) -> str:
    """Return in words where a training stands."""
    words = f"epoch {moment.epoch + 1} of {moment.epochs}, step {moment.step} of {moment.steps}"
    if moment.loss is not None:
        words += f", loss {moment.loss:.4g}"
    return words if moment.left is None else f"{words}, at most {duration(moment.left)} left"


def duration(seconds: float) -> str:
    """Return seconds in words of a fitting unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
