"""The observed side of a judgement, prepared once for all predictions that are judged against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.heap import give_back
from pertura.core.perturbation import Condition
from pertura.core.split import Split
from pertura.evaluation import resampling
from pertura.evaluation.calibration import FalsePositives, false_positives, significant_by_batch
from pertura.evaluation.detectable import detectable, effect_p_values
from pertura.evaluation.effort import Cost, Effort, Rounds
from pertura.evaluation.interactions import Interactions, interactions
from pertura.evaluation.populations import Populations
from pertura.evaluation.resampling import ControlGroups, Draws
from pertura.evaluation.sides import CellSides
from pertura.evaluation.tested import ObservedCalls, Tester

FEW_CONTROLS = 50
FEW_CELLS = 25
Means = Float[np.ndarray, "conditions genes"]


@dataclass(frozen=True, eq=False)
class Observed:
    """Observed means, matched control means of either side, and their redrawn, permuted and halved versions.

    Rows follow `conditions`. `model_controls` is what predicted deltas subtract, `controls` what observed deltas
    subtract: means of disjoint cells unless `shared_controls`. `importance` weighs genes by how far they set a
    condition apart from the other judged ones. What only rank tests and distances between cells need is worked out when
    it is first asked for.
    """

    genes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    counts: Int[np.ndarray, " conditions"]
    means: Means
    controls: Means
    model_controls: Means
    importance: Means
    interactions: Interactions
    kept: Bool[np.ndarray, " genes"]
    effect_p: Float[np.ndarray, " conditions"]
    signal: Float[np.ndarray, " conditions"]
    bootstrap: Draws
    permuted: Draws
    halves: tuple[Draws, Draws]
    cells: Cells
    groups: tuple[ControlGroups, ControlGroups]
    effort: Effort
    rounds: Mapping[Cost, Rounds]
    strata: Mapping[str, frozenset[Condition]]
    split: str
    seed: int
    shared_controls: bool = False
    warnings: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    def without_draws(self) -> "Observed":
        """Return the same with no draws, and without what was worked out of them: enough to show, not to score."""
        first, second = (one.none() for one in self.halves)
        return replace(self, bootstrap=self.bootstrap.none(), permuted=self.permuted.none(), halves=(first, second))

    @property
    def contexts(self) -> Int[np.ndarray, " conditions"]:
        """A code for the context of each condition."""
        names = sorted({one.context for one in self.conditions})
        return np.asarray([names.index(one.context) for one in self.conditions], dtype=np.int64)

    @property
    def detectable(self) -> Bool[np.ndarray, " conditions"]:
        """Which conditions differ from control in a permutation E-test (p <= 0.05)."""
        return detectable(self.effect_p)

    @cached_property
    def tester(self) -> Tester:
        """Rank tests of this screen."""
        return Tester(self.cells, self.conditions, *self.groups, self.seed)

    @cached_property
    def calls(self) -> ObservedCalls:
        """Genes called significant in the observed cells, and in all draws of them."""
        return self.tester.observed(self.rounds["tests"])

    @cached_property
    def populations(self) -> Populations:
        """The observed cells that enter distances between cells."""
        return Populations(
            self.cells, self.conditions, *self.groups, self.seed, self.effort.most_cells, self.rounds["cells"]
        )

    @cached_property
    def halved_populations(self) -> list[CellSides]:
        """Half of these cells against the other half."""
        return self.populations.halves()

    @cached_property
    def false_positives(self) -> tuple[FalsePositives, ...]:
        """How often the rank test calls a gene of control cells, in each context."""
        size = int(np.median(self.counts))
        names = sorted({one.context for one in self.conditions})
        return tuple(false_positives(self.cells, name, size, self.seed) for name in names)

    @cached_property
    def significant_by_batch(self) -> Float[np.ndarray, " conditions"]:
        """The number of genes that differ with batches as the unit; NaN where there are too few."""
        controls = {
            name: np.concatenate(
                [rows for (own, _), rows in zip(self.groups[0].names, self.groups[0].rows) if own == name]
            )
            for name in sorted({one.context for one in self.conditions})
        }
        return significant_by_batch(self.cells, self.conditions, controls)

    @cached_property
    def beside(self) -> dict[str, dict[str, Float[np.ndarray, " conditions"]]]:
        """Floors and ceilings that were worked out: the same for every prediction."""
        return {"floor": {}, "ceiling": {}}

    def redrawn(self, draw: int) -> tuple[Means, Means]:
        """Return condition means and control means of one bootstrap draw, with the noise of one experiment.

        A plain redraw adds the noise of the cells to means that carry it already. A delta that is mostly noise then
        becomes longer, and the spread of its correlations too small by up to the root of two. So the observed delta is
        first shortened to the part of its squared length that is not noise (`signal`), and the redrawn noise is added
        to that: the draw has the length of what was observed. A condition without a detectable effect has no signal.
        """
        means, controls = self.bootstrap.side(draw)
        shortened = np.sqrt(self.signal)[:, None] * (self.means - self.controls)
        return self.controls + shortened + (means - self.means), controls


def observe(
    cells: Cells,
    split: Split,
    conditions: Sequence[Condition] | None = None,
    *,
    seed: int = 0,
    effort: Effort | None = None,
) -> Observed:
    """Return the observed side for `conditions` (default: the test part of the split that has cells).

    Raises `BadDataError` where no condition has cells or the split has no controls for a context.
    """
    wanted = tuple(sorted(conditions if conditions is not None else split.test))
    judged = tuple(one for one in wanted if len(cells.rows_of(one)))
    if not judged:
        raise BadDataError(f"{cells.name}: no cells of the {len(wanted)} conditions to judge", remedy="check the split")
    work = effort or Effort()
    contexts = sorted({one.context for one in judged})
    controls = {name: split.judge_controls(cells, name) for name in contexts}
    judge = resampling.control_groups(cells, judged, controls)
    model = resampling.control_groups(cells, judged, {name: split.model_controls(cells, name) for name in contexts})
    counts = np.asarray([len(cells.rows_of(one)) for one in judged], dtype=np.int64)
    taking_part = int(counts.sum()) + sum(len(rows) for rows in judge.rows)
    rounds = work.rounds(taking_part, len(judged), len(cells.genes))
    means, squares = (
        np.asarray(one) for one in zip(*(resampling.moments(cells, cells.rows_of(one)) for one in judged))
    )
    matched = judge.weights @ resampling.group_means(cells, judge)
    redrawn = resampling.bootstrap(cells, judged, judge, rounds["means"].bootstrap, seed)
    give_back()
    pairs = interactions(cells, judged, controls, work.effect_permutations, seed)
    effect_p = effect_p_values(cells, judged, work.effect_permutations, seed)
    targets = {gene for one in judged for gene in one.genes}
    return Observed(
        genes=cells.genes,
        conditions=judged,
        counts=counts,
        means=means,
        controls=matched,
        model_controls=model.weights @ resampling.group_means(cells, model),
        importance=resampling.gene_weights(counts, means[None], squares[None], judged)[0].astype(np.float64),
        interactions=pairs,
        kept=np.asarray([gene not in targets for gene in cells.genes], dtype=bool),
        effect_p=effect_p,
        signal=np.where(detectable(effect_p), _signal(means - matched, redrawn), 0.0),
        bootstrap=redrawn,
        permuted=resampling.permuted(cells, judged, judge, rounds["means"].permutations, seed),
        halves=resampling.halved(cells, judged, (judge, model), rounds["means"].halves, seed),
        cells=cells,
        groups=(judge, model),
        effort=work,
        rounds=rounds,
        strata={name: frozenset(members) & set(judged) for name, members in split.strata.items()},
        split=split.fingerprint,
        seed=seed,
        shared_controls=any(split.controls[name].is_shared for name in contexts),
        warnings=tuple(_warnings(cells, split, wanted, judged, judge)),
        notes=(*work.notes(rounds), *pairs.notes),
    )


def _signal(deltas: Means, redrawn: Draws) -> Float[np.ndarray, " conditions"]:
    """Return the share of each delta's squared length that the noise of its cells does not account for."""
    noise = np.zeros(len(deltas))
    for draw in range(len(redrawn)):
        means, controls = redrawn.side(draw)
        noise += np.square(means - controls - deltas).sum(axis=1) / len(redrawn)
    length = np.square(deltas).sum(axis=1)
    return np.clip(1 - np.divide(noise, length, out=np.ones(len(deltas)), where=length > 0), 0.0, 1.0)


def _warnings(
    cells: Cells,
    split: Split,
    wanted: Sequence[Condition],
    judged: Sequence[Condition],
    judge: resampling.ControlGroups,
) -> list[str]:
    found = []
    absent = sorted(set(wanted) - set(judged))
    if absent:
        found.append(f"not judged, because no cells of them are there: {_named(absent)}")
    for context in sorted({one.context for one in judged}):
        partition = split.controls[context]
        for side, ids in (("model", partition.model), ("judge", partition.judge)):
            if len(ids) < FEW_CONTROLS:
                found.append(f"context {context or 'unnamed'}: only {len(ids)} control cells on the {side} side")
        if partition.is_shared:
            found.append(
                f"context {context or 'unnamed'}: the same control cells serve both sides; the noise of their mean is "
                "common to all deltas and inflates correlations"
            )
    small = [one for one in judged if len(cells.rows_of(one)) < FEW_CELLS]
    if small:
        found.append(f"judged on fewer than {FEW_CELLS} cells: {_named(small)}")
    if judge.unmatched:
        total = sum(judge.unmatched.values())
        found.append(
            f"{total} judged cells lie in batches without control cells and are matched to all controls of their "
            f"context: {_named(sorted(judge.unmatched))}"
        )
    return found


def _named(conditions: Sequence[Condition], most: int = 6) -> str:
    """How many, and the first of them."""
    shown = f"{len(conditions)}: " + ", ".join(one.label for one in conditions[:most])
    return shown + (f" and {len(conditions) - most} more" if len(conditions) > most else "")
