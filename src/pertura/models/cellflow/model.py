"""CellFlow as a perturbation model: control cells flow to where the perturbation leads them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import TypeAdapter

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, NotFittedError
from pertura.core.perturbation import Condition
from pertura.core.prediction import Prediction, Provenance
from pertura.core.scope import Scope
from pertura.core.seeds import generator
from pertura.core.split import Split
from pertura.genes.vocab import human_vocab
from pertura.models import storage
from pertura.models.cellflow.feed import FlowFeed
from pertura.models.cellflow.flowing import Flowing, FlownCells, Start
from pertura.models.cellflow.folder import flowing_from, flowing_to
from pertura.models.cellflow.look import Look
from pertura.models.cellflow.network import CellFlowNetwork
from pertura.models.cellflow.objective import FlowObjective
from pertura.models.cellflow.options import CellFlowOptions, check_options, shaped
from pertura.models.cellflow.space import Space, by_name
from pertura.models.cellflow.vectors import ContextVectors, GeneVectors
from pertura.models.networks import Learnt
from pertura.priors.prior import GenePrior
from pertura.training.loop import Loop, Watch
from pertura.training.precision import placed, placed_for_asking
from pertura.training.record import TrainingRecord
from pertura.training.workspace import workplace

OPTIONS: TypeAdapter[CellFlowOptions] = TypeAdapter(CellFlowOptions)


@dataclass(frozen=True, eq=False)
class Trained:
    """Everything a fitted model knows."""

    flowing: Flowing
    scope: Scope
    split: str
    record: TrainingRecord
    cells: int
    """Perturbed cells that there were to learn from."""


class CellFlow:
    """A `PerturbationModel` that answers with a cell for each control cell, on the panel it was trained on.

    `prior`, one or several, has a vector for each gene; by it the network knows genes that train does not perturb.
    Without one, only genes perturbed in train are told apart. What has no vector is named in `Prediction.fallbacks`.
    `workspace` keeps the training, so that one that was killed goes on; without one it is kept only while it runs.
    `watch` is told the moment after each update.
    """

    name = "cellflow"

    def __init__(
        self, options: CellFlowOptions | None = None, prior: GenePrior | Sequence[GenePrior] | None = None
    ) -> None:
        self.options = options or CellFlowOptions()
        self.priors = () if prior is None else (prior,) if isinstance(prior, GenePrior) else tuple(prior)
        self.workspace: Path | None = None
        self.watch: Watch | None = None
        self._state: Trained | None = None
        self._checkpoint = ""

    @property
    def scope(self) -> Scope:
        """What the fitted model may be asked."""
        return self._trained.scope

    @property
    def record(self) -> TrainingRecord:
        """What the training did."""
        return self._trained.record

    def learnt(self) -> Learnt:
        """Return what the fitted model was taught."""
        trained = self._trained
        chosen_by = self.options.training.stop_metric if trained.record.best_score is not None else ""
        numbers = sum(one.numel() for one in trained.flowing.network.parameters())
        return Learnt(trained.record, numbers, trained.cells, chosen_by, redrawn=True)

    def fit(self, cells: Cells, split: Split, *, seed: int) -> None:
        """Train on populations of the train conditions and their controls, looking at the valid ones."""
        check_options(self.options)
        seen = split.visible(cells)
        conditions = tuple(one for one in seen.perturbed if one in split.train)
        if not conditions:
            raise BadDataError(f"{cells.name}: no train condition of split {split.name} has cells")
        training = placed(self.options.training)
        learnt = np.concatenate([*map(seen.rows_of, conditions), np.flatnonzero(seen.is_control)])
        space = Space.of(seen, learnt, self.options.network.dims)
        points = space.points(seen, np.arange(len(seen)))
        flowing = self._flowing(seen, points, space, conditions, training.device, seed)
        means = _control_means(seen, points, conditions)
        feed = FlowFeed(seen, points, conditions, flowing.told(conditions, means), self.options, seed, training.device)
        valid = tuple(one for one in seen.perturbed if one in split.valid and len(seen.control_rows(one.context)))
        look = Look.at(flowing, seen, points, valid) if valid else None
        how = training if valid else replace(training, patience=None)
        with workplace(self.workspace) as folder:
            objective = FlowObjective(flowing.network, self.options)
            record = Loop(objective, feed, how, folder, seed, look, self.watch).run()
        flowing.network.eval()
        count = sum(len(seen.rows_of(one)) for one in conditions)
        self._state = Trained(flowing, _scope(cells, flowing), split.fingerprint, record, count)
        self._checkpoint = ""

    def predict(self, controls: Cells, conditions: Sequence[Condition], *, seed: int) -> Prediction:
        """Return for each condition a cell for each control of its context, row i from control i.

        Flows are followed here, for all conditions; their expression is made when it is asked for. Values below zero
        are set to zero. Only a flow from noise is random.
        """
        trained = self._trained
        matched = trained.scope.check(controls, conditions)
        flowing = self._asked(trained.flowing)
        contexts = sorted({one.context for one in conditions})
        starts = {name: Start.of(matched, name, flowing.space, self.options.residual) for name in contexts}
        points = {
            one: None if one.is_control else flowing.moved(one, starts[one.context].points, seed)
            for one in sorted(set(conditions))
        }
        cells = FlownCells(flowing.space, trained.scope.panel, starts, points, self.options.keep_means)
        return Prediction(
            genes=trained.scope.panel,
            cells=cells,
            provenance=self._provenance(trained, seed, cells.below_zero()),
            fallbacks={one: why for one in conditions if (why := _unrepresented(flowing, one))},
        )

    def save(self, folder: Path) -> None:
        """Write `model.json` and `weights.safetensors`; components and gene vectors are among the weights."""
        storage.write_model(folder, *self._content())

    @classmethod
    def load(cls, folder: Path) -> "CellFlow":
        """Return the model that `save` wrote; altered or damaged files raise `BadDataError`."""
        return storage.read_model(folder, cls._read)

    @classmethod
    def holding(cls, options: CellFlowOptions, trained: Trained) -> "CellFlow":
        """Return the model of something that was trained elsewhere."""
        model = cls(options)
        model._state = trained
        return model

    @property
    def checkpoint(self) -> str:
        """The digest of the fitted model."""
        if not self._checkpoint:
            self._checkpoint = str(storage.sealed(*self._content())[0]["digest"])
        return self._checkpoint

    @property
    def _trained(self) -> Trained:
        if self._state is None:
            raise NotFittedError(f"{self.name} is not fitted: call fit, or load a fitted model")
        return self._state

    def _flowing(
        self,
        seen: Cells,
        points: Float[np.ndarray, "cells dims"],
        space: Space,
        conditions: tuple[Condition, ...],
        device: str,
        seed: int,
    ) -> Flowing:
        """Return a network with random weights, the same for equal seeds, and what conditions are told it by."""
        how = self.options
        targets = {target for one in conditions for target in one.perturbation.targets}
        genes = GeneVectors.learnt(self.priors, targets, equal_length=how.equal_length)
        contexts = ContextVectors.learnt(how.context, _control_means(seen, points, conditions))
        most = max(len(one.genes) for one in conditions)
        config = shaped(how.network, space.dims, genes.width, contexts.width if contexts is not None else 0, most)
        with torch.random.fork_rng():
            torch.manual_seed(int(generator(seed, "cellflow weights").integers(2**62)))
            network = CellFlowNetwork(config)
        return Flowing(network, space, genes, contexts, conditions, how, device)

    def _asked(self, flowing: Flowing) -> Flowing:
        device = placed_for_asking(self.options.training).device
        flowing.network.to(device).eval()
        return replace(flowing, options=self.options, device=device)

    def _provenance(self, trained: Trained, seed: int, below: float) -> Provenance:
        genes = trained.flowing.genes
        versions = {"pertura": version("pertura"), "torch": torch.__version__, "numpy": np.__version__}
        notes = []
        if genes.prior:
            versions["prior"] = genes.prior
        if genes.prior and genes.own:
            notes.append(f"no row in prior {genes.prior}, told apart by a place of their own: {', '.join(genes.own)}")
        if below:
            notes.append(f"about {below:.1%} of the predicted values were below zero and were set to zero")
        if notes:
            versions["notes"] = "; ".join(notes)
        return Provenance(
            model=self.name,
            modes=tuple(sorted(trained.scope.modes)),
            scale=trained.scope.scale,
            checkpoint=self.checkpoint,
            split=trained.split,
            seed=seed,
            versions=versions,
        )

    def _content(self) -> tuple[dict[str, Any], storage.Arrays]:
        trained = self._trained
        described, arrays = flowing_to(trained.flowing)
        header = {
            "model": self.name,
            "options": asdict(self.options),
            **described,
            "split": trained.split,
            "record": trained.record.timeless().to_json(),
            "cells": trained.cells,
            "panel": list(trained.scope.panel),
            "scale": storage.scale_to_json(trained.scope.scale),
        }
        return header, arrays

    @classmethod
    def _read(cls, header: Mapping[str, Any], arrays: storage.Arrays) -> "CellFlow":
        model = cls(OPTIONS.validate_python(header["options"], strict=False))
        flowing = flowing_from(header, arrays, model.options)
        scope = _scope_of(tuple(header["panel"]), flowing, storage.scale_from_json(header["scale"]))
        record = TrainingRecord.from_json(header["record"])
        model._state = Trained(flowing, scope, header["split"], record, int(header["cells"]))
        model._checkpoint = str(header["digest"])
        return model


def _control_means(
    seen: Cells, points: Float[np.ndarray, "cells dims"], conditions: Sequence[Condition]
) -> dict[str, Float[np.ndarray, " dims"]]:
    """Return the mean coordinates of the controls of each context that has conditions and controls."""
    rows = {name: by_name(seen, seen.control_rows(name)) for name in sorted({one.context for one in conditions})}
    return {name: points[mine].mean(axis=0, dtype=np.float64) for name, mine in rows.items() if len(mine)}


def _scope(cells: Cells, flowing: Flowing) -> Scope:
    return _scope_of(cells.genes, flowing, cells.scale)


def _scope_of(panel: tuple[str, ...], flowing: Flowing, scale: Scale) -> Scope:
    modes = frozenset(mode for one in flowing.train for mode in one.perturbation.modes)
    return Scope(panel, human_vocab().genes | frozenset(flowing.genes.genes), modes, scale)


def _unrepresented(flowing: Flowing, condition: Condition) -> str:
    """Say what of a condition the network is not told: genes without a vector, a context without a place."""
    lacking = flowing.genes.unknown(condition)
    parts = []
    if lacking:
        rest = [gene for gene in condition.genes if gene not in lacking]
        instead = f"as {'+'.join(rest)} alone" if rest else "by train perturbations, dealt out to its cells"
        source = f"without a row in prior {flowing.genes.prior}" if flowing.genes.prior else "without a prior"
        parts.append(f"not perturbed in train, and {source}: {', '.join(lacking)}; answered {instead}")
    contexts = flowing.contexts
    if contexts is not None and contexts.kind == "label" and condition.context not in contexts.names:
        parts.append(f"context {condition.context} was not seen in train: the network is not told of it")
    return "; ".join(parts)
