"""A progress bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pertura.recipes.narration import Narrator

QUIET_SECONDS = 10.0
"""How often a log hears of a long stage."""


class Bar:
    """Shows stages as one bar; notes stand above it and stay."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("starting", total=None)

    def stage(self, text: str, done: int, total: int) -> None:
        """Move the bar."""
        self.progress.update(self.task, description=text, completed=done, total=total)

    def detail(self, text: str) -> None:
        """Say it in place of the stage."""
        self.progress.update(self.task, description=text)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.progress.console.print(text, markup=False, highlight=False)


class Lines:
    """Prints a line for each stage, and now and then where a long one stands."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def detail(self, text: str) -> None:
        """Print it, if nothing was printed for a while."""
        if time.monotonic() - self.last >= QUIET_SECONDS:
            self.note(text)

    def stage(self, text: str, done: int, total: int) -> None:
        """Print the stage."""
        self.last = time.monotonic()
        print(f"[{done + 1}/{total}] {text}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Print the note."""
        self.last = time.monotonic()
        print(text, file=sys.stderr, flush=True)


@contextmanager
def narrated() -> Iterator[Narrator]:
    """Yield a narrator that suits where the output goes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    # a file may be called [bold]: names are no markup
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress)
