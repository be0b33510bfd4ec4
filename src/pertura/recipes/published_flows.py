"""Recipes of the published CellFlow models of Norman's screen, and of CellFlow beside scGPT on one split.

`full` needs the user's copy of the screen (`pertura data add norman FILE`) and ESM2's vectors of its genes; `debug` is
the same on bundled data with networks of seconds, and a simulated screen beside it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pertura.models.table import BASELINES
from pertura.recipes.published import FINE_TUNING, STAND_IN, Size
from pertura.recipes.recipe import Recipe

CARD_SEED, PAPER_SEEDS = 42, (1, 2, 3, 4, 5)
HELD_OUT_CONTROLS = 500
"""Of the paper: control cells that no training sees, here the ones that observed changes are taken from."""
ON_ANY_DEVICE: dict[str, Any] = {"training": {"device": "auto"}}
OF_PAPER: dict[str, Any] = {**ON_ANY_DEVICE, "network": {"time_period": "none", "compat": "paper"}}
"""The code of time and the masks of the version that the paper used."""


def card(size: Size = "full") -> Recipe:
    """Return the model of the published card: ESM2 of 8 million weights, the split of seed 42."""
    if size == "debug":
        return _small("norman-cellflow", (f"cellflow+{STAND_IN}", "cellflow", f"cellflow+{STAND_IN}~permuted1"))
    return _flow("norman-cellflow", "cellflow+esm2-8m", CARD_SEED, ON_ANY_DEVICE)


def paper(size: Size = "full") -> Recipe:
    """Return the models of the paper: ESM2 of 3 billion weights, the splits of seeds 1 to 5, each in a folder."""
    if size == "debug":
        return _small("norman-cellflow-paper", (f"cellflow+{STAND_IN}", "cellflow"), OF_PAPER)
    first, *others = (
        replace(
            _flow(f"seed-{seed}", "cellflow+esm2-3b", seed, OF_PAPER), options={"judge_controls": HELD_OUT_CONTROLS}
        )
        for seed in PAPER_SEEDS
    )
    return replace(first, name="norman-cellflow-paper", companions=tuple(others))


def beside_scgpt(size: Size = "full") -> Recipe:
    """Return CellFlow and scGPT on one split, each as it was published."""
    if size == "debug":
        return _small("norman-scgpt-vs-cellflow", ("scgpt", "cellflow"))
    options = {"scgpt": FINE_TUNING, "cellflow": ON_ANY_DEVICE}
    made = _flow("norman-scgpt-vs-cellflow", "cellflow+esm2-8m", CARD_SEED, ON_ANY_DEVICE)
    return replace(made, models=(*BASELINES, "scgpt", "cellflow+esm2-8m"), model_options=options)


def _flow(name: str, model: str, seed: int, options: dict[str, Any]) -> Recipe:
    return Recipe(name=name, data="norman", models=(*BASELINES, model), seed=seed, model_options={"cellflow": options})


def _small(name: str, models: tuple[str, ...], options: dict[str, Any] | None = None) -> Recipe:
    """Return models on the bundled screen, and the last of them where the truth is known."""
    told = {} if options is None else {"cellflow": options}
    make = partial(Recipe, seed=1, size="debug", model_options=told)
    simulated = make(name="simulated", data="simulated-pairs", models=(*BASELINES, "cellflow"))
    return make(name=name, data="norman-500", models=(*BASELINES, *models), companions=(simulated,))


FLOWS: dict[str, Callable[..., Recipe]] = {
    "norman-cellflow": card,
    "norman-cellflow-paper": paper,
    "norman-scgpt-vs-cellflow": beside_scgpt,
}
