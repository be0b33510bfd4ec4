"""How long work tells what it is doing, without knowing who listens."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Narrator(Protocol):
    """Hears of stages and of their progress."""

    def stage(self, text: str, done: int, total: int) -> None:
        """`done` of `total` steps are finished and `text` begins."""
        ...

    def detail(self, text: str) -> None:
        """Where the stage stands; told often, so that most of it may be left unsaid."""
        ...

    def note(self, text: str) -> None:
        """Something a reader should know: a warning, a step that was already finished."""
        ...


class Silent:
    """Tells nobody."""

    def stage(self, text: str, done: int, total: int) -> None:
        """Tell nobody."""

    def detail(self, text: str) -> None:
        """Tell nobody."""

    def note(self, text: str) -> None:
        """Tell nobody."""
