"""The models of finished runs: which of them a screen asks, loaded or fitted again."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pertura.comparison.roles import role_of
from pertura.core.cells import Cells
from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.core.model import PerturbationModel
from pertura.core.split import Split
from pertura.data.splits.audit import audit
from pertura.data.splits.files import read_split
from pertura.genes.vocab import human_vocab
from pertura.models.table import MODELS, load_model
from pertura.prediction.predict import Matching
from pertura.priors.prior import GenePrior
from pertura.recipes.recipe import FILE, Recipe, read_recipe
from pertura.recipes.sources import cells_of, model_name
from pertura.recipes.with_prior import PriorShelf
from pertura.screening.deltas import predicted_deltas

CHECKED = 3
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Member:
    """A model of a screen. `fresh` returns it unfitted, where it can be fitted again in a moment; else None.

    `prior` is the prior of a model that has one.
    """

    name: str
    model: PerturbationModel
    fresh: Callable[[], PerturbationModel] | None
    prior: GenePrior | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: its record, its split, its cells when they are asked for, and the names of its models."""

    folder: Path
    recipe: Recipe
    split: Split

    @cached_property
    def cells(self) -> Cells:
        """The cells of the run; `MissingError` where the data are no longer there."""
        cells = cells_of(self.recipe.data, self.recipe.seed)
        audit(self.split, cells)
        return cells

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The fitted models, in the order of the recipe."""
        listed = [model_name(one) for one in self.recipe.models]
        return tuple(one for one in listed if (self.folder / "models" / one / "model").is_dir())

    def chosen(self) -> tuple[str, ...]:
        """Return the models that are asked where none is named.

        Trained networks, if there are any; else ridge regression on each prior (controls of priors apart); else ridge
        regression on the training PCA.
        """
        specs = {name: self._spec(name) for name in self.names}
        trained = [one for one, spec in specs.items() if role_of(spec) is None and _family(spec) != "baseline"]
        roles = {one: role_of(spec) for one, spec in specs.items()}
        known = [
            one
            for one, role in roles.items()
            if role is not None and role.base == "ridge" and not role.control and not role.with_expression
        ]
        found = trained or known or [one for one in self.names if one in ("ridge", "linear")][:1] or self.names[:1]
        if not found:
            raise MissingError(f"{self.folder} holds no fitted model; finish the run first")
        return tuple(found)

    def member(self, name: str) -> Member:
        """Return a model of the run, able to answer for every gene that its prior knows.

        A run cuts priors to the genes of its screen: such a model is fitted again, in a moment, with the whole prior,
        and must then agree with the one that was saved.
        """
        if name not in self.names:
            raise UsageError(f"{self.folder} has no fitted model {name!r}; there are: {', '.join(self.names)}")
        spec = self._spec(name)
        if ":" in spec:
            raise UsageError(f"{name} is code of yours, which no folder may start; screen with it from Python")
        saved = load_model(self.folder / "models" / name / "model")
        role = role_of(spec)
        if role is None:
            fresh = _builder(spec) if _family(spec) == "baseline" else None
            return Member(name, saved, fresh)
        genes = {*human_vocab().genes, *self.cells.genes, *(one for c in self.cells.perturbed for one in c.genes)}
        prior = PriorShelf(self.recipe.priors).prior(role, genes)
        entry = MODELS[role.base]

        def with_prior() -> PerturbationModel:
            joined = entry.build_with_expression
            return joined(prior) if role.with_expression and joined is not None else entry.build(prior)

        model = with_prior()
        model.fit(self.cells, self.split, seed=self.recipe.seed)
        self._agree(saved, model, name)
        return Member(name, model, with_prior, prior)

    def _agree(self, saved: PerturbationModel, again: PerturbationModel, name: str) -> None:
        context = self.cells.contexts[0]
        controls = Matching.of(self.cells, self.split, context).controls
        asked = [one for one in sorted(self.split.test | self.split.train) if one.context == context][:CHECKED]
        if not asked:
            return
        first, second = (predicted_deltas(one, controls, asked, seed=0).values for one in (saved, again))
        if not np.allclose(first, second, rtol=TOLERANCE, atol=TOLERANCE * max(float(np.abs(first).max()), 1e-9)):
            raise BadDataError(
                f"{name}, fitted again on {self.recipe.data}, does not answer as the model that was saved",
                file=self.folder,
                remedy="the data or the prior changed since: run it again",
            )

    def _spec(self, name: str) -> str:
        return next(one for one in self.recipe.models if model_name(one) == name)


def open_runs(asked: tuple[str, ...]) -> list[tuple[Run, tuple[str, ...]]]:
    """Return the runs that `FOLDER` or `FOLDER:MODEL` name, each with the models wanted of it."""
    opened: dict[Path, Run] = {}
    wanted: dict[Path, dict[str, None]] = {}
    for text in asked:
        folder, name = _place(text)
        run = opened.setdefault(folder, _open(folder)) if folder not in opened else opened[folder]
        wanted.setdefault(folder, {}).update(dict.fromkeys([name] if name else run.chosen()))
    return [(run, tuple(wanted[folder])) for folder, run in opened.items()]


def _place(text: str) -> tuple[Path, str]:
    path = Path(text)
    if path.is_dir():
        if path.parent.name == "models" and (path.parent.parent / FILE).is_file():
            return path.parent.parent.resolve(), path.name
        return path.resolve(), ""
    folder, mark, name = text.rpartition(":")
    if not mark or not Path(folder).is_dir():
        raise MissingError(f"no run at {text}; give a folder that `pertura run` wrote, or FOLDER:MODEL")
    return Path(folder).resolve(), name


def _open(folder: Path) -> Run:
    if not (folder / FILE).is_file():
        raise MissingError(f"{folder} is no folder of `pertura run`: {FILE} is not there")
    return Run(folder, read_recipe(folder / FILE), read_split(folder / "split.json"))


def _family(spec: str) -> str:
    return MODELS[spec].family if spec in MODELS else ""


def _builder(spec: str) -> Callable[[], PerturbationModel]:
    return lambda: MODELS[spec].build(None)
