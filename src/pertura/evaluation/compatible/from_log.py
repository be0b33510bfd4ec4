"""A prediction in log1p space as counts, for rules that judge counts."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped

from pertura.core.errors import BadDataError
from pertura.core.expression import BLOCK_CELLS, as_expression, blocks
from pertura.core.seeds import generator
from pertura.data.labelled import Labelled
from pertura.evaluation.compatible.pairing import control_rows, same_genes

Cells = Float[np.ndarray, "cells genes"]
LARGEST = 30.0
"""No log1p of a count is larger."""


def counts_from_log(predicted: Labelled, observed: Labelled, seed: int = 0) -> tuple[Labelled, str]:
    """Return the prediction as whole counts in memory, and a sentence that says how they came about.

    Each cell is given the total of an observed control cell drawn by the cell's name; its genes share that total in
    proportion to expm1 of their values. What is left after the whole part becomes one more count with that probability:
    means are kept, where rounding to the nearest would silence every gene below half a count. Negative values count as
    zero. Raise where the values are counts already or cannot be logarithms.
    """
    same_genes(predicted, observed)
    totals = _totals(observed)
    parts, negative, whole = [], 0, True
    for start, block in _blocks(predicted):
        _check(predicted, block)
        negative += int((block < 0).sum())
        whole = whole and bool((block == np.rint(block)).all())
        names = predicted.ids[start : start + len(block)]
        parts.append(_draw(np.expm1(np.maximum(block, 0.0)), names, totals, seed))
    if whole:
        raise BadDataError(
            "whole numbers, not logarithms", file=predicted.name, remedy="these are counts: use preset `vcc2026`"
        )
    drawn = sp.csr_matrix(sp.vstack(parts, format="csr"))
    return replace(predicted, expression=as_expression(drawn)), _how(negative)


def _how(negative: int) -> str:
    clipped = f" {negative:,} negative values counted as zero." if negative else ""
    return (
        "The prediction was turned into counts: expm1, scaled to the total of an observed control cell drawn for each "
        f"cell, fractions rounded up or down at random so that means are kept.{clipped}"
    )


def _totals(observed: Labelled) -> Float[np.ndarray, " controls"]:
    rows = control_rows(observed)
    rows = rows[np.argsort(observed.ids[rows].astype(str), kind="stable")]  # the order of the file changes nothing
    return np.concatenate([block.sum(axis=1) for block in blocks(observed.expression, rows)])


def _blocks(cells: Labelled) -> Iterator[tuple[int, Cells]]:
    every = np.arange(len(cells.codes))
    return zip(range(0, len(every), BLOCK_CELLS), blocks(cells.expression, every), strict=True)


def _check(cells: Labelled, block: Cells) -> None:
    if not np.isfinite(block).all():
        raise BadDataError("values that are not finite", file=cells.name)
    if block.max(initial=0.0) > LARGEST:
        raise BadDataError(
            f"a value of {block.max():,.4g}: no logarithm of a count is that large",
            file=cells.name,
            remedy="give natural logarithms of 1 + scaled counts, or counts to preset `vcc2026`",
        )


def _draw(
    shares: Cells, names: Shaped[np.ndarray, " cells"], totals: Float[np.ndarray, " controls"], seed: int
) -> sp.csr_matrix:
    counts = np.zeros(shares.shape, dtype=np.int32)
    for i, (share, name) in enumerate(zip(shares, names, strict=True)):
        rng = generator(seed, "counts from log", name)
        whole = share.sum()
        expected = share * (totals[rng.integers(len(totals))] / whole) if whole > 0 else share
        counts[i] = _rounded(expected, rng)
    return sp.csr_matrix(counts)


def _rounded(expected: Float[np.ndarray, " genes"], rng: np.random.Generator) -> Int[np.ndarray, " genes"]:
    floor = np.floor(expected)
    return (floor + (rng.random(len(expected)) < expected - floor)).astype(np.int32)
