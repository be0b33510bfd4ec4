"""What is found of a group of cells."""

from dataclasses import dataclass, field
from typing import Literal

from pertura.core.perturbation import Condition, Mode
from pertura.recipes.quality.groups import Group

NAN = float("nan")
LOWERING, RAISING = (Mode.INTERFERENCE, Mode.KNOCKOUT), (Mode.ACTIVATION, Mode.OVEREXPRESSION)
SIGNIFICANT = 0.05
Verdict = Literal["as meant", "the other way", "changed", "no change seen", "not expressed", "not measured"]


@dataclass(frozen=True, slots=True)
class TargetChange:
    """What became of a target: expression over that of matched controls, and a rank test of that gene alone.

    `change` is the share of expression gained (+) or lost (-): -0.9 is a knock-down by 90 %.
    """

    gene: str
    mode: Mode
    measured: bool
    log2_fold_change: float = NAN
    change: float = NAN
    p_value: float = NAN

    @property
    def verdict(self) -> Verdict:
        """What this says of the target; a mode that is not known has no wrong direction."""
        if not self.measured:
            return "not measured"
        if self.change != self.change:
            return "not expressed"
        if not self.p_value <= SIGNIFICANT:
            return "no change seen"
        if self.mode not in (*LOWERING, *RAISING):
            return "changed"
        return "as meant" if (self.change < 0) == (self.mode in LOWERING) else "the other way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """A condition, or one guide of it. NaN is what is not defined; `remarks` say why.

    `unmatched`: cells whose batch has no control of their context. `energy`, `p_value`: the E-test within batches.
    `genes_changed`: genes with FDR < 0.05. `agreement`: correlation of the changes of guides of this condition, with
    `agreement_p`, the share of pairs of guides of different genes that agree as well. `depth`: library size over that
    of matched controls. `by_depth`, `by_cycle`, `by_both`: shares of the change that controls of such depth, such a
    phase, or both would show.
    """

    group: Group
    controls: int
    unmatched: int = 0
    targets: tuple[TargetChange, ...] = ()
    energy: float = NAN
    p_value: float = NAN
    genes_changed: int | None = None
    agreement: float = NAN
    agreement_p: float = NAN
    depth: float = NAN
    by_depth: float = NAN
    by_cycle: float = NAN
    by_both: float = NAN
    remarks: tuple[str, ...] = field(default_factory=tuple)

    @property
    def condition(self) -> Condition:
        """The condition."""
        return self.group.condition

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.group.rows)

    @property
    def differs(self) -> bool:
        """The E-test sees an effect."""
        return self.p_value <= SIGNIFICANT
