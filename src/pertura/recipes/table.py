"""The named recipes."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from pertura.comparison.roles import CONTROLS, EXPRESSION, role_of
from pertura.core.errors import UsageError
from pertura.models.networks import SIZES
from pertura.models.table import BASELINES
from pertura.priors.sources import SOURCES
from pertura.recipes.published import PUBLISHED
from pertura.recipes.published_flows import FLOWS
from pertura.recipes.recipe import Recipe
from pertura.recipes.with_prior import SEVERAL, prior_name, prior_path

SEEDS = (1, 2)
"""Of the controls of a prior, unless said otherwise."""
TEXTS = ("ncbi", "ncbi+uniprot", "go-f", "go-c", "go-p", "go-all")
"""The six sources of text whose use scGenePT compares."""


def demo() -> Recipe:
    """All baselines on the bundled K562 activation screen, and the same on a simulated screen of known truth.

    On the measured screen also ridge with each text source and two controls of it: do priors help? And a small flow
    and a small transformer beside them, trained for seconds.
    """
    screen = baselines("norman-500", name="demo", companions=(baselines("simulated-pairs", name="simulated"),))
    asked = tuple(spec for source in TEXTS for spec in asking("ridge", source, seeds=(1,)))
    every = with_models(screen, (*asked, f"ridge+go-all{EXPRESSION}", "cellflow", "scgpt"))
    return replace(every, size="debug", model_options={"scgpt": {"training": {"epochs": 6}}})


def baselines(data: str, *, name: str = "baselines", companions: tuple[Recipe, ...] = ()) -> Recipe:
    """Every baseline on one screen: what any model has to beat."""
    return Recipe(name=name, data=data, models=tuple(BASELINES), companions=companions)


def with_models(recipe: Recipe, models: tuple[str, ...]) -> Recipe:
    """Return the recipe with further models of the user's, judged against its own."""
    return replace(recipe, models=tuple(dict.fromkeys(recipe.models + models)))


def asking(base: str, prior: str, seeds: tuple[int, ...] = SEEDS) -> tuple[str, ...]:
    """Return the models that ask whether a prior helps one: with the prior, and with controls of it of each kind."""
    return (f"{base}+{prior}", *(f"{base}+{prior}~{kind}{seed}" for kind in CONTROLS for seed in seeds))


def with_priors(recipe: Recipe, given: tuple[str, ...]) -> Recipe:
    """Return the recipe with each prior asked of each model that takes one, alone and joined with expression.

    A prior is a bundled source by name, a file, or a file with a name, `NAME=FILE`.
    """
    files = tuple(_absolute(one) for one in given if one not in SOURCES)
    names = dict.fromkeys(one if one in SOURCES else prior_name(one) for one in given)
    bases = [name for name, entry in BASELINES.items() if entry.takes_prior]
    specs = [spec for base in bases for name in names for spec in (*asking(base, name), f"{base}+{name}{EXPRESSION}")]
    companions = tuple(replace(one, priors=files) if _ask_for(one, names) else one for one in recipe.companions)
    asked = replace(with_models(recipe, tuple(specs)), companions=companions)
    return replace(asked, priors=tuple(dict.fromkeys(recipe.priors + files)))


def _ask_for(recipe: Recipe, priors: Collection[str]) -> bool:
    """Whether a model of a recipe has one of these priors."""
    roles = (role_of(one) for one in recipe.models)
    return any(name in priors for role in roles if role is not None for name in role.prior.split(SEVERAL))


def _absolute(given: str) -> str:
    """Return a file with its whole path, and with the name that it was given."""
    path = str(prior_path(given).resolve())
    return path if prior_name(given) == Path(path).stem else f"{prior_name(given)}={path}"


TRAINED: dict[str, Callable[..., Recipe]] = {**PUBLISHED, **FLOWS}
RECIPES: dict[str, Callable[..., Recipe]] = {"demo": demo, **TRAINED}
"""Name -> recipe; those of networks take `size`, `full` or `debug`."""


def named_recipe(name: str, size: str = "") -> Recipe:
    """Return a named recipe in a size, its own where none is asked for; one without sizes refuses another."""
    if name in TRAINED:
        if size not in ("", *SIZES):
            raise UsageError(f"no size {size!r}; there are {' and '.join(SIZES)}")
        return TRAINED[name](size=size or "full")
    if size:
        raise UsageError(f"{name} has no sizes: it trains no network")
    return RECIPES[name]()
