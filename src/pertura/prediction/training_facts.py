"""What is kept of the cells that models of a run learnt from, so that later cells can be compared with them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pertura.core.atomic import write_text
from pertura.core.cells import Cells, Scale
from pertura.core.errors import BadDataError
from pertura.core.expression import blocks
from pertura.core.perturbation import Condition, Mode, Perturbation, Target
from pertura.core.split import Split
from pertura.data.pseudobulk import training_pseudobulk

FORMAT, FORMAT_VERSION = "pertura-training-facts", 1
FILE = "training_facts.json"
DIGITS = 7
PERCENTILES = (5, 50, 95)
Vector = Float[np.ndarray, " genes"]


@dataclass(frozen=True, eq=False)
class ControlFacts:
    """Controls of one context: mean and standard deviation of each gene, the share of cells that show it, and depth.

    `detected`: the 5th, 50th and 95th percentile of the number of panel genes a cell shows.
    """

    context: str
    cells: int
    mean: Vector
    deviation: Vector
    shown: Vector
    detected: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class TrainingFacts:
    """Panel, scale, controls by context, train conditions, and the size of a typical effect of train.

    `effect`: root mean square over genes of the mean change under a train condition, the median over conditions.
    """

    genes: tuple[str, ...]
    scale: Scale
    controls: tuple[ControlFacts, ...]
    train: frozenset[Condition]
    effect: float
    data: str = ""

    @property
    def seen(self) -> frozenset[str]:
        """The genes that some train condition perturbs."""
        return frozenset(gene for one in self.train for gene in one.genes)


def training_facts(cells: Cells, split: Split) -> TrainingFacts:
    """Return the facts of what models may see under a split: train conditions and model-side controls."""
    seen = split.visible(cells)
    bulk = training_pseudobulk(cells, split)
    sizes = np.sqrt(np.square(bulk.deltas).mean(axis=1)) if len(bulk.conditions) else np.zeros(1)
    contexts = [one for one in seen.contexts if len(seen.control_rows(one))]
    controls = tuple(control_facts(seen, seen.control_rows(one), one) for one in contexts)
    return TrainingFacts(
        cells.genes, cells.scale, controls, frozenset(bulk.conditions), float(np.median(sizes)), cells.name
    )


def control_facts(cells: Cells, rows: Int[np.ndarray, " _"], context: str) -> ControlFacts:
    """Return the facts of some cells, read block by block."""
    total, squares, shown = (np.zeros(len(cells.genes)) for _ in range(3))
    detected: list[float] = []
    for block in blocks(cells.expression, rows):
        there = block > 0
        total += block.sum(axis=0)
        squares += np.square(block).sum(axis=0)
        shown += there.sum(axis=0)
        detected += there.sum(axis=1).astype(float).tolist()
    mean = total / len(rows)
    deviation = np.sqrt(np.maximum(squares / len(rows) - mean**2, 0.0))
    low, middle, high = np.percentile(detected, PERCENTILES).tolist()
    return ControlFacts(context, len(rows), mean, deviation, shown / len(rows), (low, middle, high))


def write_training_facts(facts: TrainingFacts, folder: Path) -> None:
    """Write the facts into a run folder; equal facts give equal bytes."""
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "data": facts.data,
        "scale": {name: getattr(facts.scale, name) for name in Scale.__dataclass_fields__},
        "effect": facts.effect,
        "genes": list(facts.genes),
        "train": [_condition_to_json(one) for one in sorted(facts.train)],
        "controls": [_controls_to_json(one) for one in facts.controls],
    }
    write_text(folder / FILE, json.dumps(content) + "\n")


def read_training_facts(folder: Path) -> TrainingFacts | None:
    """Return the facts in a run folder; None where it has none, `BadDataError` where they were altered."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT or content["version"] != FORMAT_VERSION:
            raise ValueError(f"format {content['format']!r} version {content['version']!r}")
        return _read(content)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        remedy = "delete it: it is made anew from the data"
        raise BadDataError(f"not training facts ({type(error).__name__}: {error})", file=path, remedy=remedy) from error


def _read(content: Mapping[str, Any]) -> TrainingFacts:
    genes = tuple(str(one) for one in content["genes"])
    controls = tuple(_controls_from_json(one, len(genes)) for one in content["controls"])
    train = frozenset(_condition_from_json(one) for one in content["train"])
    return TrainingFacts(
        genes, Scale(**content["scale"]), controls, train, float(content["effect"]), str(content["data"])
    )


def _controls_to_json(one: ControlFacts) -> dict[str, Any]:
    vectors = {"mean": one.mean, "deviation": one.deviation, "shown": one.shown}
    rounded = {name: [float(f"{number:.{DIGITS}g}") for number in vector] for name, vector in vectors.items()}
    return {"context": one.context, "cells": one.cells, "detected": list(one.detected), **rounded}


def _controls_from_json(content: Mapping[str, Any], genes: int) -> ControlFacts:
    vectors = [np.asarray(content[name], dtype=np.float64) for name in ("mean", "deviation", "shown")]
    if any(one.shape != (genes,) for one in vectors):
        raise ValueError(f"vectors that are not of {genes} genes")
    low, middle, high = (float(one) for one in content["detected"])
    mean, deviation, shown = vectors
    return ControlFacts(str(content["context"]), int(content["cells"]), mean, deviation, shown, (low, middle, high))


def _condition_to_json(condition: Condition) -> list[Any]:
    return [condition.context, [[one.gene, str(one.mode)] for one in sorted(condition.perturbation.targets)]]


def _condition_from_json(content: list[Any]) -> Condition:
    context, targets = content
    return Condition(Perturbation(frozenset(Target(gene, Mode(mode)) for gene, mode in targets)), context)
