"""A published perturbation checkpoint as a model that can be asked: it brings no panel, no scale and no mode."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from pertura.core.cells import Cells, Scale
from pertura.core.errors import UsageError
from pertura.core.perturbation import Condition, Mode
from pertura.core.prediction import Prediction, Provenance
from pertura.core.scope import Scope
from pertura.core.split import Split
from pertura.models.scgpt.answers import AnsweredCells, Asking
from pertura.models.scgpt.checkpoint import ForeignCheckpoint
from pertura.models.scgpt.foreign import save_foreign
from pertura.models.scgpt.panel import TokenPanel
from pertura.training.options import TrainingOptions

TARGET_SUM = 1e4
PUBLISHED_SCALE = Scale("lognormalised", target_sum=TARGET_SUM, evidence="what the published fine-tuning was given")


class ForeignPerturbation:
    """A published network on the genes of some controls; row i of an answer belongs to control i.

    The panel is what the controls measure, because a checkpoint does not say what it was trained on. Genes without a
    token are predicted not to change. A perturbed gene that is not measured enters as a flagged token beside the panel,
    which the published fine-tuning never showed it.
    """

    def __init__(
        self,
        checkpoint: ForeignCheckpoint,
        genes: Sequence[str],
        modes: frozenset[Mode] = frozenset({Mode.UNSPECIFIED}),
        *,
        batch: int = 64,
        device: str = "cpu",
    ) -> None:
        config = checkpoint.config
        if not config.flags:
            raise UsageError(
                f"{checkpoint.source} is a pretrained network without perturbation flags: it predicts no perturbation; "
                "fine-tune it with `pertura run`, or embed cells with `pertura embed`"
            )
        self.source = checkpoint
        self.name = "scgenept" if config.final_norm else "scgpt"
        self.panel = TokenPanel(tuple(genes), checkpoint.vocab)
        self.scope = Scope(tuple(genes), checkpoint.vocab.genes, modes, PUBLISHED_SCALE)
        self.asking = Asking(checkpoint.network.to(device), self.panel, TrainingOptions(device=device), batch)

    def fit(self, cells: Cells, split: Split, *, seed: int) -> None:
        """Refuse: what was published is asked as it is; `pertura run` fine-tunes from it."""
        raise UsageError(f"{self.source.source} is asked as it was published; fine-tune from it with `pertura run`")

    def predict(self, controls: Cells, conditions: Sequence[Condition], *, seed: int) -> Prediction:
        """Return for each condition a cell for each control; nothing is random."""
        matched = self.scope.check(controls, conditions)
        left = len(self.panel.without_token)
        notes = {"notes": f"{left} genes have no token and are predicted not to change"} if left else {}
        versions = {"pertura": version("pertura"), "torch": torch.__version__, "published": self.source.source}
        provenance = Provenance(
            model=self.name,
            modes=tuple(sorted(self.scope.modes)),
            scale=controls.scale,
            seed=seed,
            versions={**versions, **notes},
        )
        return Prediction(
            matched.genes, AnsweredCells(self.asking, matched, tuple(sorted(set(conditions)))), provenance
        )

    def save(self, folder: Path) -> None:
        """Write the published folder."""
        save_foreign(self.source, folder)

    @classmethod
    def load(cls, folder: Path) -> "ForeignPerturbation":
        """Refuse: a published folder does not say on which genes it is to be asked."""
        raise UsageError(
            f"{folder}: a published folder is opened with load_foreign, and asked on the genes of controls"
        )
