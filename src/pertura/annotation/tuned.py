"""Strategies that use a pretrained network: probe, head, adapters, all of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32

from pertura.annotation.embedding import FrozenEmbedding
from pertura.annotation.linear import Readout, Weighting, logistic
from pertura.annotation.network import (
    LabelHead,
    LabelNetwork,
    fresh_head,
    lora_network,
    parameters_of,
    whole_network,
)
from pertura.annotation.strategy import Answer, Arrays, Lesson
from pertura.annotation.tuning import Training, head_logits, network_answers, train_head, train_network
from pertura.annotation.tuning_options import Schedule, TuningOptions
from pertura.annotation.view import View
from pertura.core.expression import Rows
from pertura.training.record import TrainingRecord

LEAST_SPREAD = 1e-6
Vectors = Float32[np.ndarray, "cells width"]


# ---- probe


@dataclass(frozen=True, eq=False)
class ProbeFit:
    """A regression on standardised vectors of a frozen network."""

    embedding: FrozenEmbedding
    mean: Float32[np.ndarray, " width"]
    spread: Float32[np.ndarray, " width"]
    readout: Readout

    @property
    def trainable_parameters(self) -> int:
        """Weights and biases of the regression."""
        return self.readout.parameters

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the fit."""
        return () if self.readout.converged else ("the regression did not converge",)

    def answer(self, view: View, rows: Rows) -> Answer:
        """Return logits and place of some cells."""
        vectors = self.embedding.place(view, rows)
        scaled = np.nan_to_num((vectors - self.mean) / self.spread)
        return Answer(self.readout.logits(scaled), vectors)

    def stored(self) -> tuple[dict[str, Any], Arrays]:
        """Return the fit as plain values and arrays, without the network."""
        arrays: Arrays = {"mean": self.mean, "spread": self.spread}
        arrays |= {"weights": self.readout.weights, "bias": self.readout.bias}
        return {"converged": self.readout.converged}, arrays


@dataclass(frozen=True, eq=False)
class Probe:
    """Logistic regression on the embedding of a frozen network."""

    embedding: FrozenEmbedding
    strength: float = 1.0
    weighting: Weighting = "none"
    selects: bool = field(default=False, init=False)
    name: str = field(default="scgpt_frozen_probe", init=False)

    def fit(self, lesson: Lesson) -> ProbeFit:
        """Return the regression fitted to the train cells that have a vector."""
        vectors = self.embedding.place(lesson.view, lesson.train)
        there = np.isfinite(vectors).all(axis=1)
        mine, codes = vectors[there], lesson.codes[lesson.train][there]
        mean, spread = mine.mean(axis=0), np.maximum(mine.std(axis=0), np.float32(LEAST_SPREAD))
        features = (mine - mean) / spread
        readout = logistic(features, codes, lesson.classes, strength=self.strength, weighting=self.weighting)
        return ProbeFit(self.embedding, mean, spread, readout)

    def restored(self, facts: Mapping[str, Any], arrays: Arrays) -> ProbeFit:
        """Return the fit that was stored."""
        readout = Readout(arrays["weights"], arrays["bias"], bool(facts["converged"]))
        return ProbeFit(self.embedding, arrays["mean"], arrays["spread"], readout)


# ---- head


@dataclass(frozen=True, eq=False)
class HeadFit:
    """A trained head on the vectors of a frozen network."""

    embedding: FrozenEmbedding
    head: LabelHead
    notes: tuple[str, ...] = ()

    @property
    def trainable_parameters(self) -> int:
        """Numbers of the head."""
        return parameters_of(self.head)

    def answer(self, view: View, rows: Rows) -> Answer:
        """Return logits and place of some cells."""
        vectors = self.embedding.place(view, rows)
        return Answer(head_logits(self.head, np.nan_to_num(vectors), self.embedding.options.device), vectors)

    def stored(self) -> tuple[dict[str, Any], Arrays]:
        """Return the head as plain values and arrays, without the network."""
        arrays = {name: one.detach().cpu().numpy() for name, one in self.head.state_dict().items()}
        return {"classes": self.head.map.out_features}, arrays


@dataclass(frozen=True, eq=False)
class Head:
    """A small head trained on a frozen network."""

    embedding: FrozenEmbedding
    options: TuningOptions
    selects: bool = field(default=True, init=False)
    name: str = field(default="scgpt_head", init=False)

    def fit(self, lesson: Lesson) -> HeadFit:
        """Return the head of the best epoch on valid cells."""
        training = Training(lesson, self.options, self.options.head)
        head = fresh_head(self.embedding.base.width, lesson.classes, self.options.head_dropout, (training.seed, "head"))
        vectors = self.embedding.place(lesson.view, np.arange(len(lesson.view)))
        return HeadFit(self.embedding, head, _notes(train_head(head, vectors, training)))

    def restored(self, facts: Mapping[str, Any], arrays: Arrays) -> HeadFit:
        """Return the head that was stored."""
        head = LabelHead(self.embedding.base.width, int(facts["classes"]), self.options.head_dropout)
        head.load_state_dict({name: torch.from_numpy(one) for name, one in arrays.items()})
        return HeadFit(self.embedding, head.to(self.options.device).eval())


# ---- adapters, or all of it


@dataclass(frozen=True, eq=False)
class TunedFit:
    """A network of which a part or all was trained."""

    embedding: FrozenEmbedding
    network: LabelNetwork
    options: TuningOptions
    notes: tuple[str, ...] = ()

    @property
    def trainable_parameters(self) -> int:
        """Numbers that were trained."""
        return parameters_of(self.network)

    def answer(self, view: View, rows: Rows) -> Answer:
        """Return logits and place of some cells."""
        logits, vectors = network_answers(self.network, view, rows, (self.embedding.base, self.options))
        return Answer(logits, vectors)

    def stored(self) -> tuple[dict[str, Any], Arrays]:
        """Return what was trained, without the rest of the network."""
        arrays = {name: one.cpu().numpy() for name, one in self.network.state_dict().items()}
        return {"classes": self.network.head.map.out_features}, arrays


@dataclass(frozen=True, eq=False)
class Tuned:
    """Low-rank adapters in a frozen network (`lora`), or the network itself (`full`), with a head."""

    embedding: FrozenEmbedding
    options: TuningOptions
    part: Literal["lora", "full"]
    selects: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """The row in tables."""
        return f"scgpt_{self.part}"

    @property
    def schedule(self) -> Schedule:
        """Epochs and learning rate."""
        return self.options.lora if self.part == "lora" else self.options.full

    def fit(self, lesson: Lesson) -> TunedFit:
        """Return the network of the best epoch on valid cells."""
        training = Training(lesson, self.options, self.schedule)
        network = self._network(lesson.classes, training.seed)
        record = train_network(network, self.embedding.base, training)
        return TunedFit(self.embedding, network, self.options, _notes(record))

    def restored(self, facts: Mapping[str, Any], arrays: Arrays) -> TunedFit:
        """Return the network that was stored."""
        network = self._network(int(facts["classes"]), 0)
        network.load_state_dict({name: torch.from_numpy(one) for name, one in arrays.items()})
        return TunedFit(self.embedding, network.to(self.options.device).eval(), self.options)

    def _network(self, classes: int, seed: int) -> LabelNetwork:
        base, dropout, key = self.embedding.base, self.options.head_dropout, (seed, self.part)
        if self.part == "lora":
            return lora_network(base, classes, self.options.adapters, dropout, key)
        return whole_network(base, classes, dropout, key)


def _notes(record: TrainingRecord) -> tuple[str, ...]:
    """What happened while training, and where the best epoch was the last: it might have gone on."""
    late = (
        record.reason == "max_epochs" and record.best_epoch == len(record.epochs) - 1 and record.best_score is not None
    )
    said = ("the last epoch was the best on valid: more epochs may help",) if late else ()
    return (*record.events, *said)
