"""What a judgement by another evaluator's rules is made from, and the predictions it is held against."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pertura.evaluation.compatible.altered import Sides
from pertura.evaluation.compatible.effort import Runs, tier_of
from pertura.evaluation.compatible.profile import CompatibleMetric, CompatiblePreset, Options

LEAVE_ONE_OUT = "leave-one-out-mean"
Profiles = Float[np.ndarray, "labels genes"]
Profile = Float[np.ndarray, " genes"]
Emitter = Callable[[Float[np.ndarray, "cells genes"], Profile, np.random.Generator], Float[np.ndarray, "cells genes"]]


@dataclass(frozen=True, eq=False)
class Reference:
    """A prediction to be beaten: `profiles(means, control)` gives its mean of each label from the observed ones.

    `means` holds a row for each observed label, control included; the answer has the same rows (that of control is
    not read). A reference that was learnt elsewhere ignores what it is given. `note` says what it saw.
    """

    name: str
    profiles: Callable[[Profiles, int], Profiles]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Study:
    """A preset, both sides, its references, and how often it is asked again.

    `logged` says that values are logarithms: then the mean of a label can stand for its cells where a metric looks at
    means alone. `emitter` makes cells around a mean out of control cells.
    """

    preset: CompatiblePreset
    sides: Sides
    options: Options
    references: tuple[Reference, ...]
    runs: Mapping[str, Runs]
    logged: bool
    emitter: Emitter
    seed: int = 1

    def metrics(self, tier: str) -> tuple[CompatibleMetric, ...]:
        """The scored metrics of a tier that are asked for."""
        wanted = [one for one in self.preset.metrics if one.name not in self.options.skip]
        return tuple(one for one in wanted if tier_of(one) == tier and one.best is not None)


def no_change() -> Reference:
    """Return the reference that predicts the control mean for every label."""
    return Reference("no-change", lambda means, control: np.tile(means[control], (len(means), 1)))


def leave_one_out_mean() -> Reference:
    """Return the reference that predicts for each label the mean of the other observed labels.

    It sees observed cells of other labels, which no model may: a reference, not a baseline.
    """
    return Reference(LEAVE_ONE_OUT, _others, "sees observed cells of the other labels")


def _others(means: Profiles, control: int) -> Profiles:
    known = np.isfinite(means).all(axis=1)
    known[control] = False
    total, count = np.where(known[:, None], means, 0.0).sum(axis=0), int(known.sum())
    if count < 2:
        return np.tile(means[control], (len(means), 1))
    return (total - np.where(known[:, None], means, 0.0)) / (count - known.astype(np.float64))[:, None]
