"""A screen whose labels mean nothing, and what the baselines score on it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pertura.core import Outline
from pertura.core.seeds import generator
from pertura.data.splits import SPLITS
from pertura.evaluation.effort import Effort
from pertura.evaluation.evaluate import evaluate
from pertura.evaluation.observed import observe
from pertura.models.table import BASELINES, MODELS
from pertura.prediction.predict import predict

EFFORT = Effort(halves=1)


@dataclass(frozen=True)
class Judged:
    """One metric of one baseline on one screen with permuted labels."""

    model: str
    metric: str
    value: float
    low: float
    high: float
    chance: float

    @property
    def covers(self) -> bool:
        return self.low <= self.chance <= self.high


def permuted(cells, seed):
    """The same cells with their labels, control among them, exchanged at random within each context and batch."""
    context = np.asarray([one.context for one in cells.conditions])[cells.codes]
    batch = np.zeros(len(cells), dtype=np.int64) if cells.batch_codes is None else cells.batch_codes
    codes = cells.codes.copy()
    for stratum in sorted(set(zip(context.tolist(), batch.tolist()))):
        rows = np.flatnonzero((context == stratum[0]) & (batch == stratum[1]))
        codes[rows] = codes[rows][generator(seed, "permute", *stratum).permutation(len(rows))]
    return replace(cells, codes=codes)


def judged(
    cells, rule, seed, *, models=tuple(BASELINES), shared=False, effort=EFFORT, metrics=None
) -> Iterator[Judged]:
    """Fit on permuted labels, predict, score; what is undefined for all conditions says nothing."""
    name, options = rule
    mixed = permuted(cells, seed)
    split = SPLITS[name](Outline.of(mixed), seed=seed, shared_controls=shared, **options)
    fitted = {model: MODELS[model].build(None) for model in models}
    for model in fitted.values():
        model.fit(mixed, split, seed=seed)
    scope = next(iter(fitted.values())).scope
    answerable = [one for one in sorted(split.test) if not scope.unknown(one.genes)]
    observed = observe(mixed, split, answerable, seed=seed, effort=effort)
    for model, one in fitted.items():
        scores = evaluate(predict(one, mixed, split, answerable, seed=seed), observed, metrics=metrics)
        for metric in scores.metrics:
            found = scores.summary(metric, "all")
            chance = scores.beside(metric, "all")["chance"]
            if np.isfinite([found.value, chance]).all():
                yield Judged(model, metric, found.value, found.low, found.high, chance)
