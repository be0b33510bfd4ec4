"""Depth: perturbed cells are control cells that were sequenced less deeply, or more."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from pydantic.dataclasses import dataclass
from scipy.special import comb

from pertura.core.cells import Cells
from pertura.core.expression import column_sums
from pertura.core.perturbation import Condition
from pertura.core.seeds import shuffled
from pertura.data.pseudobulk import batch_weights
from pertura.models.baselines.rule import STRICT, Delta, DeltaRule, Memory, Training, train_mean

MOST_CELLS = 1000
"""Control cells of a context that are thinned, chosen by name."""
BLOCK_CELLS = 128
EXACT = 40
"""Up to this count the expectation over the binomial is a sum; above, a second-order expansion."""
WHOLE, MOSTLY = 0.1, 0.95
Rows = Int[np.ndarray, " _"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Depth(DeltaRule):
    """The change that thinning its counts gives a control cell, by the mean depth change of the train conditions.

    The depth change of a context is the mean over its train conditions of the mean log library size of their cells
    minus that of the model-side controls of their batches. Controls of the context are thinned binomially by that
    factor and normalised again; the answer is the expected change of their mean. Where perturbed cells are deeper,
    it is the opposite of what thinning by the inverse factor does. No expression of a perturbed cell is looked at,
    and of a test condition nothing, not even its depth: what this scores is the share of depth in what all
    perturbations have in common.
    """

    def learn(self, training: Training) -> Memory:
        """Return the change of each train context; the reason where library sizes or counts cannot be told."""
        seen = training.seen
        if seen is None or seen.library_sizes is None:
            return training.memory(labels={"unknown": ("library sizes are not known",)})
        contexts = tuple(sorted({one.context for one in training.bulk.conditions}))
        effects = {name: _effect(seen, name, _change(seen, training.bulk.conditions, name)) for name in contexts}
        if any(one is None for one in effects.values()):
            return training.memory(labels={"unknown": ("counts cannot be told from these values",)})
        return training.memory(arrays={"effects": _stacked(effects)}, labels={"effects": contexts})

    def delta(self, memory: Memory, condition: Condition) -> Delta:
        """Return the change of the condition's context, or of all contexts; the train mean where depth is unknown."""
        if "unknown" in memory.labels:
            return train_mean(memory, memory.labels["unknown"][0])
        contexts, effects = memory.labels["effects"], memory.arrays["effects"]
        if condition.context in contexts:
            return Delta(effects[contexts.index(condition.context)])
        where = condition.context or "the context"
        return Delta(effects.mean(axis=0), note=f"depth in {where} is not known from train: mean of the others")


def _stacked(effects: Mapping[str, Float[np.ndarray, " genes"] | None]) -> Float[np.ndarray, "contexts genes"]:
    return np.asarray([one for one in effects.values() if one is not None])


def _change(seen: Cells, conditions: tuple[Condition, ...], context: str) -> float:
    """Mean over the train conditions of a context of their log depth minus that of controls of the same batches."""
    sizes = seen.library_sizes
    assert sizes is not None
    depth, controls = np.log(sizes), seen.control_rows(context)
    changes = []
    for one in conditions:
        if one.context == context:
            rows = seen.rows_of(one)
            weights, _ = batch_weights(seen, rows, controls)
            changes.append(depth[rows].mean() - weights @ depth[controls])
    return float(np.mean(changes))


def _effect(seen: Cells, context: str, change: float) -> Float[np.ndarray, " genes"] | None:
    """The expected change of the mean of a context's controls when their depth changes by exp(`change`)."""
    controls = seen.control_rows(context)
    rows = np.sort(controls[shuffled(seen.ids[controls], 0, "depth")[:MOST_CELLS]])
    keep = float(np.exp(-abs(change)))
    total = np.zeros(len(seen.genes))
    for start in range(0, len(rows), BLOCK_CELLS):
        some = _thinned(seen, rows[start : start + BLOCK_CELLS], keep)
        if some is None:
            return None
        total += some
    return total / len(rows) * (1.0 if change < 0 else -1.0)


def _thinned(seen: Cells, rows: Rows, keep: float) -> Float[np.ndarray, " genes"] | None:
    """Sums of (expected value after thinning - value) over some cells; None where no counts stand behind them."""
    block = sp.csr_matrix(seen.expression.rows(rows)).astype(np.float64)
    if seen.scale.kind == "counts":
        return column_sums(block) * (keep - 1.0)
    if not (seen.scale.target_sum and seen.scale.log_base) or seen.library_sizes is None:
        return None
    per_count = np.repeat(seen.scale.target_sum / seen.library_sizes[rows], np.diff(block.indptr))
    logs = block.data * np.log(seen.scale.log_base)
    counts = np.expm1(logs) / per_count
    whole = np.abs(counts - np.rint(counts)) <= WHOLE * np.maximum(counts / 100, 1)
    if whole.sum() < MOSTLY * len(whole):
        return None
    block.data = (expected_log(np.rint(counts), per_count / keep, keep) - logs) / np.log(seen.scale.log_base)
    return column_sums(block)


def expected_log(
    counts: Float[np.ndarray, " values"], per_count: Float[np.ndarray, " values"], keep: float
) -> Float[np.ndarray, " values"]:
    """Return E log(1 + a B) for B binomial with `counts` trials of probability `keep`, and a = `per_count`.

    An exact sum up to 40 trials; beyond, log(1 + a m) - a^2 v / (2 (1 + a m)^2) with mean m and variance v of B.
    """
    mean = counts * keep
    spread = np.square(per_count) * mean * (1 - keep)
    expected = np.log1p(per_count * mean) - spread / (2 * np.square(1 + per_count * mean))
    for trials in np.unique(counts[counts <= EXACT]):
        mine = np.flatnonzero(counts == trials)
        hits = np.arange(int(trials) + 1)
        chance = comb(trials, hits) * keep**hits * (1 - keep) ** (trials - hits)
        expected[mine] = np.log1p(per_count[mine, None] * hits) @ chance
    return expected
