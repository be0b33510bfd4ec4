"""Which steps of a run are finished, and how to know that their files are still what they were."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pertura.core.errors import BadDataError
from pertura.data.atomic import write_text

FORMAT = "pertura-progress"


class Progress:
    """Finished steps of a run folder with the sha256 of their files; kept on disk after every step.

    A step counts as finished only while all its files are there unchanged and it was made from the same inputs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "progress.json"
        self.steps: dict[str, dict[str, object]] = {}
        if self.path.exists():
            try:
                content = json.loads(self.path.read_text(encoding="utf-8"))
                self.steps = dict(content["steps"]) if content["format"] == FORMAT else {}
            except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
                remedy = "delete it: finished steps are then done again"
                raise BadDataError(f"not readable: {error}", file=self.path, remedy=remedy) from error

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


def fingerprint(*parts: str) -> str:
    """Return a sha256 over several texts."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def _digest(path: Path) -> str:
    if not path.is_file():
        return "absent"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
