"""Cells around a mean profile: control cells are drawn, and moved until their mean is the intended one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pertura.core.cells import Cells

Controls = Float[np.ndarray, "cells genes"]
Profile = Float[np.ndarray, " genes"]
Emitted = Float[np.ndarray, "cells genes"]
BLOCK_GENES = 512
Emitter = Callable[[Controls, Profile, np.random.Generator], Emitted]


@dataclass(frozen=True, eq=False)
class Drawing:
    """The control cells that predicted cells are made from: row i of the prediction from control `rows[i]`.

    `repeated` counts the predicted cells whose control had been drawn before, `unmatched` those whose batch has no
    control and that were given one of another batch.
    """

    rows: Int[np.ndarray, " cells"]
    repeated: int
    unmatched: int


def draw(controls: Cells, count: int, batches: Sequence[str] | None, rng: np.random.Generator) -> Drawing:
    """Return which controls stand behind `count` cells, from the batches that are named for them where these are known.

    A control is drawn twice only after every other of its pool was drawn once. The order of the controls in the file
    has no influence: the draw is over their sorted names.
    """
    by_name = np.argsort(np.asarray([str(one) for one in controls.ids]), kind="stable")
    if batches is None or controls.batch_codes is None:
        rows = by_name[_dealt(len(by_name), count, rng)]
        return Drawing(rows, count - len(np.unique(rows)), 0)
    own = np.asarray(controls.batches)[controls.batch_codes[by_name]]
    wanted = np.asarray(batches)
    rows = np.empty(count, dtype=np.int64)
    unmatched = 0
    for batch in np.unique(wanted):
        places = np.flatnonzero(wanted == batch)
        pool = by_name[own == batch]
        if not len(pool):
            pool, unmatched = by_name, unmatched + len(places)
        rows[places] = pool[_dealt(len(pool), len(places), rng)]
    return Drawing(rows, count - len(np.unique(rows)), unmatched)


def chosen(size: int, count: int, rng: np.random.Generator) -> Int[np.ndarray, " cells"]:
    """Return `count` of `size` positions, none twice before all are taken once; all in order where as many."""
    return np.arange(size) if count == size else _dealt(size, count, rng)


def _dealt(size: int, count: int, rng: np.random.Generator) -> Int[np.ndarray, " cells"]:
    """Deal `count` cards from a pack of `size`, shuffled again each time it is used up."""
    packs = [rng.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate(packs)[:count] if packs else np.empty(0, dtype=np.int64)


def constant(controls: Controls, profile: Profile, rng: np.random.Generator) -> Emitted:
    """Return the profile, clipped at zero, once for each control."""
    return np.tile(np.maximum(profile, 0.0), (len(controls), 1)).astype(np.float32)


def control_shift(controls: Controls, profile: Profile, rng: np.random.Generator) -> Emitted:
    """Return the controls shifted gene by gene and clipped at zero, with the profile, clipped at zero, as their mean.

    The plain difference of the means would fall short wherever clipping sets in.
    """
    shifted = np.empty(controls.shape, dtype=np.float32)
    for start in range(0, controls.shape[1], BLOCK_GENES):
        block = slice(start, start + BLOCK_GENES)
        target = np.maximum(profile[block], 0.0)
        moved = np.maximum(controls[:, block] + shift_to(controls[:, block], target), 0.0)
        shifted[:, block] = np.where(target > 0, moved, 0.0)
    return shifted


def shift_to(cells: Controls, target: Profile) -> Profile:
    """Return for each gene the shift s that solves mean(max(x + s, 0)) = target, for targets above zero.

    With x sorted downwards and k values left positive, s_k = (cells * target - (x_1 + ... + x_k)) / k; k is the largest
    number for which x_k + s_k > 0.
    """
    downwards = -np.sort(-cells, axis=0)
    number = np.arange(1, len(cells) + 1)[:, None]
    shifts = (len(cells) * target - np.cumsum(downwards, axis=0)) / number
    positive = np.maximum((downwards + shifts > 0).sum(axis=0), 1)
    return np.take_along_axis(shifts, positive[None] - 1, axis=0)[0]


def resampled(controls: Controls, profile: Profile, rng: np.random.Generator) -> Emitted:
    """Return the controls scaled gene by gene to the profile: zeros stay zeros, relative dispersion is kept.

    Scaling stops where the cells that express a gene would on average exceed its largest control value; then the
    fewest further cells express it too, with values drawn from the expressing ones, and all are scaled to the mean. A
    gene that no control expresses is given to the fewest cells at the median expressed value of all genes; any such
    choice is invented, this one keeps the mean and most zeros.
    """
    target = np.maximum(profile, 0.0)
    largest = controls.max(axis=0)
    expressed = (controls > 0).sum(axis=0)
    positive = controls[controls > 0]
    largest = np.where(expressed > 0, largest, np.median(positive) if len(positive) else 1.0)
    needed = np.minimum(np.ceil(len(controls) * target / largest - 1e-9), len(controls)).astype(np.int64)
    cells = controls.copy()
    for gene in np.flatnonzero(needed > expressed):
        silent = rng.permutation(np.flatnonzero(controls[:, gene] == 0))[: needed[gene] - expressed[gene]]
        pool = controls[controls[:, gene] > 0, gene]
        cells[silent, gene] = rng.choice(pool, len(silent)) if len(pool) else largest[gene]
    means = cells.mean(axis=0)
    factor = np.divide(target, means, out=np.zeros_like(target), where=means > 0)
    return (cells * factor).astype(np.float32)


EMITTERS: dict[str, Emitter] = {"control-shift": control_shift, "resampled": resampled, "constant": constant}
"""How a mean profile becomes cells. The mean is kept to 1e-6 for values up to 16, beyond that to float32 precision."""
