"""HDF5 files that were tampered with through h5py: they still open, and hold what does not belong."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from mutations.hdf5_content import CONTENT
from mutations.hdf5_storage import STORAGE
from mutations.text import pick

CHANGES: tuple[Callable[[h5py.File, np.random.Generator], None], ...] = (*STORAGE, *CONTENT)


def hdf5_changed(path: Path, rng: np.random.Generator) -> None:
    """Change one to three things in an HDF5 file; it opens as before."""
    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            _one_change(file, rng)


def _one_change(file: h5py.File, rng: np.random.Generator) -> None:
    """Some changes do not go with some objects: another is drawn then."""
    for _ in range(100):
        try:
            pick(rng, CHANGES)(file, rng)
            return
        except (KeyError, OSError, ValueError, TypeError, RuntimeError, OverflowError, IndexError, AttributeError):
            continue
    raise RuntimeError("no change was possible")
