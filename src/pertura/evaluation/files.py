"""Scores on disk: `results.csv`, `agg_results.csv`, `scores.json`, `bootstrap.safetensors`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pertura.core.atomic import write_bytes, write_text
from pertura.core.errors import BadDataError, MissingError
from pertura.core.perturbation import Condition, Mode, Perturbation, Target
from pertura.evaluation.evaluate import Scores
from pertura.evaluation.table import METRICS

FORMAT = "pertura-scores"
FORMAT_VERSION = 2
DETAIL = "detail "
TAILS = {"all": "", "detectable": "_detectable"}
AGGREGATED = {"low": "ci_low", "high": "ci_high"}
COUNTED = ("valid", "undefined")
Told = Mapping[tuple[str, str], Mapping[str, float | int]]
TABLES = ("values", "floor", "ceiling", "permuted", "bootstrap")


def results_table(scores: Scores) -> pd.DataFrame:
    """Return one row per condition: what it is, whether it has an effect, and its scores; undefined is empty.

    Last come numbers that are no scores, such as how many genes are significant. A metric that could not be worked out
    has no column.
    """
    frame = pd.DataFrame(
        {
            "perturbation": [one.perturbation.label for one in scores.conditions],
            "context": [one.context for one in scores.conditions],
            "stratum": [_strata_of(scores, one) for one in scores.conditions],
            "cells": scores.counts,
            "effect_p": scores.effect_p,
            "detectable": scores.detectable,
            "fallback": [scores.fallbacks.get(one, "") for one in scores.conditions],
        }
    )
    for row, metric in enumerate(scores.metrics):
        frame[metric] = scores.values[row]
    for name, numbers in scores.details.items():
        frame[name] = numbers
    return frame


def aggregate_table(scores: Scores) -> pd.DataFrame:
    """Return statistics by metric: the usual description over defined conditions, and what stands beside them.

    `count` is the number of defined scores, `null_count` of undefined ones; mean to max skip undefined scores. The
    rows from `score` on are over all conditions or the detectable ones, with undefined scores counted as the metric
    states. `scaled` is 0 at the floor and 1 at the ceiling.
    """
    return _aggregated(
        scores, {(metric, name): scores.told(metric, name) for metric in scores.metrics for name in TAILS}
    )


def _aggregated(scores: Scores, told: Told) -> pd.DataFrame:
    columns = {}
    for row, metric in enumerate(scores.metrics):
        values = pd.Series(scores.values[row])
        described = {"count": values.count(), "null_count": values.isna().sum(), **values.describe().iloc[1:].to_dict()}
        for subset, tail in TAILS.items():
            numbers = told[metric, subset]
            described |= {
                f"{AGGREGATED.get(name, name)}{tail}": numbers[name] for name in numbers if name not in COUNTED
            }
        columns[metric] = described
    return pd.DataFrame(columns).rename_axis("statistic").reset_index()


def write_scores(scores: Scores, folder: Path) -> None:
    """Write the four files; equal scores give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    subsets = ("all", "detectable", *scores.strata)
    told = {(metric, subset): scores.told(metric, subset) for metric in scores.metrics for subset in subsets}
    write_text(folder / "results.csv", results_table(scores).to_csv(index=False))
    write_text(folder / "agg_results.csv", _aggregated(scores, told).to_csv(index=False))
    arrays = {name: getattr(scores, name) for name in TABLES}
    arrays |= {"weights": scores.weights, "effect_p": scores.effect_p}
    arrays |= {f"{DETAIL}{name}": numbers for name, numbers in scores.details.items()}
    write_bytes(
        folder / "bootstrap.safetensors", save({name: np.ascontiguousarray(one) for name, one in arrays.items()})
    )
    write_text(
        folder / "scores.json", json.dumps(_facts(scores, told), indent=1, sort_keys=True, allow_nan=False) + "\n"
    )


def read_scores(folder: Path) -> Scores:
    """Return the scores that `write_scores` wrote; a missing folder raises `MissingError`, a bad one `BadDataError`."""
    if not (folder / "scores.json").exists():
        raise MissingError(f"no scores in {folder}; `pertura run` or `pertura evaluate` writes them")
    try:
        facts = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        if facts["format"] != FORMAT or facts["version"] > FORMAT_VERSION:
            raise BadDataError(f"format {facts['format']} version {facts['version']}", file=folder / "scores.json")
        arrays = load_file(folder / "bootstrap.safetensors")
        return _scores(facts, arrays)
    except (LookupError, TypeError, ValueError, AttributeError, OSError, RecursionError, SafetensorError) as error:
        raise BadDataError(
            f"not readable as scores: {error}", file=folder, remedy="delete the folder and evaluate again"
        ) from error


def _scores(facts: Mapping[str, object], arrays: Mapping[str, Float[np.ndarray, "..."]]) -> Scores:
    conditions = tuple(_condition(one) for one in facts["conditions"])  # type: ignore[attr-defined]
    _check_arrays(facts, arrays, len(conditions))
    detectable = np.asarray(facts["detectable"])
    if detectable.dtype != bool or detectable.shape != (len(conditions),):
        raise ValueError("detectable is not one true or false for each condition")
    return Scores(
        model=str(facts["model"]),
        preset=str(facts["preset"]),
        metrics=tuple(facts["metrics"]),  # type: ignore[arg-type]
        conditions=conditions,
        values=arrays["values"],
        floor=arrays["floor"],
        ceiling=arrays["ceiling"],
        permuted=arrays["permuted"],
        bootstrap=arrays["bootstrap"],
        weights=arrays["weights"],
        detectable=detectable,
        effect_p=arrays["effect_p"],
        counts=tuple(facts["counts"]),  # type: ignore[arg-type]
        strata={
            name: frozenset(conditions[i] for i in members)
            for name, members in facts["strata"].items()  # type: ignore[attr-defined]
        },
        fallbacks={conditions[int(i)]: why for i, why in facts["fallbacks"].items()},  # type: ignore[attr-defined]
        split=str(facts["split"]),
        seed=int(str(facts["seed"])),
        shared_controls=bool(facts["shared_controls"]),
        warnings=tuple(facts["warnings"]),  # type: ignore[arg-type]
        undone=dict(facts.get("undone", {})),  # type: ignore[call-overload]
        details={name: arrays[f"{DETAIL}{name}"] for name in facts.get("details", ())},  # type: ignore[attr-defined]
        notes=tuple(facts.get("notes", ())),  # type: ignore[arg-type]
    )


def _check_arrays(facts: Mapping[str, object], arrays: Mapping[str, np.ndarray], conditions: int) -> None:
    """Raise where an array does not fit the metrics and conditions that the facts name, or holds no fractions."""
    metrics: Sequence[str] = facts["metrics"]  # type: ignore[assignment]
    unknown = [one for one in metrics if one not in METRICS]
    if unknown:
        raise ValueError(f"no metric {unknown[0]!r} is known")
    draws = len(arrays["weights"])
    shapes: dict[str, tuple[int, ...]] = {name: (len(metrics), conditions) for name in ("values", "floor", "ceiling")}
    shapes |= {"permuted": (len(metrics), len(arrays["permuted"][0]) if len(metrics) else 0, conditions)}
    shapes |= {"bootstrap": (len(metrics), draws, conditions), "weights": (draws, conditions)}
    shapes |= {"effect_p": (conditions,)}
    shapes |= {f"{DETAIL}{name}": (conditions,) for name in facts.get("details", ())}  # type: ignore[attr-defined]
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind != "f":
            raise ValueError(f"{name} is {arrays[name].shape} of {arrays[name].dtype}, not {shape} of fractions")


def _facts(scores: Scores, told: Told) -> dict[str, object]:
    position = {one: i for i, one in enumerate(scores.conditions)}
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "model": scores.model,
        "preset": scores.preset,
        "metrics": list(scores.metrics),
        "conditions": [_spelled(one) for one in scores.conditions],
        "counts": list(scores.counts),
        "detectable": [bool(one) for one in scores.detectable],
        "strata": {name: sorted(position[one] for one in members) for name, members in scores.strata.items()},
        "fallbacks": {str(position[one]): why for one, why in scores.fallbacks.items()},
        "split": scores.split,
        "seed": scores.seed,
        "shared_controls": scores.shared_controls,
        "warnings": list(scores.warnings),
        "undone": dict(scores.undone),
        "details": list(scores.details),
        "notes": list(scores.notes),
        "summaries": {metric: _finite(told, metric) for metric in scores.metrics},
    }


def _finite(told: Told, metric: str) -> dict[str, dict[str, float | int | None]]:
    return {
        subset: {what: value if np.isfinite(value) else None for what, value in numbers.items()}
        for (name, subset), numbers in told.items()
        if name == metric
    }


def _spelled(condition: Condition) -> dict[str, object]:
    targets = [[target.gene, str(target.mode)] for target in sorted(condition.perturbation.targets)]
    return {"targets": targets, "context": condition.context}


def _condition(spelled: Mapping[str, object]) -> Condition:
    targets = (Target(str(gene), Mode(mode)) for gene, mode in spelled["targets"])  # type: ignore[attr-defined]
    return Condition(Perturbation(frozenset(targets)), str(spelled["context"]))


def _strata_of(scores: Scores, condition: Condition) -> str:
    return "|".join(name for name, members in scores.strata.items() if condition in members)
