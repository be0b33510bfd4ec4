"""From the flags of the command to a wish."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pertura.annotation.tokens import Reading
from pertura.annotation.trust import UnknownRule
from pertura.annotation.tuning_options import Adapters, Schedule, TuningOptions
from pertura.recipes.annotating.wish import Wish, profiled

PLAIN = (
    "layer",
    "query_layer",
    "gene_column",
    "group",
    "label_with",
    "folds",
    "repeats",
    "min_cells",
    "min_gene_overlap",
    "min_query_genes",
    "clusters",
    "unseen",
    "projection",
    "seed",
)


def wish_of_flags(flags: Mapping[str, Any]) -> Wish:
    """Return the wish; a profile sets sizes, rates and the division, and flags that were given go before it."""
    words = flags["strategy"]
    wish = Wish(
        label=flags["label"] or "",
        exclude=tuple(flags["exclude_label"] or ()),
        strategies=None if words is None else tuple(words.split(",")),
        rule=UnknownRule(flags["unknown_quantile"], flags["min_probability"]),
        tuning=_tuning(flags, TuningOptions()),
        cached=flags["cache"],
        **{name: flags[name] for name in PLAIN},
    )
    if flags["profile"] is None:
        return wish
    made = profiled(wish, flags["profile"])
    return replace(made, tuning=_schedules(flags, made.tuning))


def _tuning(flags: Mapping[str, Any], start: TuningOptions) -> TuningOptions:
    targets = tuple(flags["lora_target"] or ("linear",))
    made = replace(
        start,
        adapters=Adapters(flags["lora_rank"], flags["lora_alpha"], flags["lora_dropout"], targets),
        patience=flags["patience"],
        weighting=flags["class_weights"],
        sampling=flags["sampling"],
        precision=flags["precision"],
        device=flags["device"],
        reading=Reading(longest=flags["max_genes"]),
    )
    return _schedules(flags, made)


def _schedules(flags: Mapping[str, Any], start: TuningOptions) -> TuningOptions:
    def schedule(name: str, now: Schedule) -> Schedule:
        epochs, rate = flags[f"{name}_epochs"], flags[f"{name}_learning_rate"]
        return Schedule(epochs or now.epochs, rate or now.learning_rate)

    return replace(
        start,
        head=schedule("head", start.head),
        lora=schedule("lora", start.lora),
        full=schedule("full", start.full),
        batch=flags["batch"] or start.batch,
    )
