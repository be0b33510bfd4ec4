"""A model of a run with one seed: how it is fitted, where that is kept, and what it learnt."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from pertura.core.cells import Cells
from pertura.core.errors import UsageError
from pertura.core.model import PerturbationModel
from pertura.core.split import Split
from pertura.models.networks import TrainedModel
from pertura.models.table import MODELS
from pertura.recipes.narration import Narrator
from pertura.recipes.own import OwnModel
from pertura.recipes.recipe import Recipe
from pertura.recipes.sources import models_of, network_of
from pertura.recipes.taught import Taught, read_taught, write_fitted, write_learnt
from pertura.recipes.watching import watched
from pertura.recipes.with_prior import WithPrior

REPEATS = "seeds"
"""The folder of a model's further seeds, each in a folder called after it."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """A model, the seed it is fitted with, and the folder of what it leaves; `repeat` marks a further seed."""

    name: str
    seed: int
    home: Path
    model: PerturbationModel
    repeat: bool = False

    @property
    def title(self) -> str:
        """What its steps are called."""
        return f"{self.name} seed {self.seed}" if self.repeat else self.name

    @property
    def is_network(self) -> bool:
        """Whether it is trained step by step."""
        return network_of(self.name) is not None

    @property
    def loader(self) -> Callable[[Path], PerturbationModel] | None:
        """What reads the saved model; None for a model of the user's that cannot be kept."""
        model = self.model
        if isinstance(model, WithPrior):
            return MODELS[model.role.base].load
        if not isinstance(model, OwnModel):
            return MODELS[self.name].load
        return model.revived if model.can_be_kept else None


def repeats_of(recipe: Recipe, trusted: Collection[str], folder: Path) -> list[Attempt]:
    """Return the networks of a recipe once more for each further seed, unfitted."""
    if recipe.seeds == 1:
        return []
    if not any(network_of(one) for one in recipe.models):
        raise UsageError("--seeds repeats the training of networks, and there is none among the models")
    further = range(recipe.seed + 1, recipe.seed + recipe.seeds)
    made = [(seed, name, model) for seed in further for name, model in models_of(recipe, trusted).items()]
    return [
        Attempt(name, seed, folder / "models" / name / REPEATS / str(seed), model, repeat=True)
        for seed, name, model in made
        if network_of(name) is not None
    ]


def fit(attempt: Attempt, visible: Cells, split: Split, narrator: Narrator) -> Taught:
    """Fit the model and write what it learnt from; a training that was cut goes on."""
    model, started = attempt.model, time.perf_counter()
    if not attempt.is_network:
        model.fit(visible, split, seed=attempt.seed)
        return write_fitted(attempt.home, visible, time.perf_counter() - started)
    assert isinstance(model, TrainedModel)
    with watched(model, attempt.home, narrator, f"training {attempt.title}"):
        model.fit(visible, split, seed=attempt.seed)
    return write_learnt(attempt.home, model.learnt())


def taught_of(attempt: Attempt, fitted: PerturbationModel) -> Taught:
    """Return what a fitted model learnt from, as its files and, of a network, the model itself say."""
    learnt = fitted.learnt() if attempt.is_network and isinstance(fitted, TrainedModel) else None
    return read_taught(attempt.home, learnt)
