"""Which steps of a run are finished, and how to know that their files are still what they were."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pertura.core.atomic import write_text
from pertura.core.errors import BadDataError, UsageError

FORMAT = "pertura-progress"
LEFT_OVER = (".partial-*", *(f"models/{'*/' * depth}.partial-*" for depth in (1, 2, 3, 4)))


class Progress:
    """Finished steps of a run folder with the sha256 of their files; kept on disk after every step.

    A step counts as finished only while all its files are there unchanged and it was made from the same inputs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "progress.json"
        self.steps = _steps(self.path) if self.path.exists() else {}

    def finished(self, step: str, inputs: str) -> bool:
        """Return whether the step was finished from these inputs and its files are unchanged."""
        found = self.steps.get(step)
        if not found or found.get("inputs") != inputs:
            return False
        files = found.get("files")
        return isinstance(files, dict) and all(_digest(self.folder / name) == one for name, one in files.items())

    def finish(self, step: str, inputs: str, files: Sequence[Path]) -> None:
        """Record a finished step."""
        digests = {str(one.relative_to(self.folder)): _digest(one) for one in sorted(files)}
        self.steps[step] = {"inputs": inputs, "files": digests}
        content = {"format": FORMAT, "version": 1, "steps": self.steps}
        write_text(self.path, json.dumps(content, indent=1, sort_keys=True) + "\n")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a run folder while a run works in it; raise `UsageError` where another one does.

    The hold is the system's: it ends with the process, however that ends, and leaves no file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another run is at work in {folder}; wait for it, or choose another folder") from error
        except OSError:
            pass  # a file system without locks: two runs of one recipe write the same bytes
        yield
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Delete the unfinished files that a killed run left where runs write."""
    for pattern in LEFT_OVER:
        for one in folder.glob(pattern):
            one.unlink(missing_ok=True)


def fingerprint(*parts: str) -> str:
    """Return a sha256 over several texts."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def _steps(path: Path) -> dict[str, dict[str, object]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        steps = content["steps"]
        if content["format"] != FORMAT or not all(isinstance(one, dict) for one in steps.values()):
            raise ValueError(f"not a {FORMAT}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        remedy = "delete it: finished steps are then done again"
        raise BadDataError(f"not readable: {error}", file=path, remedy=remedy) from error
    return dict(steps)


def _digest(path: Path) -> str:
    if not path.is_file():
        return "absent"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
