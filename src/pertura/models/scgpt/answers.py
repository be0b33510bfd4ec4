"""Predicted cells of a network: one for each control cell, made when they are asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pertura.core.cells import Cells
from pertura.core.expression import dense
from pertura.core.perturbation import Condition
from pertura.models.scgpt.feed import PairBatch, beside_panel
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.objective import answered
from pertura.models.scgpt.panel import PERTURBED, TokenPanel
from pertura.training.options import TrainingOptions
from pertura.training.precision import autocast


@dataclass(frozen=True, eq=False)
class Asking:
    """A trained network, ready to be asked: row i of an answer belongs to row i of the controls."""

    network: ScGPTNetwork
    panel: TokenPanel
    options: TrainingOptions
    batch: int = 64

    def cells(
        self, condition: Condition, controls: Float[np.ndarray, "cells genes"]
    ) -> Float[np.ndarray, "cells genes"]:
        """Return what each control cell becomes, all genes at once; genes without a token stay as they are.

        Nothing perturbed, nothing changes: control is answered with the control cells themselves.
        """
        made = controls.astype(np.float32)
        if condition.is_control:
            return made
        marks = self.panel.marks([condition]).to(self.options.device)
        ids = torch.from_numpy(self.panel.ids).to(self.options.device)[None]
        self.network.eval()
        for start in range(0, len(controls), self.batch):
            stop = min(start + self.batch, len(controls))
            values = torch.from_numpy(made[start:stop][:, self.panel.columns]).to(self.options.device)
            rows = torch.zeros(stop - start, dtype=torch.long, device=values.device)
            flags = marks.flags[rows]
            if marks.extra.shape[1]:
                batch = beside_panel(ids, values, flags, marks, rows, values)
            else:
                batch = PairBatch(ids, None, values, flags.long() * PERTURBED, None, values)
            made[start:stop, self.panel.columns] = self._answered(batch)
        return made

    def _answered(self, batch: PairBatch) -> Float[np.ndarray, "cells known"]:
        with torch.inference_mode(), autocast(self.options):
            answer: Tensor = answered(self.network, batch)
        return answer.float().cpu().numpy()


@dataclass(frozen=True, eq=False)
class AnsweredCells(Mapping[Condition, Float[np.ndarray, "cells genes"]]):
    """What every control cell of a condition's context becomes; the last answer is kept."""

    asking: Asking
    controls: Cells
    conditions: tuple[Condition, ...]
    _last: dict[Condition, Float[np.ndarray, "cells genes"]] = field(default_factory=dict)

    def __getitem__(self, condition: Condition) -> Float[np.ndarray, "cells genes"]:
        if condition not in self.conditions:
            raise KeyError(condition)
        if condition not in self._last:
            rows = self.controls.control_rows(condition.context)
            self._last.clear()
            self._last[condition] = self.asking.cells(condition, dense(self.controls.expression.rows(rows)))
        return self._last[condition]

    def __iter__(self) -> Iterator[Condition]:
        return iter(self.conditions)

    def __len__(self) -> int:
        return len(self.conditions)

    def __contains__(self, condition: object) -> bool:
        return condition in self.conditions
