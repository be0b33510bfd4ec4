"""The models of finished runs: which of them a screen asks, loaded or fitted again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pertura.comparison.roles import Role, role_of
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
from pertura.recipes.attempt import REPEATS
from pertura.recipes.recipe import FILE, Recipe, read_recipe
from pertura.recipes.sources import cells_of, model_name, network_of
from pertura.recipes.with_prior import SEVERAL, PriorShelf
from pertura.screening.deltas import predicted_deltas

CHECKED = 3
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Member:
    """A model of a screen. `fresh` returns it unfitted, where it can be fitted again in a moment; else None.

    `prior` is the prior of a model that has one, the first of several.
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

        Trained networks, with priors and without, if there are any; else ridge regression on each prior; else ridge
        regression on the training PCA. What was given a control of a prior is never chosen.
        """
        specs = {name: self._spec(name) for name in self.names}
        roles = {one: role_of(spec) for one, spec in specs.items()}
        controls = {one for one, role in roles.items() if role is not None and role.control}
        trained = [one for one, spec in specs.items() if one not in controls and not _is_baseline(spec)]
        known = [
            one
            for one, role in roles.items()
            if role is not None and role.base == "ridge" and one not in controls and not role.with_expression
        ]
        found = trained or known or [one for one in self.names if one in ("ridge", "linear")][:1] or self.names[:1]
        if not found:
            raise MissingError(f"{self.folder} holds no fitted model; finish the run first")
        return tuple(found)

    def members(self, name: str) -> tuple[Member, ...]:
        """Return a model of the run, able to answer for every gene that its prior knows; a network with all its seeds.

        A run cuts the priors of baselines to the genes of its screen: such a model is fitted again, in a moment, with
        the whole prior, and must then agree with the one that was saved. Networks are taken as they were trained.
        """
        if name not in self.names:
            raise UsageError(f"{self.folder} has no fitted model {name!r}; there are: {', '.join(self.names)}")
        spec = self._spec(name)
        if ":" in spec:
            raise UsageError(f"{name} is code of yours, which no folder may start; screen with it from Python")
        home, role = self.folder / "models" / name, role_of(spec)
        saved = load_model(home / "model")
        if network_of(spec) is not None:
            prior = None if role is None else self._prior_beside(role)
            seeds = sorted((int(one.parent.name), one) for one in (home / REPEATS).glob("[0-9]*/model"))
            further = [Member(f"{name} seed {seed}", load_model(one), None, prior) for seed, one in seeds]
            return (Member(name, saved, None, prior), *further)
        if role is None:
            return (Member(name, saved, _builder(spec) if _is_baseline(spec) else None),)
        return (self._with_whole_prior(saved, role),)

    def _with_whole_prior(self, saved: PerturbationModel, role: Role) -> Member:
        prior, entry = self._prior(role), MODELS[role.base]

        def with_prior() -> PerturbationModel:
            joined = entry.build_with_expression
            return joined(prior) if role.with_expression and joined is not None else entry.build(prior)

        model = with_prior()
        model.fit(self.cells, self.split, seed=self.recipe.seed)
        self._agree(saved, model, role.name)
        return Member(role.name, model, with_prior, prior)

    def _prior(self, role: Role) -> GenePrior:
        genes = {*human_vocab().genes, *self.cells.genes, *(one for c in self.cells.perturbed for one in c.genes)}
        return PriorShelf(self.recipe.priors).prior(role, genes)

    def _prior_beside(self, role: Role) -> GenePrior | None:
        """The (first) prior of a network, for the linear model beside it; None where its file is gone."""
        try:
            return self._prior(replace(role, prior=role.prior.split(SEVERAL)[0]))
        except MissingError:
            return None

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


def _is_baseline(spec: str) -> bool:
    role = role_of(spec)
    base = spec if role is None else role.base
    return base in MODELS and MODELS[base].family == "baseline"


def _builder(spec: str) -> Callable[[], PerturbationModel]:
    return lambda: MODELS[spec].build(None)
