"""The named recipes."""

from collections.abc import Callable
from dataclasses import replace

from pertura.models.table import MODELS
from pertura.recipes.recipe import Recipe


def demo() -> Recipe:
    """All baselines on the bundled K562 activation screen, and the same on a simulated screen of known truth."""
    return baselines("norman-500", name="demo", companions=(baselines("simulated-pairs", name="simulated"),))


def baselines(data: str, *, name: str = "baselines", companions: tuple[Recipe, ...] = ()) -> Recipe:
    """Every baseline on one screen: what any model has to beat."""
    return Recipe(name=name, data=data, models=tuple(MODELS), companions=companions)


def with_models(recipe: Recipe, models: tuple[str, ...]) -> Recipe:
    """Return the recipe with further models of the user's, judged against its own."""
    added = tuple(one for one in models if one not in recipe.models)
    return replace(recipe, models=recipe.models + added)


RECIPES: dict[str, Callable[[], Recipe]] = {"demo": demo}
