"""Stand-ins for the files of the published package: the same structure, made of empty classes of the same names."""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

CLASSES = {
    "cellflow.model._cellflow": ("CellFlow",),
    "cellflow.solvers._otfm": ("OTFlowMatching",),
    "cellflow.networks._velocity_field": ("ConditionalVelocityField",),
    "cellflow.data._data": ("TrainingData",),
    "cellflow.data._datamanager": ("DataManager",),
    "cellflow._compat": ("ConstantNoiseFlow",),
    "anndata_of_then._core.anndata": ("AnnData",),
    "flax.training.train_state": ("TrainState",),
    "flax.core.frozen_dict": ("FrozenDict",),
    "jaxlib._jax": ("PjitFunction",),
    "dataclasses_of_then": ("Field",),
}


def _reconstruct_array(make: Any, arguments: Any, state: Any, about: Any) -> None:
    """Stand for the function of jax; it is named in a pickle and never called."""


class JaxArray:
    """Pickled as arrays of jax are."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments, state = self.values.__reduce__()
        return sys.modules["jax._src.array"]._reconstruct_array, (make, arguments, state, {"weak_type": False})


@contextmanager
def package() -> Iterator[dict[str, type]]:
    """Yield empty classes under the package's names, importable only inside."""
    made, modules = {}, {}
    for module, names in CLASSES.items():
        modules[module] = ModuleType(module)
        for name in names:
            made[name] = type(name, (), {"__module__": module})
            setattr(modules[module], name, made[name])
    jax = ModuleType("jax._src.array")
    _reconstruct_array.__module__ = "jax._src.array"
    jax._reconstruct_array = _reconstruct_array  # type: ignore[attr-defined]
    modules["jax._src.array"] = jax
    parents = {name.rsplit(".", depth)[0] for name in modules for depth in range(1, name.count(".") + 1)}
    modules |= {name: ModuleType(name) for name in parents - set(modules)}
    sys.modules.update(modules)
    try:
        yield made
    finally:
        for name in modules:
            del sys.modules[name]


def nested(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays by path as dicts in dicts, as arrays of jax."""
    found: dict[str, Any] = {}
    for path, value in params.items():
        place = found
        *folders, last = path.split("/")
        for one in folders:
            place = place.setdefault(one, {})
        place[last] = value if isinstance(value, JaxArray) else JaxArray(np.asarray(value, dtype=np.float32))
    return found


def write(
    folder: Path,
    config: Mapping[str, Any],
    params: Mapping[str, Any],
    vectors: Mapping[str, np.ndarray],
    *,
    genes: tuple[str, ...],
    components: tuple[np.ndarray, np.ndarray] | None,
    told: bool = True,
) -> Path:
    """Write a `CellFlow.pkl` of three trained conditions; without `told` no table of vectors lies in it."""
    sets = [["A", "B", "ctrl"], ["ctrl", "A", "ctrl"], ["C", "ctrl", "ctrl"]]
    table = np.stack([[vectors[name] for name in one] for one in sets]).astype(np.float32)
    with package() as made:

        def of(kind: str, /, **state: Any) -> Any:
            one = made[kind]()
            one.__dict__.update(state)
            return one

        varm = {} if components is None else {"PCs": components[0], "X_mean": components[1][:, None]}
        adata = of(
            "AnnData",
            _X=np.zeros((3, len(genes)), np.float32),
            _obs=pd.DataFrame({"gene": pd.Categorical(["A", "B", "ctrl"])}),
            _var=pd.DataFrame(index=pd.Index(list(genes), dtype=object)),
            _uns=OrderedDict(esm2=dict(vectors)),
            _varm=varm,
        )
        silu = of("PjitFunction", version=1, function_name="silu")
        left_at_its_default = {"conditioning_kwargs": of("Field", default=None), "act_fn": silu, "name": None}
        field = of("ConditionalVelocityField", **{**config, **left_at_its_default, **_given(config)})
        state = of("TrainState", step=JaxArray(np.asarray(3)), params=nested(params), opt_state=(nested(params),))
        manager = of(
            "DataManager",
            _perturbation_covariates=OrderedDict(gene=["gene_1", "gene_2", "gene_3"]),
            _perturbation_covariate_reps=OrderedDict(gene="esm2") if told else {},
        )
        data = of(
            "TrainingData",
            condition_data={"gene": table},
            perturbation_covariates_mask=np.asarray([-1, -1, 0, 1, 2, 2], np.int32),
            perturbation_idx_to_covariates=dict(enumerate(sets)),
        )
        path = of("ConstantNoiseFlow", sigma=0.5)
        solver = of("OTFlowMatching", vf=field, vf_state=state, vf_state_inference=state, probability_path=path)
        whole = of("CellFlow", _adata=adata, _dm=manager, _train_data=data, _solver=solver)
        whole.__dict__["_itself"] = whole
        (folder / "CellFlow.pkl").write_bytes(pickle.dumps(whole, protocol=5))
    return folder / "CellFlow.pkl"


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"conditioning_kwargs": config["conditioning_kwargs"]} if "conditioning_kwargs" in config else {}
