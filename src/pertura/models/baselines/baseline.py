"""A model around one rule for the change from control."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, ModeError, NotFittedError
from pertura.core.perturbation import Condition, Mode
from pertura.core.prediction import Prediction, Provenance
from pertura.core.scope import Scope
from pertura.core.split import Split
from pertura.data.pseudobulk import Pseudobulk, mean_of, training_pseudobulk
from pertura.genes.vocab import human_vocab
from pertura.models import storage
from pertura.models.baselines.rule import Delta, DeltaRule, Memory, Training
from pertura.models.baselines.rules import RULES, name_of
from pertura.priors.prior import GenePrior

Arrays = dict[str, Float[np.ndarray, "..."]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Everything a baseline knows after `fit`: what it may be asked, and one memory for each set of modes."""

    scope: Scope
    split: str
    prior: Mapping[str, Any]
    """Name, size and facts of the prior it learnt with; empty without one."""
    memories: Mapping[frozenset[Mode], Memory]

    def memory_for(self, condition: Condition) -> Memory:
        """Return the memory of the condition's modes; `ModeError` where train never had these modes on their own."""
        modes = condition.perturbation.modes
        if modes not in self.memories:
            alone = " and ".join(sorted(modes))
            raise ModeError(
                f"{condition}: no train condition is of mode {alone} alone, so there is nothing to learn from"
            )
        return self.memories[modes]


class Baseline:
    """A `PerturbationModel` that answers with the mean of the controls plus the delta of its rule.

    Each answer is one row, a mean profile in float64 that may be negative where a delta exceeds the control mean.
    `prior` is used by the rules that regress on the perturbed gene; without one they use training PCA.
    """

    def __init__(self, rule: DeltaRule, prior: GenePrior | None = None) -> None:
        self.rule, self.prior = rule, prior
        self._state: Fitted | None = None

    @property
    def name(self) -> str:
        """The name of the rule in `MODELS`."""
        return name_of(self.rule)

    @property
    def scope(self) -> Scope:
        """What the fitted model may be asked."""
        return self._fitted.scope

    def fit(self, cells: Cells, split: Split, *, seed: int) -> None:
        """Learn from the train conditions and the model-side controls; nothing here is random."""
        bulk = training_pseudobulk(cells, split)
        if not bulk.conditions:
            raise BadDataError(
                f"{cells.name}: no train condition of split {split.name} has cells",
                remedy="make the split from this data file",
            )
        scope = Scope(
            panel=cells.genes,
            known=self._known({gene for one in bulk.conditions for gene in one.genes}),
            modes=frozenset(mode for one in bulk.conditions for mode in one.perturbation.modes),
            scale=cells.scale,
        )
        seen = split.visible(cells)
        memories = {
            modes: self.rule.learn(Training(cells.genes, part, self.prior, seen))
            for modes, part in _by_modes(bulk).items()
        }
        self.__dict__.pop("checkpoint", None)
        self._state = Fitted(scope, split.fingerprint, _prior_facts(self.prior), memories)

    def predict(self, controls: Cells, conditions: Sequence[Condition], *, seed: int) -> Prediction:
        """Return a mean profile for each condition: the mean of the controls of its context plus the delta.

        Raises `UnknownGeneError`, `ModeError` or `ContextError` for what was never to be answered; what the rule cannot
        represent is answered with the train mean and named in `fallbacks`.
        """
        fitted = self._fitted
        matched = fitted.scope.check(controls, conditions)
        contexts = {one.context for one in conditions}
        start = {name: mean_of(matched.expression, matched.control_rows(name)) for name in contexts}
        deltas = {one: self._delta(fitted, one) for one in conditions}
        return Prediction(
            genes=fitted.scope.panel,
            cells={one: (start[one.context] + delta.values)[None] for one, delta in deltas.items()},
            provenance=self._provenance(fitted, seed, deltas),
            fallbacks={one: delta.fallback for one, delta in deltas.items() if delta.fallback},
        )

    def save(self, folder: Path) -> None:
        """Write `model.json` and `weights.safetensors` into `folder`."""
        storage.write_model(folder, *self._content(self._fitted))

    @classmethod
    def load(cls, folder: Path) -> "Baseline":
        """Return the baseline that `save` wrote; altered or damaged files raise `BadDataError`."""
        return storage.read_model(folder, cls._read)

    @cached_property
    def checkpoint(self) -> str:
        """The digest of the fitted model: equal for equal content, before saving and after loading."""
        header, _ = storage.sealed(*self._content(self._fitted))
        return str(header["digest"])

    @property
    def _fitted(self) -> Fitted:
        if self._state is None:
            raise NotFittedError(f"{self.name} is not fitted: call fit, or load a fitted model")
        return self._state

    def _known(self, targets: set[str]) -> frozenset[str]:
        prior = self.prior.genes if self.prior is not None else ()
        return human_vocab().genes | targets | frozenset(prior)

    def _delta(self, fitted: Fitted, condition: Condition) -> Delta:
        if condition.is_control:
            return Delta(np.zeros(len(fitted.scope.panel)))
        return self.rule.delta(fitted.memory_for(condition), condition)

    def _provenance(self, fitted: Fitted, seed: int, deltas: Mapping[Condition, Delta]) -> Provenance:
        versions = {"pertura": version("pertura"), "numpy": np.__version__}
        if fitted.prior:
            told = (f"{name.replace('_', ' ')} {one}" for name, one in fitted.prior.items() if one and name != "name")
            versions["prior"] = f"{fitted.prior['name']}: {'; '.join(told)}"
        noted = [delta.note for delta in deltas.values() if delta.note]
        if noted:
            versions["notes"] = f"{len(noted)} of {len(deltas)} conditions: {'; '.join(sorted(set(noted)))}"
        return Provenance(
            model=self.name,
            modes=tuple(sorted(fitted.scope.modes)),
            scale=fitted.scope.scale,
            checkpoint=self.checkpoint,
            split=fitted.split,
            seed=seed,
            versions=versions,
        )

    def _content(self, fitted: Fitted) -> tuple[dict[str, Any], Arrays]:
        """Return header and arrays. Names of the human vocabulary are not repeated in `known`."""
        memories = sorted(fitted.memories.items(), key=lambda item: sorted(item[0]))
        header = {
            "model": self.name,
            "config": asdict(self.rule),  # type: ignore[call-overload]
            "prior": dict(fitted.prior),
            "split": fitted.split,
            "scope": {
                "panel": list(fitted.scope.panel),
                "known": sorted(fitted.scope.known - human_vocab().genes),
                "modes": sorted(fitted.scope.modes),
                "scale": storage.scale_to_json(fitted.scope.scale),
            },
            "memories": [_described(modes, memory) for modes, memory in memories],
        }
        return header, {f"{i}.{name}": array for i, (_, memory) in enumerate(memories) for name, array in _kept(memory)}

    @classmethod
    def _read(cls, header: Mapping[str, Any], arrays: Mapping[str, Float[np.ndarray, "..."]]) -> "Baseline":
        scope = header["scope"]
        model = cls(RULES[header["model"]](**header["config"]))
        panel = tuple(scope["panel"])
        memories = {}
        for i, described in enumerate(header["memories"]):
            own = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{i}.")}
            memories[frozenset(Mode(mode) for mode in described["modes"])] = _recalled(panel, described, own)
        known = model._known(set(scope["known"]))
        modes = frozenset(Mode(mode) for mode in scope["modes"])
        whole = Scope(panel, known, modes, storage.scale_from_json(scope["scale"]))
        model._state = Fitted(whole, header["split"], _prior_recalled(header["prior"]), memories)
        model.__dict__["checkpoint"] = header["digest"]
        return model


def _prior_facts(prior: GenePrior | None) -> dict[str, Any]:
    if prior is None:
        return {}
    facts = {**asdict(prior.facts), "made_from": ", ".join(prior.facts.made_from)}
    return {"name": prior.name, "genes": len(prior.genes), "width": prior.table.shape[1], **facts}


def _prior_recalled(described: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """Earlier releases wrote the name alone."""
    if isinstance(described, str):
        return {"name": described} if described else {}
    return {"name": described["name"], **described} if described else {}


def _by_modes(bulk: Pseudobulk) -> dict[frozenset[Mode], Pseudobulk]:
    """Return for each set of modes what may be learnt for it: the conditions that have no mode outside the set.

    Almost every screen has one mode and one part. Where a screen mixes modes they are not pooled, but what is asked
    of both at once (a pair of one activated and one repressed gene) learns from both.
    """
    modes = [one.perturbation.modes for one in bulk.conditions]
    parts = {}
    for wanted in {*modes, frozenset[Mode]().union(*modes)}:
        rows = np.flatnonzero([one <= wanted for one in modes])
        parts[wanted] = replace(
            bulk,
            conditions=tuple(bulk.conditions[i] for i in rows),
            means=bulk.means[rows],
            controls=bulk.controls[rows],
            counts=bulk.counts[rows],
        )
    return parts


def _kept(memory: Memory) -> list[tuple[str, Float[np.ndarray, "..."]]]:
    own = [("train_mean", memory.train_mean), ("deltas", memory.deltas)]
    return own + [(f"arrays.{name}", array) for name, array in memory.arrays.items()]


def _described(modes: frozenset[Mode], memory: Memory) -> dict[str, Any]:
    return {
        "modes": sorted(modes),
        "conditions": [storage.condition_to_json(one) for one in memory.conditions],
        "labels": {name: list(rows) for name, rows in sorted(memory.labels.items())},
    }


def _recalled(panel: tuple[str, ...], described: Mapping[str, Any], arrays: Arrays) -> Memory:
    named = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith("arrays.")}
    conditions = tuple(storage.condition_from_json(one) for one in described["conditions"])
    labels = {name: tuple(rows) for name, rows in described["labels"].items()}
    return Memory(panel, arrays["train_mean"], arrays["deltas"], conditions, named, labels)
