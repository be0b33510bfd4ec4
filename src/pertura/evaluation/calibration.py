"""How often the rank test calls a gene where nothing was done, and what batches as the unit of replication find."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from pertura.core.cells import Cells
from pertura.core.expression import Subset
from pertura.core.perturbation import Condition
from pertura.core.seeds import shuffled
from pertura.data.pseudobulk import mean_of
from pertura.evaluation.resampling import Rows
from pertura.evaluation.tested import tests_for
from pertura.metrics.differential import differential_expression, false_discovery_rate
from pertura.metrics.significant import SIGNIFICANT

GROUPS = 10
FEWEST = 10
BATCHES = 3
SUSPICIOUS = 0.1


@dataclass(frozen=True)
class FalsePositives:
    """The share of genes with p < 0.05 among control cells of one context that are tested against one another.

    `drawn`: groups drawn at random, as large as a condition. `batches`: the controls of each batch against those of
    all others. NaN where there are too few cells or batches.
    """

    context: str
    drawn: float
    batches: float

    @property
    def told(self) -> str:
        """The rates in words."""
        parts = [f"groups drawn at random {self.drawn:.1%}"] if np.isfinite(self.drawn) else []
        parts += [f"batches {self.batches:.1%}"] if np.isfinite(self.batches) else []
        return " and ".join(parts) + " of genes have p < 0.05, where 5 % are expected" if parts else "too few controls"

    @property
    def suspicious(self) -> bool:
        """More than one gene in ten is called where nothing was done."""
        return bool(np.nan_to_num([self.drawn, self.batches]).max() > SUSPICIOUS)


def false_positives(cells: Cells, context: str, size: int, seed: int) -> FalsePositives:
    """Return how often the rank test calls genes of control cells against other control cells of the context.

    Groups drawn at random have `size` cells, at most ten groups, and half of the controls stay as the reference.
    """
    rows = cells.control_rows(context)
    order = rows[shuffled(cells.ids[rows], seed, "false positives", context)]
    fewer = min(size, len(order) // 4)
    groups = min(GROUPS, len(order) // 2 // max(fewer, 1))
    drawn = float("nan")
    if fewer >= FEWEST:
        codes = np.full(len(order), groups)
        codes[: groups * fewer] = np.repeat(np.arange(groups), fewer)
        drawn = _rate(cells, order, codes, groups)
    return FalsePositives(context, drawn, _between_batches(cells, rows))


def _between_batches(cells: Cells, rows: Rows) -> float:
    if cells.batch_codes is None:
        return float("nan")
    own = cells.batch_codes[rows]
    batches = [one for one in np.unique(own) if FEWEST <= (own == one).sum() <= len(own) - FEWEST]
    rates = [_rate(cells, rows, np.where(own == one, 0, 1), 1) for one in batches]
    return float(np.mean(rates)) if rates else float("nan")


def _rate(cells: Cells, rows: Rows, codes: Int[np.ndarray, " cells"], groups: int) -> float:
    found = differential_expression(Subset(cells.expression, rows), codes, groups, options=tests_for(cells))
    return float((found.p_value < SIGNIFICANT).mean())


def significant_by_batch(
    cells: Cells, conditions: tuple[Condition, ...], controls: Mapping[str, Rows]
) -> Float[np.ndarray, " conditions"]:
    """Return how many genes differ where batches, not cells, are the unit of replication.

    Welch's t over the means of batches, Benjamini-Hochberg over genes, FDR < 0.05. NaN for a condition with fewer than
    three batches on either side. Batch means of controls are taken on the judge's side.
    """
    counts = np.full(len(conditions), np.nan)
    if cells.batch_codes is None:
        return counts
    sides = {name: _batch_means(cells, cells.batch_codes, rows) for name, rows in controls.items()}
    for i, one in enumerate(conditions):
        mine, other = _batch_means(cells, cells.batch_codes, cells.rows_of(one)), sides[one.context]
        if min(len(mine), len(other)) >= BATCHES:
            counts[i] = (false_discovery_rate(_welch_p(mine, other)[None])[0] < SIGNIFICANT).sum()
    return counts


def _welch_p(
    first: Float[np.ndarray, "first genes"], second: Float[np.ndarray, "second genes"]
) -> Float[np.ndarray, " genes"]:
    """Welch's test with Satterthwaite's degrees of freedom; p is 1 for a gene that varies nowhere."""
    errors = [one.var(axis=0, ddof=1) / len(one) for one in (first, second)]
    error = errors[0] + errors[1]
    known = error > 1e-24 * np.square(first).mean(axis=0)
    freedom = sum(np.square(one[known]) / (len(side) - 1) for one, side in zip(errors, (first, second)))
    t = (first.mean(axis=0) - second.mean(axis=0))[known] / np.sqrt(error[known])
    p = np.ones(first.shape[1])
    p[known] = 2 * stats.t.sf(np.abs(t), np.square(error[known]) / freedom)
    return p


def _batch_means(
    cells: Cells, batch_codes: Int[np.ndarray, " cells"], rows: Rows
) -> Float[np.ndarray, "batches genes"]:
    own = batch_codes[rows]
    means = [mean_of(cells.expression, rows[own == one]) for one in np.unique(own)]
    return np.asarray(means).reshape(len(means), len(cells.genes))
