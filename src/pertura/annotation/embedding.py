"""Embeddings by a frozen network, computed once for the same content."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Float32
from safetensors import SafetensorError
from safetensors import numpy as tensors

from pertura.annotation.pretrained import Base
from pertura.annotation.tokens import Reading, batch_of, bucketed, tokenised
from pertura.annotation.view import View, digest_of
from pertura.core.atomic import write_bytes
from pertura.core.expression import Rows
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.tokens import TokenBatch
from pertura.training.options import TrainingOptions
from pertura.training.precision import autocast

Vectors = Float32[np.ndarray, "cells width"]
Told = Callable[[int], None]


def cache_folder() -> Path:
    """Return where embeddings are kept: `PERTURA_CACHE` if it is set, else the user's cache folder."""
    chosen = os.environ.get("PERTURA_CACHE", "")
    start = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pertura"
    return start / "embeddings"


@dataclass(eq=False)
class FrozenEmbedding:
    """Unit vectors of cells by a network that no strategy changes.

    `remember` computes all cells of a view once, and keeps them in `cache` under a digest of network and cells, so that
    a later run on the same content computes nothing. Other views are embedded as they are asked for.
    """

    base: Base
    reading: Reading = field(default_factory=Reading)
    options: TrainingOptions = field(default_factory=TrainingOptions)
    cache: Path | None = None
    seconds: float = 0.0
    from_cache: bool = False
    _body: ScGPTNetwork | None = None
    _kept: WeakKeyDictionary[View, Vectors] = field(default_factory=WeakKeyDictionary)

    def place(self, view: View, rows: Rows) -> Vectors:
        """Return the vectors of some cells; NaN for a cell that expresses no gene with a token."""
        kept = self._kept.get(view)
        return self._embedded(view, rows) if kept is None else kept[rows]

    def remember(self, view: View, told: Told | None = None) -> None:
        """Compute the vectors of all cells of a view, or take them from the cache."""
        every = np.arange(len(view))
        began = time.perf_counter()
        keys = [one.key for rows in self.reading.pools(every) for one in tokenised(view, rows, self.base)]
        place = None if self.cache is None else self.cache / f"{self._name(keys)}.safetensors"
        found = None if place is None else _read(place, keys, self.base.width)
        self.from_cache = found is not None
        if found is None:
            found = self._embedded(view, every, told)
            if place is not None:
                _write(place, keys, found)
        self._kept[view] = found
        self.seconds = time.perf_counter() - began

    def _name(self, keys: list[str]) -> str:
        about = f"{self.base.digest} {self.reading.longest} {self.options.precision}"
        return digest_of([about.encode(), *(one.encode() for one in sorted(keys))])

    def _embedded(self, view: View, rows: Rows, told: Told | None = None) -> Vectors:
        if self._body is None:
            self._body = self.base.body().to(self.options.device)
        return embedded(self._body, view, rows, (self.base, self.reading, self.options), told)


def embedded(
    body: ScGPTNetwork, view: View, rows: Rows, how: tuple[Base, Reading, TrainingOptions], told: Told | None = None
) -> Vectors:
    """Return the unit vectors of some cells by a network in evaluation, read and padded a few batches at a time."""
    base, reading, options = how
    vectors = np.full((len(rows), base.width), np.nan, dtype=np.float32)
    start = 0
    for pool in reading.pools(rows):
        cells = tokenised(view, pool, base)
        for chosen in bucketed(cells, reading.batch):
            batch = batch_of([cells[place] for place in chosen], base, reading)
            vectors[start + chosen] = _unit(body, batch, options)
        start += len(pool)
        if told is not None:
            told(start)
    return vectors


def class_states(body: ScGPTNetwork, batch: TokenBatch, device: str) -> "torch.Tensor":
    """Return the state of the class token of each cell, scaled to length one."""
    ids, values, padding = batch.ids.to(device), batch.values.to(device), batch.padding.to(device)
    states = body(ids, values, None, padding if bool(batch.padding.any()) else None).states
    return torch.nn.functional.normalize(states[:, 0].float(), dim=1)


def _unit(body: ScGPTNetwork, batch: TokenBatch, options: TrainingOptions) -> Vectors:
    with torch.inference_mode(), autocast(options):
        return class_states(body, batch, options.device).cpu().numpy()


def _write(place: Path, keys: list[str], vectors: Vectors) -> None:
    order = np.argsort(keys, kind="stable")
    write_bytes(place, tensors.save({"keys": _as_bytes(keys)[order], "vectors": vectors[order]}))


def _read(place: Path, keys: list[str], width: int) -> Vectors | None:
    """Return what was kept for these cells, in their order; None where nothing sound is."""
    try:
        kept = tensors.load(place.read_bytes())
        order = np.argsort(keys, kind="stable")
        same: Bool[np.ndarray, ""] = np.asarray(np.array_equal(kept["keys"], _as_bytes(keys)[order]))
        if not same or kept["vectors"].shape != (len(keys), width):
            return None
        vectors = np.empty((len(keys), width), dtype=np.float32)
        vectors[order] = kept["vectors"]
        return vectors
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _as_bytes(keys: list[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    return np.frombuffer("".join(keys).encode(), dtype=np.uint8).reshape(len(keys), -1)
