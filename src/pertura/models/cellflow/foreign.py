"""`CellFlow.pkl` of the published package, read without executing anything in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pertura.core.cells import Scale
from pertura.core.errors import BadDataError, MissingError
from pertura.core.perturbation import Condition, Mode, Perturbation
from pertura.core.scope import Scope
from pertura.metrics.projection import Projection
from pertura.models.cellflow.config import Compat
from pertura.models.cellflow.flowing import Flowing
from pertura.models.cellflow.model import CellFlow, Trained
from pertura.models.cellflow.network import CellFlowNetwork
from pertura.models.cellflow.official import load_official
from pertura.models.cellflow.options import GENES, CellFlowOptions
from pertura.models.cellflow.space import Space
from pertura.models.cellflow.vectors import GeneVectors
from pertura.priors.object_pickles import Inert, LackingError, Table, array, entry, listed, mapping, read_objects, words
from pertura.priors.pickles import Items, Named
from pertura.training.record import TrainingRecord

FILE = "CellFlow.pkl"
MOST_DEEP = 16
MOST_VALUES = 20_000
"""Values of the configuration, or parameters: real files have some dozens of each."""
MOST_COLUMNS = 64
SHARED = 4
"""How often over a file may mention its bytes in arrays: gene vectors may share some."""
FIELDS = (
    *("output_dim", "max_combination_length", "condition_mode", "regularization", "condition_embedding_dim"),
    *("covariates_not_pooled", "pooling", "pooling_kwargs", "layers_before_pool", "layers_after_pool"),
    *("cond_output_dropout", "mask_value", "condition_encoder_kwargs", "act_fn", "time_freqs", "time_max_period"),
    *("time_encoder_dims", "time_encoder_dropout", "hidden_dims", "hidden_dropout", "conditioning"),
    *("conditioning_kwargs", "decoder_dims", "decoder_dropout", "genot_source_dims", "genot_source_dropout"),
    *("layer_norm_before_concatenation", "linear_projection_before_concatenation"),
)
"""What the published velocity field is configured by; whatever else is kept with it belongs to its framework."""


@dataclass(frozen=True, eq=False)
class ForeignCellFlow:
    """A published model: its network, and what it needs to be asked.

    `space` has the principal components, None where the file has none. `vectors` are those of the values of the first
    group of `columns`; those of the control are all zero. `trained` lists the sets of values that were trained on, and
    `remarks` what was left out or not found.
    """

    network: CellFlowNetwork
    config: Mapping[str, Any]
    space: Space | None
    group: str
    vectors: Mapping[str, Float[np.ndarray, " width"]]
    trained: tuple[tuple[str, ...], ...]
    cells: int
    deviation: float
    remarks: tuple[str, ...]

    def model(self, *, mode: Mode = Mode.UNSPECIFIED, context: str = "", scale: Scale | None = None) -> CellFlow:
        """Return a `PerturbationModel` with this network, which `save` writes as a folder of ours.

        The file says neither how genes were perturbed, nor in which cells, nor the scale of expression: log-normalised
        is assumed. `BadDataError` where components are missing or conditions have further covariates.
        """
        if self.space is None:
            raise BadDataError("the file has no principal components with gene names", remedy="use its network alone")
        covariates = self.network.config.covariates
        if len(covariates) != 1 or covariates[0].name not in ("", self.group):
            named = ", ".join(one.name for one in covariates)
            raise BadDataError(
                f"conditions are described by {named}, and a model takes genes alone", remedy="use its network alone"
            )
        network = self._renamed()
        found = {name: one for name, one in self.vectors.items() if one.any()}
        table = np.stack([found[name] for name in sorted(found)])
        genes = GeneVectors(tuple(sorted(found)), table, f"{FILE}: {self.group}", (), ())
        options = CellFlowOptions(
            network=network.config,
            deviation=self.deviation,
            match_batches=False,
            context="none",
            equal_length=False,
            residual="none",
            keep_means=False,
        )
        sets = (Perturbation.of(*(name for name in one if name in found), mode=mode) for one in self.trained)
        train = tuple(sorted({Condition(one, context) for one in sets if not one.is_control}))
        flowing = Flowing(network, self.space, genes, None, train, options, "cpu")
        scope = Scope(self.space.genes, frozenset(found), frozenset({mode}), scale or Scale("lognormalised"))
        return CellFlow.holding(options, Trained(flowing, scope, "", TrainingRecord(), self.cells))

    def _renamed(self) -> CellFlowNetwork:
        """Return the network with the group called as in our folders."""
        config = self.network.config
        one = replace(config.covariates[0], name=GENES)
        network = CellFlowNetwork(replace(config, covariates=(one,)))
        network.load_state_dict(self.network.state_dict())
        network.remarks = self.remarks
        return network.eval()


def is_published(path: Path) -> bool:
    """Whether a path is a file of the published package by its name, or a folder that has one."""
    return (path / FILE).is_file() if path.is_dir() else path.is_file() and path.suffix == ".pkl"


def load_foreign(path: Path | str, compat: Compat | None = None) -> ForeignCellFlow:
    """Return the model in a `CellFlow.pkl` or in a folder that has one.

    `compat` is the version to repeat; without it, the one that the configuration belongs to. Neither JAX nor the
    published package is needed, and nothing in the file is executed. `BadDataError` for a file that holds no such
    model, `MissingError` where there is none.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise MissingError(f"no file {path}")
    try:
        return _read(read_objects(path), _Walk(SHARED * path.stat().st_size), compat)
    except BadDataError as error:
        raise BadDataError(error.problem, file=path, place=error.place, remedy=error.remedy) from error


class _Walk:
    """Follows nested values, and takes arrays, as far as a real file goes.

    A few bytes can mention one list or one array a billion times.
    """

    def __init__(self, most_bytes: int) -> None:
        self.values, self.bytes = MOST_VALUES, most_bytes

    def step(self, depth: int) -> None:
        """Count a value at some depth."""
        self.values -= 1
        if depth > MOST_DEEP or self.values < 0:
            raise BadDataError("its values nest too deep or are too many", remedy="it is no file of the package")

    def array(self, value: Any) -> np.ndarray:
        """Return the numbers of a record."""
        found = array(value)
        self.bytes -= found.nbytes
        if self.bytes < 0:
            raise BadDataError("it mentions more numbers than it holds", remedy="it is no file of the package")
        return found


def _read(saved: Any, walk: _Walk, compat: Compat | None) -> ForeignCellFlow:
    solver = entry(saved, "_solver")
    config = _config(entry(solver, "vf"), walk)
    params = _params(entry(entry(solver, "vf_state_inference"), "params"), walk)
    data = entry(saved, "_train_data")
    conditions = {group: walk.array(one) for group, one in mapping(entry(data, "condition_data")).items()}
    version = compat or ("0.0.9" if "time_max_period" in config else "paper")
    widths = {group: int(one.shape[-1]) for group, one in conditions.items()}
    network = load_official(config, params, version, widths=widths)
    manager = entry(saved, "_dm")
    columns = mapping(entry(manager, "_perturbation_covariates"))
    group = next(iter(columns), "")
    sets = _sets(entry(data, "perturbation_idx_to_covariates"), len(listed(columns[group])) if columns else 0)
    space, missing = _space(entry(saved, "_adata"))
    deviation, untold = _deviation(solver)
    vectors = _vectors(saved, manager, group, walk) or _trained_vectors(sets, conditions.get(group))
    return ForeignCellFlow(
        network=network,
        config=config,
        space=space,
        group=group,
        vectors=vectors,
        trained=tuple(sets.values()),
        cells=int((array(entry(data, "perturbation_covariates_mask")) >= 0).sum()),
        deviation=deviation,
        remarks=(*network.remarks, *missing, *untold),
    )


def _config(field: Any, walk: _Walk) -> dict[str, Any]:
    state = _state(field)
    found = {name: _plain(state[name], walk) for name in FIELDS if name in state}
    # a default that was never filled in is kept as the description of a field
    return {name: one for name, one in found.items() if not (isinstance(one, Inert) and one.kind == "Field")}


def _state(record: Any) -> Mapping[str, Any]:
    """Return what would have been put into an object."""
    if isinstance(record, Inert) and isinstance(record.state, Mapping):
        return record.state
    raise LackingError("the network's configuration is not there", remedy="it is of a version that is not known")


def _plain(value: Any, walk: _Walk, depth: int = 0) -> Any:
    """Return numbers, words, lists and dicts as they are; a function by its name; anything else as its record."""
    walk.step(depth)
    if isinstance(value, Items):
        return [_plain(one, walk, depth + 1) for one in listed(value)]
    if isinstance(value, tuple):
        return tuple(_plain(one, walk, depth + 1) for one in value)
    if isinstance(value, Named):
        return value.name
    if isinstance(value, Table):
        return {name: _plain(one, walk, depth + 1) for name, one in value.items()}
    if isinstance(value, Inert):
        return _plain_record(value, walk, depth)
    return value


def _plain_record(value: Inert, walk: _Walk, depth: int) -> Any:
    if isinstance(value.state, Mapping) and type(value.state.get("function_name")) is str:
        return value.state["function_name"]
    if value.kind == "Field":
        return value
    first = value.arguments[0] if isinstance(value.arguments, tuple) and value.arguments else None
    if isinstance(first, Table) or value.pairs:  # a frozen or an ordered dict
        return {name: _plain(one, walk, depth + 1) for name, one in mapping(value).items()}
    return value


def _params(value: Any, walk: _Walk, before: str = "", depth: int = 0) -> dict[str, Float[np.ndarray, "..."]]:
    """Return arrays by path."""
    walk.step(depth)
    found: dict[str, Any] = {}
    for name, one in mapping(value).items():
        try:
            found[f"{before}{name}"] = walk.array(one)
        except LackingError:
            found |= _params(one, walk, f"{before}{name}/", depth + 1)
    return found


def _deviation(solver: Any) -> tuple[float, tuple[str, ...]]:
    """Return the noise of the path, and a remark where the file does not tell it; only a training uses it."""
    try:
        return float(entry(entry(solver, "probability_path"), "sigma")), ()
    except (LackingError, TypeError, ValueError):
        return 0.0, ("the noise of its path is not told: a further training would have none",)


def _sets(value: Any, columns: int) -> dict[int, tuple[str, ...]]:
    """Return the values of each trained condition by its number."""
    if columns > MOST_COLUMNS:
        raise BadDataError(f"{columns} columns of genes", remedy="it is no file of the package")
    pairs = value.others if isinstance(value, Table) else []
    found = ((key, names.values if isinstance(names, Items) else names) for key, names in pairs if type(key) is int)
    return {
        key: tuple(one for one in names[:columns] if type(one) is str)
        for key, names in found
        if isinstance(names, list | tuple)
    }


def _vectors(saved: Any, manager: Any, group: str, walk: _Walk) -> dict[str, Float[np.ndarray, " width"]]:
    """Return the table of vectors that the group was told by; empty where there is none."""
    key = mapping(entry(manager, "_perturbation_covariate_reps")).get(group)
    if type(key) is not str:
        return {}
    table = mapping(entry(entry(entry(saved, "_adata"), "_uns"), key))
    return {name: np.asarray(walk.array(one), dtype=np.float32).reshape(-1) for name, one in table.items()}


def _trained_vectors(
    sets: Mapping[int, tuple[str, ...]], conditions: np.ndarray | None
) -> dict[str, Float[np.ndarray, " width"]]:
    """Return the vectors of values that were trained on, out of the conditions themselves."""
    found: dict[str, Any] = {}
    for number, names in sets.items():
        if conditions is not None and number < len(conditions):
            found |= {name: np.asarray(one, dtype=np.float32) for name, one in zip(names, conditions[number])}
    return found


def _space(data: Any) -> tuple[Space | None, list[str]]:
    """Return the principal components by sorted gene, and a remark where they are not there."""
    try:
        loadings, means = mapping(entry(data, "_varm")), _gene_names(entry(data, "_var"))
        axes = np.asarray(array(entry(loadings, "PCs")), dtype=np.float64)
        centre = np.asarray(array(entry(loadings, "X_mean")), dtype=np.float64).reshape(-1)
    except LackingError as error:
        return None, [f"no principal components: {error.problem}"]
    if axes.ndim != 2 or axes.shape[0] != len(means) or len(centre) != len(means) or len(set(means)) != len(means):
        return None, ["no principal components: their genes and their numbers do not go together"]
    order = np.argsort(np.asarray(means))
    return Space(tuple(means[i] for i in order), Projection(centre[order], axes[order])), []


def _gene_names(frame: Any) -> list[str]:
    """Return the row names of a table of pandas, whatever its version kept them in."""
    manager = entry(frame, "_mgr")
    parts = manager.arguments if isinstance(manager, Inert) and manager.arguments else getattr(manager, "state", ())
    for one in parts if isinstance(parts, tuple) else ():
        if isinstance(one, Items) and len(one.values) == 2:
            return words(entry(one.values[1], "data"))
    raise LackingError("the pickle has no names of genes that can be read", remedy="")
