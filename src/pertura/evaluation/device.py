"""Distances between cells on an accelerator: the one place of evaluation that knows torch, and only when asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from pertura.core.errors import MissingError, UsageError
from pertura.metrics.energy import NEARLY_SAME, Distances, DistancesTo
from pertura.metrics.threads import ranges

BLOCK_FIRST, BLOCK_SECOND = 2048, 8192
MENDED_AT_ONCE = 4096


def distances_to(fixed: Float[np.ndarray, "fixed genes"], device: str, threads: int) -> Distances:
    """Return what sums distances to `fixed` on `device`: "cpu", "cuda" or "cuda:1"."""
    if device == "cpu":
        return DistancesTo(fixed, threads)
    return DistancesOnDevice(fixed, checked_device(device))


def checked_device(name: str) -> str:
    """Return the name of a device that is there; raise `MissingError` where it is not."""
    if name == "cpu":
        return name
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device is called {name!r}; say cpu or cuda") from error
    if device.type != "cuda":
        raise UsageError(f"distances are taken on cpu or cuda, not on {name!r}")
    if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
        raise MissingError(f"{name}: no such CUDA device here; leave out --device, or say --device cpu")
    return name


@dataclass(frozen=True, eq=False)
class DistancesOnDevice:
    """Sums of distances to `fixed`, which stays on `device`; the same numbers as `DistancesTo` within rounding."""

    fixed: Float[np.ndarray, "fixed genes"]
    device: str
    _there: Any = field(init=False, repr=False)
    _squares: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        there = _sent(self.fixed, self.device)
        object.__setattr__(self, "_there", there)
        object.__setattr__(self, "_squares", _squared_lengths(there))

    def sums(self, cells: Float[np.ndarray, "cells genes"]) -> Float[np.ndarray, " cells"]:
        """Return for each cell the sum of its Euclidean distances to `fixed`, in float64."""
        total = np.zeros(len(cells))
        with _full_precision():
            for start, stop in ranges(len(cells), BLOCK_FIRST):
                total[start:stop] = self._block(_sent(cells[start:stop], self.device)).cpu().numpy()
        return total

    def _block(self, cells: Any) -> Any:
        import torch

        squares = _squared_lengths(cells)
        total = torch.zeros(len(cells), dtype=torch.float64, device=self.device)
        for start, stop in ranges(len(self._there), BLOCK_SECOND):
            other = self._there[start:stop]
            lengths = squares[:, None] + self._squares[start:stop]
            square = lengths - 2 * (cells @ other.T).double()
            root = square.clamp_(min=0).sqrt()
            _mend_near_pairs(root, square < NEARLY_SAME * lengths, cells, other)
            total += root.sum(dim=1)
        return total


def _sent(cells: Float[np.ndarray, "cells genes"], device: str) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(cells, dtype=np.float32)).to(device)


def _squared_lengths(cells: Any) -> Any:
    import torch

    # by blocks: a float64 copy of all controls would be large
    return torch.cat([cells[start:stop].double().square().sum(dim=1) for start, stop in ranges(len(cells), 1024)])


def _mend_near_pairs(root: Any, near: Any, cells: Any, other: Any) -> None:
    """Take the distances marked by `near` again from differences: products in float32 have no digits left there."""
    for pairs in near.nonzero().split(MENDED_AT_ONCE):
        i, j = pairs.unbind(dim=1)
        root[i, j] = (cells[i].double() - other[j].double()).square().sum(dim=1).sqrt()


@contextmanager
def _full_precision() -> Iterator[None]:
    """Within it, float32 products keep all their digits."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
