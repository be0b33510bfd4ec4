"""The strategies by the words a user says."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

from pertura.annotation.embedding import FrozenEmbedding
from pertura.annotation.linear import Linear
from pertura.annotation.neighbours import Neighbours
from pertura.annotation.strategy import Strategy
from pertura.annotation.tuned import Head, Probe, Tuned
from pertura.annotation.tuning_options import TuningOptions
from pertura.core.errors import UsageError

Kind = Literal["linear", "knn", "probe", "head", "lora", "full"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NEED_MODEL: frozenset[Kind] = frozenset({"probe", "head", "lora", "full"})
TRAINED = ("scgpt_head", "scgpt_lora", "scgpt_full")
LINEAR = ("pca_logistic_annotation", "logistic_all_genes")
OPTIONS = TypeAdapter(TuningOptions)


def kinds_of(words: str | Sequence[str] | None, *, has_model: bool) -> tuple[Kind, ...]:
    """Return the strategies that are asked for; all but `full` by default; without a checkpoint `linear`, `knn`.

    Unknown words, and strategies that need a checkpoint where there is none, raise `UsageError`.
    """
    if words is None:
        return ("linear", "knn", "probe", "head", "lora") if has_model else ("linear", "knn")
    listed = words.split(",") if isinstance(words, str) else list(words)
    asked = [one.strip() for one in listed if one.strip()]
    unknown = [one for one in asked if one not in KINDS]
    if unknown or not asked:
        raise UsageError(f"--strategy {unknown[0] if unknown else ''!r}: there are {', '.join(KINDS)}")
    needing = [one for one in asked if one in NEED_MODEL]
    if needing and not has_model:
        raise UsageError(
            f"--strategy {needing[0]} starts from a pretrained network: give its folder with --model, or ask for "
            "linear,knn, which need none"
        )
    return tuple(one for one in KINDS if one in asked)


def strategies_of(
    kinds: Sequence[Kind], embedding: FrozenEmbedding | None, options: TuningOptions
) -> tuple[Strategy, ...]:
    """Return the strategies, linear ones first, so that equal scores go to the simplest."""
    made: list[Strategy] = []
    for kind in kinds:
        if kind == "linear":
            made += [Linear(weighting=options.weighting), Linear(all_genes=True, weighting=options.weighting)]
        elif kind == "knn":
            made.append(Neighbours(embedding))
        else:
            made.append(_with_network(kind, embedding, options))
    return tuple(made)


def _with_network(kind: Kind, embedding: FrozenEmbedding | None, options: TuningOptions) -> Strategy:
    if embedding is None:
        raise UsageError(f"--strategy {kind} needs --model")
    if kind == "probe":
        return Probe(embedding, weighting=options.weighting)
    if kind == "head":
        return Head(embedding, options)
    return Tuned(embedding, options, "lora" if kind == "lora" else "full")


def strategy_named(name: str, embedding: FrozenEmbedding | None, options: TuningOptions) -> Strategy:
    """Return the strategy that has this row in tables; `UsageError` where there is none."""
    kinds: Mapping[str, Kind] = {
        **dict.fromkeys(LINEAR, "linear"),
        "pca_knn": "knn",
        "scgpt_knn": "knn",
        "scgpt_frozen_probe": "probe",
        "scgpt_head": "head",
        "scgpt_lora": "lora",
        "scgpt_full": "full",
    }
    if name not in kinds:
        raise UsageError(f"no strategy {name!r}; there are {', '.join(kinds)}")
    made = strategies_of((kinds[name],), embedding if name != "pca_knn" else None, options)
    return next(one for one in made if one.name == name)


def options_to_json(options: TuningOptions) -> dict[str, Any]:
    """Return the options as JSON holds them."""
    return asdict(options)


def options_from_json(content: Mapping[str, Any]) -> TuningOptions:
    """Return the options that `options_to_json` wrote."""
    return OPTIONS.validate_python(dict(content))
