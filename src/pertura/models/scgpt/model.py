"""scGPT as a perturbation model: a control cell and flags in, the perturbed cell out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import TypeAdapter

from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError, NotFittedError
from pertura.core.expression import dense
from pertura.core.perturbation import Condition, Mode
from pertura.core.prediction import Prediction, Provenance
from pertura.core.scope import Scope
from pertura.core.seeds import shuffled
from pertura.core.split import Split
from pertura.data.pseudobulk import Pseudobulk, pseudobulk, training_pseudobulk
from pertura.genes.vocab import Vocab, human_vocab
from pertura.metrics.delta import mean_squared_error, pearson
from pertura.models import storage
from pertura.models.networks import Learnt
from pertura.models.scgpt.answers import AnsweredCells, Asking
from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.feed import PairFeed, Windows
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.objective import ResponseObjective
from pertura.models.scgpt.options import ScGPTOptions
from pertura.models.scgpt.panel import TokenPanel
from pertura.models.scgpt.start import check_start, starting_network
from pertura.priors.prior import GenePrior
from pertura.training.loop import Loop, Watch
from pertura.training.precision import placed, placed_for_asking
from pertura.training.record import TrainingRecord
from pertura.training.workspace import workplace

OPTIONS: TypeAdapter[ScGPTOptions] = TypeAdapter(ScGPTOptions)
CONFIG: TypeAdapter[ScGPTConfig] = TypeAdapter(ScGPTConfig)


@dataclass(frozen=True, eq=False)
class Trained:
    """Everything a fitted model knows."""

    network: ScGPTNetwork
    panel: TokenPanel
    scope: Scope
    split: str
    seen: frozenset[str]
    """Genes that train perturbed."""
    record: TrainingRecord
    cells: int
    """Perturbed cells of train."""


class ScGPT:
    """A `PerturbationModel` that answers with a cell for each control cell, on the panel it was trained on.

    `prior` is what is known of genes, one or several; the perturbed gene of an unseen perturbation is told to the
    network by it (and by its pretrained vector). `workspace` keeps the training, so that one that was killed goes on;
    without one it is kept only while it runs. `watch` is told the moment after each update.
    """

    def __init__(
        self,
        options: ScGPTOptions | None = None,
        prior: GenePrior | Sequence[GenePrior] | None = None,
        *,
        name: str = "scgpt",
    ) -> None:
        self.options, self.name = options or ScGPTOptions(), name
        self.priors = () if prior is None else (prior,) if isinstance(prior, GenePrior) else tuple(prior)
        self._prior_names = tuple(one.name for one in self.priors)
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
        trained, training = self._trained, self.options.training
        numbers = sum(one.numel() for one in trained.network.parameters() if one.requires_grad)
        chosen_by = training.stop_metric if trained.record.best_score is not None else ""
        return Learnt(trained.record, numbers, trained.cells, chosen_by)

    def fit(self, cells: Cells, split: Split, *, seed: int) -> None:
        """Train on pairs of control and perturbed cells of the train conditions, selecting on the valid ones."""
        seen = split.visible(cells)
        conditions = tuple(one for one in seen.perturbed if one in split.train)
        if not conditions:
            raise BadDataError(f"{cells.name}: no train condition of split {split.name} has cells")
        targets = frozenset(gene for one in conditions for gene in one.genes)
        training = placed(self.options.training)
        check_start(self.options)
        network, vocab = starting_network(self.options, self.priors, cells.genes, targets, seed)
        panel = TokenPanel(cells.genes, vocab)
        if not len(panel.columns):
            raise BadDataError(f"{cells.name}: none of its {len(cells.genes)} genes is in the vocabulary")
        feed = self._feed(seen, conditions, panel, training.device, seed)
        valid = tuple(one for one in seen.perturbed if one in split.valid)
        options = training if valid else replace(training, patience=None)
        look = self._validation(seen, split, valid, Asking(network, panel, options, self.options.predict_batch))
        with workplace(self.workspace) as folder:
            loop = Loop(ResponseObjective(network), feed, options, folder, seed, look if valid else None, self.watch)
            record = loop.run()
        modes = frozenset(mode for one in conditions for mode in one.perturbation.modes)
        scope = _scope(panel, targets, modes, cells.scale)
        there = sum(len(seen.rows_of(one)) for one in conditions)
        self._state = Trained(network.eval(), panel, scope, split.fingerprint, targets, record, there)
        self._checkpoint = ""

    def predict(self, controls: Cells, conditions: Sequence[Condition], *, seed: int) -> Prediction:
        """Return for each condition a cell for each control of its context, row i from control i; nothing is random."""
        trained = self._trained
        matched = trained.scope.check(controls, conditions)
        how = placed_for_asking(self.options.training)
        asking = Asking(trained.network.to(how.device), trained.panel, how, self.options.predict_batch)
        return Prediction(
            genes=trained.scope.panel,
            cells=AnsweredCells(asking, matched, tuple(sorted(set(conditions)))),
            provenance=self._provenance(trained, seed),
            fallbacks={one: why for one in conditions if (why := self._unrepresented(trained, one))},
        )

    def save(self, folder: Path) -> None:
        """Write `model.json` and `weights.safetensors`; the table of a frozen prior is among the weights."""
        storage.write_model(folder, *self._content())

    @classmethod
    def load(cls, folder: Path) -> "ScGPT":
        """Return the model that `save` wrote; altered or damaged files raise `BadDataError`."""
        return storage.read_model(folder, cls._read)

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

    def _feed(
        self, seen: Cells, conditions: tuple[Condition, ...], panel: TokenPanel, device: str, seed: int
    ) -> PairFeed:
        how, windows = self.options, Windows(self.options.max_genes, self.options.reference_windows)
        return PairFeed(
            seen, conditions, panel, windows, how.training.batch, seed, device, how.most_cells, how.hidden_share
        )

    def _validation(
        self, seen: Cells, split: Split, valid: tuple[Condition, ...], asking: Asking
    ) -> Callable[[], Mapping[str, float]]:
        """Return the look at valid: correlations of predicted and observed changes, means over conditions."""
        contexts = sorted({one.context for one in valid})
        rows = {name: seen.control_rows(name) for name in contexts}
        few = {name: _few(seen, mine, self.options.valid_cells) for name, mine in rows.items()}
        bulk = pseudobulk(seen, valid, rows) if valid else None
        starts = {name: dense(seen.expression.rows(mine)) for name, mine in few.items()}
        shared = training_pseudobulk(seen, split).deltas.mean(axis=0)

        def look() -> Mapping[str, float]:
            assert bulk is not None
            moved = [
                asking.cells(one, starts[one.context]).mean(axis=0) - starts[one.context].mean(axis=0) for one in valid
            ]
            return _looked(np.asarray(moved, dtype=np.float64), bulk, shared)

        return look

    def _unrepresented(self, trained: Trained, condition: Condition) -> str:
        """Say where the network knows nothing of a perturbed gene: never trained, no pretrained vector, no prior."""
        known = trained.seen | set(trained.panel.place)
        if self.options.pretrained is not None:
            known = known | trained.panel.vocab.genes
        lacking = sorted(gene for gene in set(condition.genes) - known if not self._has_row(trained, gene))
        if not lacking:
            return ""
        return f"unseen, without a vector and without a prior: {', '.join(lacking)}; answered as any perturbed gene"

    @staticmethod
    def _has_row(trained: Trained, gene: str) -> bool:
        place = trained.panel.token(gene)
        return any(bool(table.has_row[place]) for table in trained.network.prior_tables)

    def _provenance(self, trained: Trained, seed: int) -> Provenance:
        versions = {"pertura": version("pertura"), "torch": torch.__version__, "numpy": np.__version__}
        if self._prior_names:
            versions["prior"] = ", ".join(self._prior_names)
        left = trained.panel.without_token
        if left:
            versions["notes"] = f"{len(left)} genes have no token and are predicted not to change"
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
        arrays = {f"network.{name}": one.cpu().numpy() for name, one in trained.network.state_dict().items()}
        for i, table in enumerate(trained.network.prior_tables):
            if not table.config.trainable:  # else it is among the weights
                arrays |= {f"prior.{i}.table": table.table.detach().cpu().numpy()}
            arrays |= {f"prior.{i}.has_row": table.has_row.cpu().numpy()}
        vocab = trained.panel.vocab.ids
        header = {
            "model": self.name,
            "options": asdict(self.options),
            "priors": list(self._prior_names),
            "network": asdict(trained.network.config),
            "tokens": sorted(vocab, key=vocab.__getitem__),
            "split": trained.split,
            "seen": sorted(trained.seen),
            "train_cells": trained.cells,
            "record": trained.record.timeless().to_json(),
            "scope": {
                "panel": list(trained.scope.panel),
                "modes": sorted(trained.scope.modes),
                "scale": storage.scale_to_json(trained.scope.scale),
            },
        }
        return header, arrays

    @classmethod
    def _read(cls, header: Mapping[str, Any], arrays: storage.Arrays) -> "ScGPT":
        model = cls(OPTIONS.validate_python(header["options"], strict=False), name=str(header["model"]))
        model._prior_names = tuple(header["priors"])
        network = ScGPTNetwork(CONFIG.validate_python(header["network"], strict=False))
        own = {name[8:]: torch.from_numpy(one) for name, one in arrays.items() if name.startswith("network.")}
        network.load_state_dict(own)
        for i, table in enumerate(network.prior_tables):
            rows = own[f"priors.{i}.table"] if table.config.trainable else torch.from_numpy(arrays[f"prior.{i}.table"])
            table.supply(rows, torch.from_numpy(arrays[f"prior.{i}.has_row"]))
        vocab = Vocab({token: i for i, token in enumerate(header["tokens"])})
        told = header["scope"]
        panel = TokenPanel(tuple(told["panel"]), vocab)
        modes = frozenset(Mode(mode) for mode in told["modes"])
        scope = _scope(panel, frozenset(header["seen"]), modes, storage.scale_from_json(told["scale"]))
        record = TrainingRecord.from_json(header["record"])
        seen, cells = frozenset(header["seen"]), int(header["train_cells"])
        model._state = Trained(network.eval(), panel, scope, header["split"], seen, record, cells)
        model._checkpoint = str(header["digest"])
        return model


def _scope(panel: TokenPanel, seen: frozenset[str], modes: frozenset[Mode], scale: Scale) -> Scope:
    """Return what may be asked: any human gene; those of which nothing is known are named as such in the answer."""
    return Scope(panel.genes, panel.vocab.genes | seen | human_vocab().genes, modes, scale)


def _looked(
    moved: Float[np.ndarray, "conditions genes"], bulk: Pseudobulk, shared: Float[np.ndarray, " genes"]
) -> dict[str, float]:
    """Return the mean over valid conditions of each metric; an undefined correlation counts as zero."""
    own = np.nan_to_num(pearson(moved, bulk.deltas))
    beyond = np.nan_to_num(pearson(moved - shared, bulk.deltas - shared))
    error = mean_squared_error(moved, bulk.deltas)
    return {
        "pearson_delta": float(own.mean()),
        "pearson_perturbation_mean": float(beyond.mean()),
        "negative_mse": -float(error.mean()),
    }


def _few(cells: Cells, rows: Int[np.ndarray, " _"], most: int) -> Int[np.ndarray, " _"]:
    return rows[shuffled(cells.ids[rows], 0, "valid controls")[:most]]
