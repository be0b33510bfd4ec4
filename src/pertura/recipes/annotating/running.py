"""Compares strategies on the reference and fits the one that will label."""

import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from pertura.annotation.annotator import Annotator, tokens_of
from pertura.annotation.comparison import Course, Outcome, StrategyComparison, compared
from pertura.annotation.embedding import FrozenEmbedding, cache_folder
from pertura.annotation.folds import VALID_SHARE, folds, train_and_valid
from pertura.annotation.linear import components
from pertura.annotation.pretrained import Base, open_base
from pertura.annotation.scores import confusion_of
from pertura.annotation.source import Source
from pertura.annotation.strategies import LINEAR, TRAINED, kinds_of, strategies_of
from pertura.annotation.strategy import Lesson, Strategy
from pertura.annotation.trust import trusted
from pertura.annotation.unseen import UnseenType, unseen_types
from pertura.core.errors import UsageError
from pertura.recipes.annotating.reading import Reference, reference_of
from pertura.recipes.annotating.wish import Wish
from pertura.recipes.narration import Narrator


@dataclass(frozen=True, eq=False)
class Compared:
    """Everything that was found about the reference."""

    wish: Wish
    reference: Reference
    base: Base | None
    embedding: FrozenEmbedding | None
    comparison: StrategyComparison
    best: str
    unseen: tuple[UnseenType, ...]
    unseen_with: str
    annotator: Annotator
    drawn: tuple["Drawn", ...]
    seconds: float
    warnings: tuple[str, ...]

    @property
    def best_outcomes(self) -> tuple[Outcome, ...]:
        """The folds of the best strategy."""
        return self.comparison.of(self.best)

    @property
    def linear(self) -> str | None:
        """The linear strategy that was better on valid cells; None where none was asked for."""
        there = [one for one in self.comparison.strategies if one in LINEAR]
        return max(there, key=lambda one: self.comparison.mean(one, "valid_macro_f1")) if there else None


@dataclass(frozen=True, eq=False)
class Drawn:
    """An embedding of all labelled cells that is shown; `held` says which cells its strategy never learnt from."""

    name: str
    title: str
    vectors: Float32[np.ndarray, "cells width"]
    held: Bool[np.ndarray, " cells"]


def ran(source: Source, wish: Wish, model: str | Path | None, narrator: Narrator) -> Compared:
    """Return strategies compared on the labelled cells of a source, and an annotator fitted to all of them."""
    began = time.perf_counter()
    kinds = kinds_of(wish.strategies, has_model=model is not None)
    base = open_base(model) if model is not None and (set(kinds) - {"linear"}) else None
    reference = reference_of(source, wish, base)
    for one in reference.warnings:
        narrator.note(f"warning: {one}")
    embedding = _embedding(base, reference, wish, narrator)
    strategies = strategies_of(kinds, embedding, wish.tuning)
    course = Course(reference.view, reference.codes, len(reference.classes), wish.rule, wish.seed)
    plan = wish.plan(trains_networks=any(one.name in TRAINED for one in strategies))
    divided = tuple(folds(reference.divisible, plan, wish.seed))
    comparison = compared(course, strategies, divided, narrator.stage)
    best = _chosen(wish, comparison)
    judge = _cheap(strategies, best)
    unseen: tuple[UnseenType, ...] = ()
    if wish.unseen and judge is not None:
        unseen = unseen_types(course, judge, divided, reference.classes, narrator.stage)
    narrator.note(f"{best} is fitted to all {len(reference.codes):,} labelled cells")
    chosen = next(one for one in strategies if one.name == best)
    annotator = _annotator(course, chosen, reference, (wish, base))
    drawn = _drawn(course, comparison, (embedding, best))
    warnings = (*reference.warnings, *_fold_warnings(comparison), *_never_right(comparison, best, reference))
    return Compared(
        wish,
        reference,
        base,
        embedding,
        comparison,
        best,
        unseen,
        "" if judge is None else judge.name,
        annotator,
        drawn,
        time.perf_counter() - began,
        warnings,
    )


def _embedding(base: Base | None, reference: Reference, wish: Wish, narrator: Narrator) -> FrozenEmbedding | None:
    if base is None:
        return None
    options = wish.tuning.training(wish.tuning.head, selects=False)
    made = FrozenEmbedding(base, wish.tuning.reading, options, cache_folder() if wish.cached else None)
    total = len(reference.view)
    made.remember(reference.view, lambda done: narrator.stage("embedding by the frozen network", done, total + 1))
    told = "taken from the cache" if made.from_cache else f"computed in {made.seconds:.1f} s"
    narrator.note(f"frozen embedding of {total:,} cells {told}")
    return made


def _chosen(wish: Wish, comparison: StrategyComparison) -> str:
    if wish.label_with is None:
        return comparison.best
    if wish.label_with not in comparison.strategies:
        raise UsageError(f"--label-with {wish.label_with!r}: there are {', '.join(comparison.strategies)}")
    return wish.label_with


def _cheap(strategies: tuple[Strategy, ...], best: str) -> Strategy | None:
    """The strategy that unseen types are tried with: the best, or the last that trains no network, which reads as it.

    None where every strategy trains a network: one for each class and fold would take too long.
    """
    quick = [one for one in strategies if one.name not in TRAINED]
    if not quick:
        return None
    return next((one for one in quick if one.name == best), quick[-1])


def _annotator(course: Course, strategy: Strategy, reference: Reference, about: tuple[Wish, Base | None]) -> Annotator:
    wish, base = about
    divisible = reference.divisible
    train, valid = train_and_valid(divisible, VALID_SHARE, wish.seed)
    lesson = Lesson(course.view, course.codes, train, valid, course.classes, wish.seed, "final")
    made, _ = trusted(strategy, lesson, wish.rule)
    return Annotator(
        strategy,
        made,
        reference.classes,
        reference.genes,
        tokens_of(reference.genes, base),
        reference.logged.trained,
        wish.tuning,
        base,
        _facts(reference, wish),
    )


def _facts(reference: Reference, wish: Wish) -> dict[str, Any]:
    names = ("pertura", "numpy", "scikit-learn", "torch")
    return {
        "data": reference.source.name,
        "place": reference.source.place,
        "label": wish.label,
        "cells": len(reference.codes),
        "genes": len(reference.genes),
        "class_cells": dict(zip(reference.classes, np.bincount(reference.codes).tolist())),
        "group": wish.group or "",
        "seed": wish.seed,
        "versions": {"python": platform.python_version(), **{one: version(one) for one in names}},
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _drawn(
    course: Course, comparison: StrategyComparison, about: tuple[FrozenEmbedding | None, str]
) -> tuple[Drawn, ...]:
    """The embeddings to show: the frozen one (components of all cells without a network), and adapters' of one fold."""
    embedding, best = about
    every = np.arange(len(course.view))
    first = comparison.folds[0]
    held = np.isin(every, first.test)
    if embedding is None:
        places = components(course.view, np.sort(np.concatenate([first.train, first.valid])), course.seed)
        made = [Drawn("pca", "Principal components of train cells", places.place(course.view, every), held)]
    else:
        made = [Drawn("frozen", "Frozen embedding", embedding.place(course.view, every), held)]
    for name in dict.fromkeys(["scgpt_lora", best]):
        if name in ("scgpt_lora", "scgpt_full") and name in comparison.first:
            fitted = comparison.first[name].fitted
            title = f"Embedding by {name}, fitted without the cells held out"
            vectors = fitted.answer(course.view, every).space
            made.append(Drawn(name.removeprefix("scgpt_"), title, vectors, held))
    return tuple(made)


def _never_right(comparison: StrategyComparison, best: str, reference: Reference) -> tuple[str, ...]:
    """Name the classes of which the labelling strategy got no test cell right: it may call everything one class."""
    total = np.zeros((len(reference.classes), len(reference.classes)), dtype=np.int64)
    for one in comparison.of(best):
        total += confusion_of(reference.codes[one.fold.test], one.calls.first, len(reference.classes))
    lost = [name for code, name in enumerate(reference.classes) if total[code].sum() and not total[code, code]]
    if not lost:
        return ()
    named = ", ".join(lost[:6]) + (f" and {len(lost) - 6} more" if len(lost) > 6 else "")
    return (f"{best} gives no test cell of {len(lost)} class{'es' if len(lost) > 1 else ''} its label: {named}",)


def _fold_warnings(comparison: StrategyComparison) -> tuple[str, ...]:
    said: dict[str, int] = {}
    for one in comparison.outcomes:
        for note in one.notes:
            said[f"{one.strategy}: {note}"] = said.get(f"{one.strategy}: {note}", 0) + 1
    undefined = {one.strategy for one in comparison.outcomes if np.isnan(one.silhouette)}
    lines = [f"{note} (in {count} of {len(comparison.folds)} folds)" for note, count in said.items()]
    if undefined:
        lines.append(
            "silhouette is not defined in some folds (it takes two classes and more cells than classes); it is left "
            "out there, and empty where no fold has one"
        )
    return tuple(lines)
