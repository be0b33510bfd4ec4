"""What training the networks of a recipe would take: numbers, memory, updates."""

from dataclasses import dataclass, replace
from pathlib import Path

from pertura.comparison.roles import role_of
from pertura.core.cells import Cells
from pertura.core.errors import PerturaError
from pertura.core.split import Split
from pertura.models.networks import Extent
from pertura.recipes.recipe import Recipe
from pertura.recipes.sources import network_of
from pertura.recipes.with_prior import DIM, SEVERAL, prior_name, prior_path

GENES_OF_A_PRIOR = 18_000


@dataclass(frozen=True, slots=True)
class PlannedNetwork:
    """What a network would take; `lacking` says what is not there to begin from, empty where all is."""

    told: str
    memory: float
    lacking: str


def planned_networks(recipe: Recipe, cells: Cells, split: Split) -> list[PlannedNetwork]:
    """Return the networks of a recipe in its order."""
    there = [len(cells.rows_of(one)) for one in sorted(split.train)]
    extent = Extent(len(cells.genes), sum(there), len(there))
    return [_planned(recipe, spec, extent) for spec in recipe.models if network_of(spec) is not None]


def _planned(recipe: Recipe, spec: str, extent: Extent) -> PlannedNetwork:
    network = network_of(spec)
    assert network is not None
    options = network.chosen(recipe.size, recipe.changes_of(spec), spec)
    width = _width(recipe, spec)
    prior_genes = GENES_OF_A_PRIOR if width else 0
    found = network.footprint(options, replace(extent, prior_width=width, prior_genes=prior_genes))
    training, times = options.training, f" x {recipe.seeds} seeds" if recipe.seeds > 1 else ""
    told = (
        f"{spec}: {_numbers(found.parameters)}, at most {training.epochs} epochs of {found.updates:,} "
        f"updates of {training.batch} {found.unit}{times}, {training.precision} on {training.device}, about "
        f"{max(found.training_bytes / 2**30, 0.1):.1f} GiB"
    )
    try:
        network.check(options)
    except PerturaError as error:
        return PlannedNetwork(told, found.training_bytes, f"{spec}: {error}")
    return PlannedNetwork(told, found.training_bytes, "")


def _numbers(count: int) -> str:
    return f"{count / 1e6:,.1f} million numbers" if count >= 1e6 else f"{count:,} numbers"


def _width(recipe: Recipe, spec: str) -> int:
    """Return how wide the priors of a network are together; 0 without one."""
    role = role_of(spec)
    if role is None:
        return 0
    files = {prior_name(one): prior_path(one) for one in recipe.priors}
    return sum(_file_width(files[name]) if name in files else DIM for name in role.prior.split(SEVERAL))


def _file_width(path: Path) -> int:
    from pertura.priors.opening import open_prior

    return int(open_prior(path).table.shape[1])
