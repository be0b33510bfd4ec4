"""Model cards from the recorded facts of a run."""

from typing import Any

import numpy as np

from pertura.data.datasets import DATASETS
from pertura.data.datasets.declared import DECLARED
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.presets import shown
from pertura.evaluation.table import METRICS
from pertura.models.networks import Learnt
from pertura.recipes.repeats import card_spreads
from pertura.recipes.run import Screen, environment
from pertura.recipes.sources import network_of
from pertura.recipes.with_prior import summary_of
from pertura.report.card import CardFacts, DataFacts, ScoreFacts, SplitFacts, TrainingFacts
from pertura.report.tables import Interval

CITATIONS = (
    "Ahlmann-Eltze, Huber & Anders 2025, Nature Methods: linear and additive baselines",
    "Viñas Torné et al. 2025, Nature Biotechnology: systematic variation, matching mean",
    "Peidli et al. 2024, Nature Methods: energy distance and permutation E-test",
    "Owen & Eckles 2012, Annals of Applied Statistics: bootstrap of crossed effects",
)
NETWORK_CITATIONS = (
    "Cui et al. 2024, Nature Methods: scGPT",
    "Istrate, Li & Karaletsos 2024, bioRxiv 2024.10.23.619972: scGenePT",
)
ENDED = {"max_epochs": "after all epochs", "early_stop": "early, without gain on valid"}


def card_of(screen: Screen, name: str) -> CardFacts:
    """Return the facts of one model's card; rendering refuses them where they contradict each other."""
    scores = screen.comparison.of(name)
    brought = (f"about the data: {note}" for note in screen.cells.notes)
    summary = summary_of(name, screen.predictions[name].provenance.versions)
    return CardFacts(
        model=name,
        summary=summary,
        data=_data(screen),
        split=_split(screen),
        training=_training(screen, name),
        scores=tuple(_score(scores, metric) for metric in shown(scores.metrics)),
        fallbacks={one.label: why for one, why in scores.fallbacks.items()},
        limits=(*screen.warnings, *_own_warnings(screen, scores), *brought, *_undefined(scores)),
        versions={one: version for one, version in environment().items() if one != "platform"},
        citations=(*CITATIONS, *(NETWORK_CITATIONS if screen.taught[name].network is not None else ())),
        spreads=card_spreads(screen.repeats[name]) if name in screen.repeats else (),
    )


def _data(screen: Screen) -> DataFacts:
    cells = screen.cells
    source, licence = _origin(screen.recipe.data)
    controls = int(cells.is_control.sum())
    return DataFacts(
        name=cells.name,
        source=source,
        licence=licence,
        cells=len(cells),
        perturbed_cells=len(cells) - controls,
        control_cells=controls,
        genes=len(cells.genes),
        conditions=len(cells.perturbed),
        contexts=tuple(name or "unnamed" for name in cells.contexts),
        modes=tuple(sorted(map(str, cells.modes))),
        scale=f"{cells.scale.kind}: {cells.scale.evidence}" if cells.scale.evidence else cells.scale.kind,
        computed_before_split=cells.notes,
    )


def _origin(data: str) -> tuple[str, str]:
    """Return where the data are from, and under which licence."""
    if data in DATASETS:
        return DATASETS[data].source, DATASETS[data].licence
    return (DECLARED[data].source if data in DECLARED else data), "not recorded"


def _split(screen: Screen) -> SplitFacts:
    split, cells = screen.split, screen.cells
    present = set(cells.perturbed)
    parts = [len(part & present) for part in (split.train, split.valid, split.test)]
    partitions = [split.controls[name] for name in split.controls]
    model = sum(len(one.model) for one in partitions)
    judge = sum(len(set(one.judge) - set(one.model)) for one in partitions)
    return SplitFacts(
        rule=split.name,
        seed=split.seed,
        fingerprint=split.fingerprint,
        train=parts[0],
        valid=parts[1],
        test=parts[2],
        model_controls=model,
        judge_controls=judge,
        left_out=len(present) - sum(parts),
        unused_controls=int(cells.is_control.sum()) - model - judge,
        strata={name: len(members & present) for name, members in split.strata.items()},
    )


def _training(screen: Screen, name: str) -> TrainingFacts:
    """The clock is left out: the same run makes the same card, and `training_stats.json` keeps the seconds."""
    facts = screen.taught[name]
    return TrainingFacts(
        seed=screen.recipe.seed,
        train_cells=facts.train_cells,
        epochs=facts.epochs,
        cells_seen=facts.cells_seen,
        **(_network(screen, name, facts.network) if facts.network is not None else {}),
    )


def _network(screen: Screen, name: str, learnt: Learnt) -> dict[str, Any]:
    """Return what a card says of a network beyond that."""
    record, entry = learnt.record, network_of(name)
    assert entry is not None
    training = entry.chosen(screen.recipe.size, screen.recipe.changes_of(name), name).training
    shown = ("batch", "learning_rate", "decay", "clip", "precision", "patience", "stop_metric")
    return {
        "device": record.device,
        "parameters": learnt.parameters,
        "best_epoch": record.best_epoch,
        "best_score": record.best_score,
        "chosen_by": learnt.stop_metric,
        "ended": ENDED[record.reason],
        "options": {one.replace("_", " "): str(getattr(training, one)) for one in shown},
        "events": record.events,
        "redrawn": learnt.redrawn,
    }


def _score(scores: Scores, metric: str) -> ScoreFacts:
    one, beside = scores.summary(metric, "all"), scores.beside(metric, "all")
    permuted = scores.permuted_score(metric, "all")
    shown = Interval(one.value, one.low, one.high) if one.valid else Interval(None)
    return ScoreFacts(
        metric=metric,
        better="higher" if METRICS[metric].higher_is_better else "lower",
        score=shown,
        floor=beside["floor"],
        null=Interval(permuted.value, permuted.low, permuted.high),
        ceiling=Interval(beside["ceiling"]) if np.isfinite(beside["ceiling"]) else None,
        valid=one.valid,
        detectable=int(scores.detectable.sum()),
    )


def _own_warnings(screen: Screen, scores: Scores) -> list[str]:
    """What is doubtful about this model's scores alone."""
    return [text for text in scores.warnings if text not in screen.warnings]


def _undefined(scores: Scores) -> list[str]:
    """Say which metrics have no value for some conditions, and what that counts as."""
    told = []
    for metric in shown(scores.metrics):
        one, rule = scores.summary(metric, "all"), METRICS[metric].undefined_as
        if one.undefined:
            counted = "left out" if rule is None else f"counted as {rule:g} in means"
            told.append(f"{metric} is undefined for {one.undefined} of {one.conditions} conditions: {counted}")
    return told
