"""What a recipe names, turned into objects: cells, split, models."""

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from pertura.comparison.roles import role_of
from pertura.core.cells import Cells
from pertura.core.errors import UsageError
from pertura.core.model import PerturbationModel
from pertura.core.split import Outline, Split
from pertura.data.datasets import DATASETS
from pertura.data.datasets.named import cells_named, is_name, located
from pertura.data.manifest import read_manifest
from pertura.data.splits import SPLITS
from pertura.data.splits.audit import audit
from pertura.data.splits.files import read_split
from pertura.data.stores import digest
from pertura.evaluation.presets import chosen
from pertura.models.networks import NetworkEntry
from pertura.models.table import MODELS
from pertura.prediction.emit import EMITTERS
from pertura.recipes.own import own_model
from pertura.recipes.recipe import Recipe
from pertura.recipes.rules import check_options
from pertura.recipes.with_prior import Configured, PriorShelf, with_prior


def cells_of(data: str, seed: int = 0) -> Cells:
    """Return the cells of a bundled or published data set, an `.h5ad`, a `.zarr` or a `dataset.toml`."""
    return cells_named(data, seed)


def data_fingerprint(data: str) -> str:
    """Return what tells one state of the data from another: the file's sha256, or the name of what is bundled."""
    if data in DATASETS:
        return f"bundled {data}"
    path = located(data)
    if path.suffix == ".toml" and is_name(data):
        return read_manifest(path).file.sha256  # where the file lies is no matter of the data
    # a dataset.toml holds the sha256 of its file, which is verified when the cells are opened
    return digest(path)


def split_of(recipe: Recipe, cells: Cells) -> Split:
    """Return the audited split of a recipe, made by its rule or read from its file."""
    if recipe.split:
        split = read_split(Path(recipe.split))
    else:
        check_options(recipe.rule, recipe.options)
        split = SPLITS[recipe.rule](Outline.of(cells), seed=recipe.seed, **recipe.options)
    audit(split, cells)
    return split


def models_of(recipe: Recipe, trusted: Collection[str]) -> dict[str, PerturbationModel]:
    """Return the unfitted models of a recipe by name.

    What only a mistake in writing can break is refused here, before anything is read or computed.
    """
    names = [model_name(one) for one in recipe.models]
    lowered = [one.casefold() for one in names]  # some file systems do not tell A from a
    twice = sorted({one for one in names if lowered.count(one.casefold()) > 1})
    if twice:
        raise UsageError(f"two models would share the folder {', '.join(twice)}; call one of them otherwise")
    if len(names) < 2:
        raise UsageError(f"recipe {recipe.name} has {len(names)} models; no score stands alone, name two or more")
    if recipe.emitter not in EMITTERS:
        raise UsageError(f"no emitter {recipe.emitter!r}; there are {', '.join(EMITTERS)}")
    chosen(recipe.preset)
    if not recipe.split:
        check_options(recipe.rule, recipe.options)
    check_model_options(recipe)
    shelf = PriorShelf(recipe.priors)
    return {name: model_of(spec, trusted, shelf, recipe) for name, spec in zip(names, recipe.models)}


def model_of(
    spec: str, trusted: Collection[str], shelf: PriorShelf | None = None, recipe: Recipe | None = None
) -> PerturbationModel:
    """Return an unfitted model: a row of `MODELS`, alone or with a prior, or the user's class `package.module:Class`.

    `recipe` says the size and the options of networks. Code of the user's runs only where `trusted` names it: a recipe
    file alone must never run code.
    """
    how = Configured() if recipe is None else Configured(recipe.size, recipe.changes_of(spec))
    if spec in MODELS:
        return MODELS[spec].configured(size=how.size, changes=how.changes)
    if ":" not in spec:
        found = with_prior(spec, shelf or PriorShelf(()), how)
        if found is not None:
            return found
        raise UsageError(f"no model {spec!r}; there are {', '.join(MODELS)}, or name yours package.module:Class")
    if spec not in trusted:
        raise UsageError(f"this recipe names code, {spec}, which no file may start; give it yourself: --model {spec}")
    return own_model(spec)


def network_of(spec: str) -> NetworkEntry | None:
    """Return what the table says of a network, with a prior or without; None of any other model."""
    role = role_of(spec)
    base = spec if role is None else role.base
    return MODELS[base].network if base in MODELS else None


def check_model_options(recipe: Recipe) -> None:
    """Raise `UsageError` for options of a model that is not run, or that it does not have."""
    bases = {one.partition("+")[0] for one in recipe.models}
    for name in recipe.model_options:
        if name not in bases and name not in recipe.models:
            known = sorted(one for one in {*bases, *recipe.models} if network_of(one) is not None)
            close = get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]}?" if close else f"networks of this recipe: {', '.join(known) or 'none'}"
            raise UsageError(f"model_options: no model {name}; {meant}")
    for spec in recipe.models:
        network = network_of(spec)
        if network is not None:
            network.chosen(recipe.size, recipe.changes_of(spec), spec)
        elif recipe.changes_of(spec):
            raise UsageError(f"{spec} has no options, so {', '.join(recipe.changes_of(spec))} cannot be set")
        if network is not None and network.needs_prior and role_of(spec) is None:
            raise UsageError(f"{spec} knows genes by a prior alone: name one, {spec}+PRIOR")


def check_networks(recipe: Recipe) -> None:
    """Raise where a network cannot begin: its published weights are not there, or the device is not."""
    for spec in recipe.models:
        network = network_of(spec)
        if network is not None:
            network.check(network.chosen(recipe.size, recipe.changes_of(spec), spec))


def model_name(spec: str) -> str:
    """Return the short name under which a model's results are kept."""
    return spec.rpartition(":")[2]
