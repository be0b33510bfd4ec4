"""What `--model` names: a fitted model of a run, a folder of one, or a published checkpoint."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pertura.comparison.roles import is_control
from pertura.core.cells import Scale
from pertura.core.errors import BadDataError, MissingError, PerturaError, UsageError
from pertura.core.model import PerturbationModel
from pertura.core.perturbation import Mode
from pertura.core.scope import Scope
from pertura.core.split import Split
from pertura.data.splits.files import read_split
from pertura.models import storage
from pertura.models.cellflow.foreign import is_published
from pertura.models.scgpt.checkpoint import ForeignCheckpoint
from pertura.models.scgpt.foreign import load_foreign
from pertura.models.scgpt.foreign_model import PUBLISHED_SCALE, ForeignPerturbation
from pertura.models.table import load_model
from pertura.prediction.training_facts import (
    FILE,
    TrainingFacts,
    read_training_facts,
    training_facts,
    write_training_facts,
)
from pertura.recipes.figure_files import near, open_drawable
from pertura.recipes.recipe import FILE as RECIPE
from pertura.recipes.recipe import read_recipe
from pertura.recipes.sources import cells_of

LINEAR = ("linear", "ridge")
"""The linear baselines, the plainer first, and after them ridge with a prior: the first that can represent a condition
answers beside a model."""
Member = PerturbationModel | ForeignCheckpoint


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model that can be asked: one member, or one for each seed it was trained with; and the run it came from."""

    name: str
    members: tuple[Member, ...]
    run: Path | None = None
    note: str = ""

    @property
    def is_foreign(self) -> bool:
        """Whether it is a published checkpoint, which says neither panel, scale nor mode."""
        return isinstance(self.members[0], ForeignCheckpoint)

    @property
    def scope(self) -> Scope | None:
        """What it may be asked, where it says so."""
        found = getattr(self.members[0], "scope", None)
        return found if isinstance(found, Scope) else None

    @property
    def scale(self) -> Scale | None:
        """The scale it takes."""
        if self.is_foreign:
            return PUBLISHED_SCALE
        return None if self.scope is None else self.scope.scale

    def asked(self, genes: Sequence[str], modes: frozenset[Mode], device: str) -> list[PerturbationModel]:
        """Return the members, ready to be asked; a published one on these genes."""
        return [
            ForeignPerturbation(one, genes, modes, device=device) if isinstance(one, ForeignCheckpoint) else one
            for one in self.members
        ]


def opened_model(spec: str | Path | Member | Sequence[Member], *, name: str = "") -> OpenedModel:
    """Return the model that a path, a hub name, or a model itself stands for.

    A path is a run folder (its leading model, or `RUN/models/NAME` for another), a folder that `save` wrote, a
    published folder, or one that `pertura convert` made. A model of a run that was trained with several seeds has a
    member for each.
    """
    if isinstance(spec, str | Path):
        return _of_path(Path(spec), str(spec))
    members: tuple[Member, ...] = (spec,) if isinstance(spec, ForeignCheckpoint | PerturbationModel) else tuple(spec)
    return OpenedModel(name or str(getattr(members[0], "name", "model")), members)


def linear_baselines(model: OpenedModel) -> list[OpenedModel]:
    """Return the linear baselines of the run a model came from, but for the model itself."""
    if model.run is None:
        return []
    there = sorted(one.parent.name for one in model.run.glob("models/*/model"))
    with_priors = [name for name in there if name.startswith("ridge+") and not is_control(name)]
    names = [name for name in (*LINEAR, *with_priors) if name in there and name != model.name]
    return [_of_run(model.run, name) for name in names]


def facts_of(model: OpenedModel) -> TrainingFacts | None:
    """Return what the run of a model learnt from; made from its data once, and kept in the run folder.

    None where it is not known: no run, or data that are no longer where they were.
    """
    if model.run is None:
        return None
    split = split_of_run(model.run)
    found = read_training_facts(model.run)
    if found is not None and _same_train(found, split):
        return found
    try:
        recipe = read_recipe(model.run / RECIPE)
        made = training_facts(cells_of(recipe.data, recipe.seed), split)
    except (PerturaError, OSError):
        return None
    with suppress(OSError):  # a run folder that may not be written to is as good a source
        write_training_facts(made, model.run)
    return made


def split_of_run(run: Path) -> Split:
    """Return the split of a run."""
    if not (run / "split.json").is_file():
        raise MissingError(f"{run} holds no split.json: it is no finished run")
    return read_split(run / "split.json")


def _same_train(facts: TrainingFacts, split: Split) -> bool:
    return bool(facts.train) and facts.train <= split.train


def _of_path(path: Path, text: str) -> OpenedModel:
    for folder in (path, path / "model"):
        if (folder / storage.HEADER_FILE).is_file() and not _is_published(folder):
            return _of_folder(folder, path)
    if (path / RECIPE).is_file() or (path / "models").is_dir():
        return _of_run(path, "")
    if path.name == RECIPE and path.is_file():
        return _of_run(path.parent, "")
    if is_published(path):
        raise UsageError(
            f"{path} is a published CellFlow, which says neither how genes were perturbed nor in which cells; "
            f"tell it once: pertura convert {path} -o MODEL --mode activation --context K562"
        )
    checkpoint = load_foreign(text)
    return OpenedModel(path.name if path.exists() else text, (checkpoint,))


def _is_published(folder: Path) -> bool:
    from pertura.models.scgpt.own_checkpoint import is_own_checkpoint

    return is_own_checkpoint(folder)


def _of_folder(folder: Path, given: Path) -> OpenedModel:
    """Return the model that was saved in a folder; of a run, with its further seeds."""
    home = folder.parent
    run = home.parents[1] if folder.name == "model" and home.parent.name == "models" else None
    if run is not None and (run / RECIPE).is_file():
        return _of_run(run, home.name)
    model = load_model(folder)
    return OpenedModel(given.name, (model,))


def _of_run(run: Path, wanted: str) -> OpenedModel:
    """Return a model of a run with all its seeds; without a name the one that heads the comparison."""
    homes = {one.parents[1].name: one.parents[1] for one in sorted(run.glob(f"models/*/model/{storage.HEADER_FILE}"))}
    if not homes:
        raise MissingError(f"{run} holds no fitted model; finish it with `pertura run {run / RECIPE}`")
    note = ""
    if not wanted:
        leading = open_drawable(run).models((), 1)[0]
        wanted = leading if leading in homes else next(iter(homes))
        others = [one for one in homes if one != wanted]
        if others:
            note = f"{wanted} is asked, which heads the comparison of {run}; others: --model {run}/models/NAME, NAME "
            note += f"one of {', '.join(others)}"
    home = homes[near(wanted, homes, "model", run)]
    folders = [home / "model", *sorted(home.glob("seeds/*/model"), key=lambda one: int(one.parent.name))]
    try:
        members = tuple(load_model(one) for one in folders)
    except BadDataError as error:
        if ":" in _spec_of(run, wanted):
            raise UsageError(
                f"{wanted} is code of yours: give the fitted model to pertura.predict in Python"
            ) from error
        raise
    return OpenedModel(wanted, members, run, note)


def _spec_of(run: Path, name: str) -> str:
    """Return how the recipe of a run spells a model."""
    try:
        models = read_recipe(run / RECIPE).models
    except PerturaError:
        return name
    return next((one for one in models if one.rpartition(":")[2] == name), name)


__all__ = ["FILE", "OpenedModel", "facts_of", "linear_baselines", "opened_model", "split_of_run"]
