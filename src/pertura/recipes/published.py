"""Recipes of published fine-tunings: which variant on which screen, with whose hyper-parameters.

`full` needs the user's copy of the screen (`pertura data add`) and of the pretrained weights (`--pretrained`); `debug`
is the same on bundled data with a network of seconds, and a simulated screen beside it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from pertura.models.table import BASELINES
from pertura.recipes.recipe import Recipe

Size = Literal["full", "debug"]
SOURCES = ("ncbi", "ncbi+uniprot", "go-f", "go-c", "go-p", "go-all")
VARIANTS: dict[str, str] = {
    "scgpt": "scgpt",
    **{f"scgenept-{source}": f"scgenept+{source}" for source in SOURCES},
    **{f"scgenept-{source}-language-only": f"scgenept-language+{source}" for source in SOURCES},
    **{f"scgenept-ncbi+uniprot-{source}": f"scgenept+ncbi+uniprot,{source}" for source in SOURCES[2:]},
    "scgenept-counts-only": "scgenept-counts",
    "scgenept-none": "scgenept",
    "scgenept-go-c-no-pretrained-attention": "scgenept-fresh+go-c",
    "scgpt-no-pretrained-attention": "scgpt-fresh",
}
"""Variant -> model. The first seven are the published ones, `none` is scGenePT's own twin without text."""

GEARS_SEED = 1
"""Of the split that scGenePT was published with."""
FINE_TUNING: dict[str, Any] = {
    "training": {
        "epochs": 20,
        "batch": 64,
        "learning_rate": 1e-4,
        "decay": 0.9,
        "clip": 1.0,
        "precision": "fp16",
        "patience": 10,
        "stop_metric": "pearson_delta",
        "device": "auto",
    },
    "max_genes": 1536,
}
"""Istrate et al. 2024, train.py; but chosen by pearson_delta on valid in place of the error over random genes."""
TO_RPE1: dict[str, Any] = {
    "training": {**FINE_TUNING["training"], "epochs": 30, "batch": 192},
    "max_genes": 1536,
    "prior_rows": "stored",
    "predict_batch": 192,
}
"""The published card of scGPT with ESM2 on Replogle: batch 192, at most 30 epochs, stopped after 10 without gain."""
RPE1 = "rpe1"
VALID_FRACTION = 0.05


def screen_recipe(variant: str, screen: str, size: Size = "full") -> Recipe:
    """Return a variant fine-tuned on Norman's or Adamson's screen, with the split it was published with."""
    model = VARIANTS[variant]
    name = f"{screen}-{variant}"
    if size == "full":
        options = {model.partition("+")[0]: FINE_TUNING}
        return Recipe(name=name, data=screen, models=(*BASELINES, model), seed=GEARS_SEED, model_options=options)
    data, simulated = {"norman": ("norman-500", "simulated-pairs"), "adamson": ("mcfaline-500", "simulated-lines")}[
        screen
    ]
    return Recipe(
        name=name,
        data=data,
        models=(*BASELINES, *_beside(model)),
        seed=GEARS_SEED,
        size="debug",
        companions=(_planted(model, simulated),),
    )


def to_rpe1(prior: str = "", size: Size = "full") -> Recipe:
    """Return scGPT trained on three lines of Replogle's screen and asked about the fourth, with or without a prior.

    The published card says that it trained on K562, Jurkat and HepG2, so does this recipe; its own numbers (180,021
    cells an epoch, 1,383 perturbations and 73 to choose by) are those of K562 alone.
    """
    name = f"replogle-to-rpe1{'-' if prior else ''}{prior}"
    model = f"scgpt+{prior}" if prior else "scgpt"
    if size == "full":
        return Recipe(
            name=name,
            data="replogle",
            models=(*BASELINES, model),
            rule="held-out-context",
            options={"context": RPE1, "valid_fraction": VALID_FRACTION},
            seed=42,
            model_options={"scgpt": TO_RPE1},
        )
    debug = f"scgpt+{STAND_IN}" if prior else "scgpt"
    simulated = _held_out("simulated", "simulated-lines", ("scgpt",), "line-c")
    return replace(_held_out(name, "mcfaline-500", _beside(debug), "U87MG"), companions=(simulated,))


def _held_out(name: str, data: str, models: tuple[str, ...], context: str) -> Recipe:
    return Recipe(
        name=name,
        data=data,
        models=(*BASELINES, *models),
        rule="held-out-context",
        options={"context": context},
        size="debug",
    )


STAND_IN = "protein"
"""In the debug size the bundled protein sequences stand in for ESM2's vectors, which are not bundled."""


def _beside(model: str) -> tuple[str, ...]:
    """Return a model with what says whether its prior helps: the same without one, and with one of other genes."""
    base, plus, _ = model.partition("+")
    if not plus:
        return (model,)
    without = () if base == "scgenept-language" else (base,)
    return (model, *without, f"{model}~permuted1")


def _planted(model: str, data: str) -> Recipe:
    """Return the same network on a simulated screen, whose truth is known; its genes are in no prior."""
    base = model.partition("+")[0].replace("-language", "")
    return Recipe(name="simulated", data=data, models=(*BASELINES, base), seed=GEARS_SEED, size="debug")


PUBLISHED: dict[str, Callable[..., Recipe]] = {
    **{
        f"{screen}-{variant}": partial(screen_recipe, variant, screen)
        for screen in ("norman", "adamson")
        for variant in VARIANTS
    },
    "replogle-to-rpe1": to_rpe1,
    "replogle-to-rpe1-esm2": partial(to_rpe1, "esm2"),
}
