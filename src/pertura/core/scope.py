"""What a fitted model may be asked: its genes, modes and panel, and the refusals that follow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, ContextError, ModeError, UnknownGeneError
from pertura.core.perturbation import Condition, Mode


@dataclass(frozen=True)
class Scope:
    """What a model learnt on, so that every model refuses the same things in the same words.

    `panel`: the genes it predicts. `known`: further genes it can take as targets (vocabulary, prior, train targets).
    """

    panel: tuple[str, ...]
    known: frozenset[str]
    modes: frozenset[Mode]
    scale: Scale

    def check(self, controls: Cells, conditions: Sequence[Condition]) -> Cells:
        """Return `controls` on the model's panel; raise where they or the conditions cannot be answered."""
        self._check_genes(conditions)
        self._check_modes(conditions)
        if not controls.is_control.all():
            raise BadDataError(f"{controls.name}: predict takes control cells, some of these are perturbed")
        _check_contexts(controls, conditions)
        if controls.scale.kind != self.scale.kind:
            raise BadDataError(
                f"{controls.name} is on scale {controls.scale.kind}, the model learnt on {self.scale.kind}",
                remedy="bring both to one scale",
            )
        return controls.with_genes(self.panel)

    def unknown(self, genes: Iterable[str]) -> frozenset[str]:
        """Return those genes that neither the panel, nor the vocabulary, nor the prior has."""
        return frozenset(genes) - self.known - frozenset(self.panel)

    def _check_genes(self, conditions: Sequence[Condition]) -> None:
        unknown = self.unknown(gene for one in conditions for gene in one.genes)
        if unknown:
            raise UnknownGeneError(unknown, self.known | set(self.panel))

    def _check_modes(self, conditions: Sequence[Condition]) -> None:
        asked = frozenset(mode for one in conditions for mode in one.perturbation.modes)
        if not asked <= self.modes:
            raise ModeError(
                f"the model learnt {_listed(self.modes)}, asked for {_listed(asked - self.modes)}; modes are never "
                "transferred into one another: fit on a screen of that mode"
            )


def _check_contexts(controls: Cells, conditions: Sequence[Condition]) -> None:
    absent = {one.context for one in conditions} - set(controls.contexts)
    if absent:
        raise ContextError(
            f"the controls are of {_listed(controls.contexts)}, the conditions of {_listed(absent)}",
            remedy="give control cells of the same context as the perturbed cells",
        )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(str(name) or "an unnamed context" for name in names)) or "nothing"
