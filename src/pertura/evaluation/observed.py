"""The observed side of a judgement, prepared once for all predictions that are judged against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError
from pertura.core.perturbation import Condition
from pertura.core.split import Split
from pertura.data.pseudobulk import mean_of
from pertura.evaluation import resampling
from pertura.evaluation.detectable import detectable, effect_p_values
from pertura.evaluation.resampling import Draws

FEW_CONTROLS = 50
FEW_CELLS = 25
Means = Float[np.ndarray, "conditions genes"]


@dataclass(frozen=True)
class Effort:
    """How many draws of each kind are made; more narrow the Monte-Carlo error, at proportional cost."""

    bootstrap: int = 200
    permutations: int = 100
    halves: int = 10
    effect_permutations: int = 199


@dataclass(frozen=True, eq=False)
class Observed:
    """Observed means, matched control means of either side, and their redrawn, permuted and halved versions.

    Rows follow `conditions`. `model_controls` is what predicted deltas subtract, `controls` what observed deltas
    subtract: means of disjoint cells unless `shared_controls`.
    """

    genes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    counts: Int[np.ndarray, " conditions"]
    means: Means
    controls: Means
    model_controls: Means
    kept: Bool[np.ndarray, " genes"]
    effect_p: Float[np.ndarray, " conditions"]
    signal: Float[np.ndarray, " conditions"]
    bootstrap: Draws
    permuted: Draws
    halves: tuple[Draws, Draws]
    strata: Mapping[str, frozenset[Condition]]
    split: str
    seed: int
    shared_controls: bool = False
    warnings: tuple[str, ...] = field(default=())

    @property
    def contexts(self) -> Int[np.ndarray, " conditions"]:
        """A code for the context of each condition."""
        names = sorted({one.context for one in self.conditions})
        return np.asarray([names.index(one.context) for one in self.conditions], dtype=np.int64)

    @property
    def detectable(self) -> Bool[np.ndarray, " conditions"]:
        """Which conditions differ from control in a permutation E-test (p <= 0.05)."""
        return detectable(self.effect_p)

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
    judge = resampling.control_groups(cells, judged, {name: split.judge_controls(cells, name) for name in contexts})
    model = resampling.control_groups(cells, judged, {name: split.model_controls(cells, name) for name in contexts})
    targets = {gene for one in judged for gene in one.genes}
    shared = any(split.controls[name].is_shared for name in contexts)
    means = np.asarray([mean_of(cells.expression, cells.rows_of(one)) for one in judged])
    controls = judge.weights @ resampling.group_means(cells, judge)
    redrawn = resampling.bootstrap(cells, judged, judge, work.bootstrap, seed)
    effect_p = effect_p_values(cells, judged, work.effect_permutations, seed)
    return Observed(
        genes=cells.genes,
        conditions=judged,
        counts=np.asarray([len(cells.rows_of(one)) for one in judged], dtype=np.int64),
        means=means,
        controls=controls,
        model_controls=model.weights @ resampling.group_means(cells, model),
        kept=np.asarray([gene not in targets for gene in cells.genes], dtype=bool),
        effect_p=effect_p,
        signal=np.where(detectable(effect_p), _signal(means - controls, redrawn), 0.0),
        bootstrap=redrawn,
        permuted=resampling.permuted(cells, judged, judge, work.permutations, seed),
        halves=resampling.halved(cells, judged, (judge, model), work.halves, seed),
        strata={name: frozenset(members) & set(judged) for name, members in split.strata.items()},
        split=split.fingerprint,
        seed=seed,
        shared_controls=shared,
        warnings=tuple(_warnings(cells, split, wanted, judged, judge)),
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
