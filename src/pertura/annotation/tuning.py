"""Training a head, adapters or a whole network on labelled cells, by the loop that trains every network."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from torch.nn import functional

from pertura.annotation.calibration import log_likelihood
from pertura.annotation.feeding import Deck, LabelledTokens, VectorBatch, VectorFeed, token_feed
from pertura.annotation.network import LabelHead, LabelNetwork
from pertura.annotation.pretrained import Base
from pertura.annotation.scores import confusion_of, macro_f1
from pertura.annotation.strategy import Lesson
from pertura.annotation.tokens import batch_of, bucketed, tokenised
from pertura.annotation.tuning_options import Schedule, TuningOptions
from pertura.annotation.view import View
from pertura.core.errors import BadDataError
from pertura.core.expression import Rows
from pertura.core.seeds import generator
from pertura.training.loop import Loop
from pertura.training.objective import Feed, StepLoss
from pertura.training.options import TrainingOptions
from pertura.training.precision import autocast
from pertura.training.record import TrainingRecord

Codes = Int[np.ndarray, " cells"]


class LabelObjective:
    """Cross-entropy of the observed classes; a class's cells count as its weight says."""

    network: nn.Module

    def __init__(self, network: LabelHead | LabelNetwork, weights: Float[Tensor, " classes"]) -> None:
        self.network, self.weights = network, weights

    def loss(self, batch: VectorBatch | LabelledTokens) -> StepLoss:
        """Return the loss of a batch, a mean over its cells."""
        logits = self.network(batch.vectors) if isinstance(batch, VectorBatch) else self.network(batch.tokens)[0]
        each = functional.cross_entropy(logits.float(), batch.codes, reduction="none")
        return StepLoss((each * self.weights[batch.codes]).mean(), {})


def class_weights(codes: Codes, classes: int, *, balanced: bool) -> Float32[np.ndarray, " classes"]:
    """Return 1 for each class, or what makes all classes that occur weigh the same in sum (mean weight of a cell 1)."""
    if not balanced:
        return np.ones(classes, dtype=np.float32)
    sizes = np.bincount(codes, minlength=classes)
    there = max(int((sizes > 0).sum()), 1)
    return np.where(sizes > 0, len(codes) / (there * np.maximum(sizes, 1)), 0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Training:
    """How a network is trained in one lesson."""

    lesson: Lesson
    options: TuningOptions
    schedule: Schedule

    @property
    def loop_options(self) -> TrainingOptions:
        """Options of the loop."""
        return self.options.training(self.schedule, selects=len(self.lesson.valid) > 0)

    @property
    def seed(self) -> int:
        """A seed of this lesson's own."""
        return int(generator(self.lesson.seed, "tuning", self.lesson.key).integers(2**31))

    def weights(self) -> Float[Tensor, " classes"]:
        """Weights of the classes on the device."""
        mine = self.lesson.codes[self.lesson.train]
        balanced = self.options.weighting == "balanced"
        return torch.from_numpy(class_weights(mine, self.lesson.classes, balanced=balanced)).to(self.options.device)

    def run(
        self, network: LabelHead | LabelNetwork, feed: Feed, logits: Callable[[], Float[np.ndarray, "valid classes"]]
    ) -> TrainingRecord:
        """Train the network and leave its best weights in it."""
        codes = self.lesson.codes[self.lesson.valid]

        def look() -> Mapping[str, float]:
            found = logits()
            table = confusion_of(codes, found.argmax(axis=1), self.lesson.classes)
            return {"log_likelihood": log_likelihood(found, codes), "macro_f1": macro_f1(table)}

        if not feed.steps:
            raise BadDataError("no train cell expresses a gene that the network knows")
        network.to(self.options.device)
        with tempfile.TemporaryDirectory(prefix="pertura-annotate-") as folder:
            validate = look if len(codes) else None
            objective = LabelObjective(network, self.weights())
            record = Loop(objective, feed, self.loop_options, Path(folder), self.seed, validate).run()
        network.eval()
        return record


def train_head(head: LabelHead, vectors: Float32[np.ndarray, "cells width"], training: Training) -> TrainingRecord:
    """Train a head on the vectors of a frozen network; `vectors` are of all cells of the lesson's view."""
    lesson, options = training.lesson, training.options
    rows = lesson.train[np.isfinite(vectors[lesson.train]).all(axis=1)]
    deck = Deck(lesson.codes[rows], options.batch, training.seed, options.sampling == "balanced")
    feed = VectorFeed(vectors[rows], deck, options.device)
    valid = np.nan_to_num(vectors[lesson.valid])
    return training.run(head, feed, lambda: head_logits(head, valid, options.device))


def train_network(network: LabelNetwork, base: Base, training: Training) -> TrainingRecord:
    """Train adapters or a whole network on the tokens of the train cells."""
    lesson, options = training.lesson, training.options
    how = (base, options.reading, options.device)
    deck = (options.batch, training.seed, options.sampling == "balanced")
    feed = token_feed(lesson.view, lesson.train, lesson.codes[lesson.train], how, deck)
    return training.run(network, feed, lambda: network_answers(network, lesson.view, lesson.valid, (base, options))[0])


def head_logits(
    head: LabelHead, vectors: Float32[np.ndarray, "cells width"], device: str
) -> Float32[np.ndarray, "cells classes"]:
    """Return the logits of a head in evaluation."""
    head.eval()
    with torch.inference_mode():
        return head(torch.from_numpy(vectors).to(device)).cpu().numpy()


def network_answers(
    network: LabelNetwork, view: View, rows: Rows, how: tuple[Base, TuningOptions]
) -> tuple[Float32[np.ndarray, "cells classes"], Float32[np.ndarray, "cells width"]]:
    """Return logits and unit vectors of some cells; those without tokens have equal logits and a vector of NaN."""
    base, options = how
    network.to(options.device).eval()
    classes = network.head.map.out_features
    logits = np.zeros((len(rows), classes), dtype=np.float32)
    vectors = np.full((len(rows), base.width), np.nan, dtype=np.float32)
    start = 0
    for pool in options.reading.pools(rows):
        cells = tokenised(view, pool, base)
        for chosen in bucketed(cells, options.reading.batch):
            batch = batch_of([cells[place] for place in chosen], base, options.reading)
            with torch.inference_mode(), autocast(options.training(options.head, selects=False)):
                found, places = network(batch)
            logits[start + chosen], vectors[start + chosen] = found.float().cpu().numpy(), places.cpu().numpy()
        start += len(pool)
    return logits, vectors
