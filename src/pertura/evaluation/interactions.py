"""What a pair would do if the changes of its singles added up, and whether it departs from that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.perturbation import Condition, Perturbation
from pertura.data.pseudobulk import mean_of
from pertura.evaluation import resampling

THRESHOLD = 0.05
Means = Float[np.ndarray, "conditions genes"]
Rows = resampling.Rows


@dataclass(frozen=True, eq=False)
class Interactions:
    """For each pair that departs from additivity: the sum of its singles' changes, and the variance of that sum.

    Rows of other conditions are NaN. `p` is the share of draws under exact additivity in which noise of the cells
    alone departs at least as far (NaN where it was not asked). `lacking` are the pairs of which a single was not
    observed; `additive` those whose departure redrawn cells explain.
    """

    expected: Means
    noise: Means
    p: Float[np.ndarray, " conditions"]
    pairs: int
    lacking: tuple[Condition, ...]
    additive: tuple[Condition, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Say of how many pairs nothing can be said, and why."""
        if not self.pairs:
            return ()
        told = f"additivity is judged for {self.pairs - len(self.lacking) - len(self.additive)} of {self.pairs} pairs"
        if self.lacking:
            told += f"; {len(self.lacking)} lack cells of a single"
        if self.additive:
            told += f"; {len(self.additive)} depart from it by no more than redrawn cells do"
        return (told,)


def interactions(
    cells: Cells, judged: Sequence[Condition], controls: Mapping[str, Rows], draws: int, seed: int
) -> Interactions:
    """Return the interactions of the judged pairs whose singles were observed, in train cells or others.

    `controls` maps each context to its judge-side controls. The null draws cells of the pair, of both singles and of
    the controls anew, with replacement: what is then left of (pair - first - second) is noise.
    """
    expected, noise = np.full((2, len(judged), len(cells.genes)), np.nan)
    p = np.full(len(judged), np.nan)
    lacking, additive = [], []
    pairs = [i for i, one in enumerate(judged) if one.perturbation.is_pair]
    for i in pairs:
        singles = _singles(judged[i])
        if any(len(cells.rows_of(one)) < 2 for one in singles):
            lacking.append(judged[i])
            continue
        found = _Pair.of(cells, (judged[i], *singles), controls[judged[i].context], draws, seed)
        p[i] = found.p
        if found.p <= THRESHOLD:
            expected[i], noise[i] = found.expected, found.noise
        else:
            additive.append(judged[i])
    return Interactions(expected, noise, p, len(pairs), tuple(lacking), tuple(additive))


def _singles(pair: Condition) -> tuple[Condition, Condition]:
    first, second = sorted(pair.perturbation.targets)
    return (
        Condition(Perturbation(frozenset({first})), pair.context),
        Condition(Perturbation(frozenset({second})), pair.context),
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    """One pair: the sum of its singles' changes, the variance of it, and how often noise departs as far."""

    expected: Float[np.ndarray, " genes"]
    noise: Float[np.ndarray, " genes"]
    p: float

    @classmethod
    def of(
        cls, cells: Cells, three: tuple[Condition, Condition, Condition], controls: Rows, draws: int, seed: int
    ) -> "_Pair":
        groups = resampling.control_groups(cells, three, {three[0].context: controls})
        means = np.asarray([mean_of(cells.expression, cells.rows_of(one)) for one in three])
        start = groups.weights @ resampling.group_means(cells, groups)
        redrawn = resampling.bootstrap(cells, three, groups, draws, seed)
        off = redrawn.means.astype(np.float64) - means
        start_off = np.einsum("cg,dgx->dcx", groups.weights, redrawn.groups.astype(np.float64)) - start
        change, noise = means - start, off - start_off
        departure = np.square(change[0] - change[1] - change[2]).sum()
        null = np.square(noise[:, 0] - noise[:, 1] - noise[:, 2]).sum(axis=1)
        # cells that are not known leave nothing to say
        p = (1 + (null >= departure).sum()) / (1 + draws) if np.isfinite(departure) else 1.0
        return cls(change[1] + change[2], np.square(off[:, 1] + off[:, 2]).mean(axis=0), float(p))
