"""The named recipes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pertura.comparison.roles import CONTROLS, EXPRESSION
from pertura.models.table import MODELS
from pertura.priors.sources import SOURCES
from pertura.recipes.recipe import Recipe

SEEDS = (1, 2)
"""Of the controls of a prior, unless said otherwise."""
TEXTS = ("ncbi", "ncbi+uniprot", "go-f", "go-c", "go-p", "go-all")
"""The six sources of text whose use scGenePT compares."""


def demo() -> Recipe:
    """All baselines on the bundled K562 activation screen, and the same on a simulated screen of known truth.

    On the measured screen also ridge with each text source and two controls of it: do priors help?
    """
    screen = baselines("norman-500", name="demo", companions=(baselines("simulated-pairs", name="simulated"),))
    asked = tuple(spec for source in TEXTS for spec in asking("ridge", source, seeds=(1,)))
    return with_models(screen, (*asked, f"ridge+go-all{EXPRESSION}"))


def baselines(data: str, *, name: str = "baselines", companions: tuple[Recipe, ...] = ()) -> Recipe:
    """Every baseline on one screen: what any model has to beat."""
    return Recipe(name=name, data=data, models=tuple(MODELS), companions=companions)


def with_models(recipe: Recipe, models: tuple[str, ...]) -> Recipe:
    """Return the recipe with further models of the user's, judged against its own."""
    return replace(recipe, models=tuple(dict.fromkeys(recipe.models + models)))


def asking(base: str, prior: str, seeds: tuple[int, ...] = SEEDS) -> tuple[str, ...]:
    """Return the models that ask whether a prior helps one: with the prior, and with controls of it of each kind."""
    return (f"{base}+{prior}", *(f"{base}+{prior}~{kind}{seed}" for kind in CONTROLS for seed in seeds))


def with_priors(recipe: Recipe, given: tuple[str, ...]) -> Recipe:
    """Return the recipe with each prior asked of each model that takes one, alone and joined with expression.

    A prior is a bundled source by name, or a file.
    """
    files = tuple(str(Path(one).resolve()) for one in given if one not in SOURCES)
    names = dict.fromkeys(one if one in SOURCES else Path(one).stem for one in given)
    bases = [name for name, entry in MODELS.items() if entry.takes_prior]
    specs = [spec for base in bases for name in names for spec in (*asking(base, name), f"{base}+{name}{EXPRESSION}")]
    return replace(with_models(recipe, tuple(specs)), priors=tuple(dict.fromkeys(recipe.priors + files)))


RECIPES: dict[str, Callable[[], Recipe]] = {"demo": demo}
