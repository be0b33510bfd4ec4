"""What is done to a cell (`Perturbation`) and to which cells (`Condition`)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import total_ordering

from pertura.core.errors import UsageError


class Mode(StrEnum):
    """How a gene is perturbed. Modes are never pooled or transferred into one another unless asked."""

    ACTIVATION = "activation"
    INTERFERENCE = "interference"
    KNOCKOUT = "knockout"
    OVEREXPRESSION = "overexpression"
    UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One perturbed gene and how it is perturbed."""

    gene: str
    mode: Mode = Mode.UNSPECIFIED


@total_ordering
@dataclass(frozen=True, slots=True)
class Perturbation:
    """A set of targets; order and repeats carry no meaning; the empty set is control."""

    targets: frozenset[Target] = frozenset()

    @classmethod
    def of(cls, *genes: str, mode: Mode | str = Mode.UNSPECIFIED) -> "Perturbation":
        """Return the perturbation of `genes`, all in one mode."""
        if any(not gene or gene != gene.strip() or "+" in gene or "@" in gene for gene in genes):
            raise UsageError(f"not a gene name: {genes!r}; names are non-empty and hold no '+', '@' or outer space")
        return cls(frozenset(Target(gene, Mode(mode)) for gene in genes))

    @classmethod
    def parse(cls, text: str, mode: Mode | str = Mode.UNSPECIFIED) -> "Perturbation":
        """Return the perturbation spelled `A`, `A+B` or, for control, the empty string."""
        return cls.of(*text.split("+"), mode=mode) if text else cls()

    @property
    def genes(self) -> tuple[str, ...]:
        """The perturbed genes, sorted."""
        return tuple(sorted({target.gene for target in self.targets}))

    @property
    def modes(self) -> frozenset[Mode]:
        """The modes that occur; empty for control."""
        return frozenset(target.mode for target in self.targets)

    @property
    def is_control(self) -> bool:
        """No gene is perturbed."""
        return not self.targets

    @property
    def is_single(self) -> bool:
        """One gene is perturbed."""
        return len(self.targets) == 1

    @property
    def is_pair(self) -> bool:
        """Two genes are perturbed."""
        return len(self.targets) == 2

    @property
    def label(self) -> str:
        """`A+B` with the genes sorted; `control` for the empty perturbation."""
        return "+".join(self.genes) or "control"

    def __lt__(self, other: "Perturbation") -> bool:
        return sorted(self.targets) < sorted(other.targets)

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A perturbation in a context (a cell line or type; several columns are joined into one name)."""

    perturbation: Perturbation
    context: str = ""

    @property
    def is_control(self) -> bool:
        """No gene is perturbed."""
        return self.perturbation.is_control

    @property
    def genes(self) -> tuple[str, ...]:
        """The perturbed genes, sorted."""
        return self.perturbation.genes

    @property
    def label(self) -> str:
        """`A+B@context`, or `A+B` where the context has no name."""
        return f"{self.perturbation.label}@{self.context}" if self.context else self.perturbation.label

    def __str__(self) -> str:
        return self.label


def spelled(conditions: Iterable[Condition], contexts: Iterable[str]) -> dict[Condition, str]:
    """Return how to spell each condition of a screen: without its context where the screen has only one.

    The mode of each target is added where nothing else tells two conditions apart.
    """
    plain = len(set(contexts)) <= 1
    names = {one: one.perturbation.label if plain else one.label for one in conditions}
    times = Counter(names.values())
    return {one: name if times[name] == 1 else _with_modes(one, plain) for one, name in names.items()}


def _with_modes(condition: Condition, plain: bool) -> str:
    label = "+".join(f"{target.gene}:{target.mode}" for target in sorted(condition.perturbation.targets))
    return label if plain or not condition.context else f"{label}@{condition.context}"
