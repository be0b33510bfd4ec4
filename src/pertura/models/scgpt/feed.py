"""Pairs of a control cell and a perturbed cell, batch by batch, over windows of genes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pertura.core.cells import Cells
from pertura.core.errors import ContextError
from pertura.core.expression import BLOCK_CELLS, dense
from pertura.core.perturbation import Condition
from pertura.core.seeds import generator
from pertura.models.scgpt.panel import NOT_MEASURED, PERTURBED, Marks, TokenPanel

Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Control values and what the perturbed cells showed, over one window of genes that the cells share.

    `values`, `flags` and `padding` cover the window and after it the perturbed genes beside the panel; `targets` the
    window alone.
    """

    gene_ids: Int[Tensor, "1 window"]
    extra_ids: Int[Tensor, "cells extra"] | None
    values: Float[Tensor, "cells total"]
    flags: Int[Tensor, "cells total"]
    padding: Bool[Tensor, "cells total"] | None
    targets: Float[Tensor, "cells window"]


@dataclass(frozen=True)
class Windows:
    """Which genes a batch covers: at most `most`, perturbed ones always among them unless `reference`.

    `reference` is the published procedure: perturbed genes are sampled like all others, and those beside the panel
    have no token.
    """

    most: int = 1536
    reference: bool = False


@dataclass(eq=False)
class PairFeed:
    """A `Feed` over the perturbed cells of some conditions; controls are drawn anew each epoch.

    The control of a cell comes from its context and, where known, its batch. `most_cells` is how many cells of a
    condition an epoch has at most, others in the next; None takes all. Of a share of the pairs (`hidden_share`) the
    perturbed genes beside the panel are shown as unknown ones.
    """

    cells: Cells
    conditions: tuple[Condition, ...]
    panel: TokenPanel
    windows: Windows
    batch_size: int
    seed: int
    device: str = "cpu"
    most_cells: int | None = None
    hidden_share: float = 0.0

    def __post_init__(self) -> None:
        self.values = torch.from_numpy(panel_values(self.cells, self.panel)).to(self.device)
        marks = self.panel.marks(self.conditions)
        self.marks, self.flags_here = marks.to(self.device), marks.flags.numpy()
        self.ids = torch.from_numpy(self.panel.ids).to(self.device)
        self.rows = [_by_name(self.cells, self.cells.rows_of(one)) for one in self.conditions]
        self.pools = {one: _pools(self.cells, one) for one in sorted({each.context for each in self.conditions})}
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    @property
    def steps(self) -> int:
        """Updates in an epoch."""
        return -(-self._size // self.batch_size)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of cells, conditions, panel and windows."""
        told = hashlib.sha256(self.values.cpu().numpy().tobytes())
        facts = (
            *(one.label for one in self.conditions),
            *self.panel.genes,
            repr(self.windows),
            self.most_cells,
            self.hidden_share,
        )
        told.update("\x1f".join(map(str, facts)).encode())
        return told.hexdigest()

    def places(self, epoch: int, step: int) -> range:
        """Return the places, in the order of the epoch, of the cells of a batch."""
        return range(step * self.batch_size, min((step + 1) * self.batch_size, self._size))

    def batch(self, epoch: int, step: int, chosen: Sequence[int], key: str) -> PairBatch:
        """Return those pairs over the window of the batch, on the device."""
        pairs = self.epoch(epoch, key)
        whole = self.places(epoch, step)
        window = self._window(pairs.conditions[whole.start : whole.stop], (self.seed, "window", epoch, step, key))
        mine = torch.as_tensor(list(chosen))
        conditions = pairs.conditions[mine].to(self.device)
        controls, perturbed = (self._values(rows[mine], window) for rows in (pairs.controls, pairs.perturbed))
        flags = self.marks.flags[conditions][:, window]
        if self.windows.reference or not self.marks.extra.shape[1]:
            return PairBatch(self.ids[window][None], None, controls, flags.long() * PERTURBED, None, perturbed)
        made = beside_panel(self.ids[window][None], controls, flags, self.marks, conditions, perturbed)
        if not self.hidden_share:
            return made
        return replace(made, extra_ids=self.marks.hidden(conditions, pairs.hidden[mine].to(self.device)))

    @cached_property
    def _size(self) -> int:
        return sum(len(one) if self.most_cells is None else min(len(one), self.most_cells) for one in self.rows)

    def _epoch(self, epoch: int, key: str) -> "Pairs":
        """Return an epoch's pairs: which cells, in which order, each with which control."""
        rng = generator(self.seed, "epoch", epoch, key)
        taken = [rng.permutation(rows)[: self.most_cells] for rows in self.rows]
        perturbed = np.concatenate(taken)
        conditions = np.repeat(np.arange(len(taken)), [len(one) for one in taken])
        controls = np.empty(len(perturbed), dtype=np.int64)
        for context, pools in self.pools.items():
            for batch, pool in pools.items():
                mine = self._of(context, batch, perturbed, conditions)
                controls[mine] = pool[rng.integers(len(pool), size=len(mine))]
        order = rng.permutation(len(perturbed))
        hidden = rng.random(len(perturbed)) < self.hidden_share
        parts = (perturbed, controls, conditions, hidden)
        return Pairs(*(torch.from_numpy(one[order]) for one in parts))

    def _of(self, context: str, batch: int, perturbed: Rows, conditions: Rows) -> Rows:
        """Return which pairs draw from a pool: those of the context and batch; from -1 those whose batch has none."""
        there = np.asarray([one.context == context for one in self.conditions], dtype=bool)[conditions]
        if self.cells.batch_codes is None:
            return np.flatnonzero(there)
        codes = self.cells.batch_codes[perturbed]
        own = np.isin(codes, [one for one in self.pools[context] if one >= 0])
        return np.flatnonzero(there & (own & (codes == batch) if batch >= 0 else ~own))

    def _window(self, conditions: Int[Tensor, " batch"], key: tuple[object, ...]) -> Int[Tensor, " window"]:
        """Return the columns of a batch, in order; the same for all pieces of the batch and all processes."""
        size = len(self.panel.columns)
        if size <= self.windows.most:
            return torch.arange(size, device=self.device)
        order = generator(int(str(key[0])), *key[1:]).permutation(size)
        if not self.windows.reference:
            kept = self.flags_here[conditions.numpy()].any(axis=0)
            order = np.concatenate([np.flatnonzero(kept), order[~kept[order]]])
        return torch.from_numpy(np.sort(order[: self.windows.most])).to(self.device)

    def _values(self, rows: Int[Tensor, " cells"], window: Int[Tensor, " window"]) -> Float[Tensor, "cells window"]:
        taken = self.values[rows.to(self.device)]
        return taken if len(window) == taken.shape[1] else taken[:, window]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows of perturbed cells and of their controls, the condition of each pair, and whether its genes are hidden."""

    perturbed: Int[Tensor, " pairs"]
    controls: Int[Tensor, " pairs"]
    conditions: Int[Tensor, " pairs"]
    hidden: Bool[Tensor, " pairs"]


def beside_panel(
    gene_ids: Int[Tensor, "1 window"],
    controls: Float[Tensor, "cells window"],
    flags: Bool[Tensor, "cells window"],
    marks: Marks,
    conditions: Int[Tensor, " cells"],
    targets: Float[Tensor, "cells window"],
) -> PairBatch:
    """Return a batch whose cells carry, after the window, a flagged token for each perturbed gene beside the panel."""
    extra, absent = marks.extra[conditions], marks.padding[conditions]
    beside = torch.full(extra.shape, NOT_MEASURED, dtype=controls.dtype, device=controls.device)
    all_flags = torch.cat([flags.long(), (~absent).long()], dim=1) * PERTURBED
    padding = torch.cat([torch.zeros_like(flags), absent], dim=1) if marks.ragged else None
    return PairBatch(gene_ids, extra, torch.cat([controls, beside], dim=1), all_flags, padding, targets)


def panel_values(cells: Cells, panel: TokenPanel) -> Float[np.ndarray, "cells known"]:
    """Return the expression of the genes that have a token, as float32."""
    values = np.empty((len(cells), len(panel.columns)), dtype=np.float32)
    for start in range(0, len(cells), BLOCK_CELLS):
        rows = np.arange(start, min(start + BLOCK_CELLS, len(cells)))
        values[rows] = dense(cells.expression.rows(rows))[:, panel.columns]
    return values


def _by_name(cells: Cells, rows: Rows) -> Rows:
    return rows[np.argsort(cells.ids[rows].astype(str), kind="stable")]


def _pools(cells: Cells, context: str) -> dict[int, Rows]:
    """Return the control rows of a context by batch; under -1 all of them, for cells whose batch has none."""
    rows = _by_name(cells, cells.control_rows(context))
    if not len(rows):
        raise ContextError(f"{cells.name}: no control cells of context {context!r} to start from")
    pools = {-1: rows}
    if cells.batch_codes is not None:
        pools |= {int(code): rows[cells.batch_codes[rows] == code] for code in np.unique(cells.batch_codes[rows])}
    return pools
