"""The folder in which a training is kept."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workplace(workspace: Path | None) -> Iterator[Path]:
    """Yield where a training is kept: for good, or only while it runs."""
    if workspace is not None:
        yield workspace
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
