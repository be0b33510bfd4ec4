"""The configuration of a published network, as the package names it, read into ours."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pertura.core.errors import UsageError
from pertura.models.cellflow.config import (
    AttentionLayer,
    CellFlowConfig,
    Compat,
    Covariate,
    Layer,
    Layers,
    MlpLayer,
    PoolingConfig,
    as_layers,
)

Shapes = Mapping[str, tuple[int, ...]]
Fields = Mapping[str, Any]
ENCODER = "condition_encoder"
POOLINGS = {"mean": "mean", "attention_token": "token", "attention_seed": "seed"}
CONDITIONINGS = {"concatenation": "concatenation", "film": "film", "resnet": "residual"}
TRAINING_ONLY = ("regularization", "name", "parent", "max_combination_length", "condition_encoder_kwargs")


def _integers(value: Any) -> tuple[int, ...]:
    return tuple(int(one) for one in value)


PLAIN: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "output_dim": ("dims", int),
    "condition_embedding_dim": ("condition_width", int),
    "cond_output_dropout": ("condition_dropout", float),
    "mask_value": ("absent", float),
    "time_freqs": ("time_features", int),
    "time_encoder_dims": ("time_dims", _integers),
    "time_encoder_dropout": ("time_dropout", float),
    "hidden_dims": ("cell_dims", _integers),
    "hidden_dropout": ("cell_dropout", float),
    "decoder_dims": ("decoder_dims", _integers),
    "decoder_dropout": ("decoder_dropout", float),
    "layer_norm_before_concatenation": ("norms", bool),
    "linear_projection_before_concatenation": ("linear_projection", bool),
}
"""Published name -> ours, for what has the same meaning in both."""

OTHERS = (
    *("condition_mode", "covariates_not_pooled", "pooling", "pooling_kwargs", "layers_before_pool"),
    *("layers_after_pool", "act_fn", "time_max_period", "conditioning", "conditioning_kwargs"),
    *("genot_source_dims", "genot_source_dropout"),
)


@dataclass(frozen=True)
class ReadConfig:
    """A configuration, and what of the published one has no part in it."""

    config: CellFlowConfig
    remarks: tuple[str, ...]


def read_config(published: Fields, shapes: Shapes, compat: Compat | None, widths: Mapping[str, int]) -> ReadConfig:
    """Return our configuration of a published one; the shapes of the parameters tell the widths of the inputs."""
    remarks = _unknown(published)
    before, dropped_before = _before_pool(published.get("layers_before_pool") or (), compat)
    after, dropped_after = _layers(published.get("layers_after_pool") or (), "layers_after_pool", compat)
    remarks += [f"{one} is a bare dict and dropped, as in {compat}" for one in (*dropped_before, *dropped_after)]
    _check_activation(published.get("act_fn"))
    pooling = _pooling(published)
    unpooled = tuple(published.get("covariates_not_pooled") or ())
    joint = before if isinstance(before, tuple) else ()
    groups = before if isinstance(before, dict) else _joint_groups(unpooled, widths)
    found = _Widths(shapes, groups, unpooled, joint, pooling).solved(widths)
    covariates = tuple(
        Covariate(
            name=name,
            width=found[name],
            layers=groups[name],
            pooled=name not in unpooled,
            marks_presence=name not in unpooled,
        )
        for name in sorted(groups)
    )
    known = {own: read(published[name]) for name, (own, read) in PLAIN.items() if name in published}
    config = CellFlowConfig(
        **known,
        **_source(published, shapes),
        **_conditioning(published),
        covariates=covariates,
        elements=int(published.get("max_combination_length", 2)),
        stochastic=_chosen(published, "condition_mode", {"deterministic": False, "stochastic": True}, "deterministic"),
        pooling=pooling,
        layers_before_pool=joint,
        layers_after_pool=after,
        time_period=_period(published, shapes, compat),
        compat=compat,
    )
    return ReadConfig(config, tuple(remarks))


def _unknown(published: Fields) -> list[str]:
    """Return a remark on each unknown field; one that looks like a misspelled field is refused."""
    known = (*PLAIN, *OTHERS, *TRAINING_ONLY)
    unknown = [name for name in published if name not in known]
    for name in unknown:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if close:
            raise UsageError(f"no field of a CellFlow network is called {name!r}; did you mean {close[0]!r}?")
    missing = [name for name in ("output_dim",) if name not in published]
    if missing:
        raise UsageError("the configuration of a CellFlow network has to say its output_dim")
    return [f"the field {name!r} is not one of the network and has no influence" for name in unknown]


def _chosen(published: Fields, name: str, among: Mapping[str, Any], otherwise: str) -> Any:
    value = published.get(name, otherwise)
    if value not in among:
        raise UsageError(f"{name}={value!r}: there are {', '.join(map(repr, among))}")
    return among[value]


def _before_pool(value: Any, compat: Compat | None) -> tuple[Layers | dict[str, Layers], list[str]]:
    """Return layers that groups share, or those of each group, and which were dropped."""
    if not isinstance(value, Mapping):
        return _layers(value, "layers_before_pool", compat)
    if "layer_type" in value or "dims" in value:
        as_layers(value, "layers_before_pool")
    found = {str(group): _layers(one, f"layers_before_pool.{group}", compat) for group, one in value.items()}
    return {group: layers for group, (layers, _) in found.items()}, [one for _, lost in found.values() for one in lost]


def _layers(value: Any, place: str, compat: Compat | None) -> tuple[Layers, list[str]]:
    """Return a list of layers; a bare dict is dropped where a published version does, else refused."""
    if isinstance(value, Mapping) and compat is not None:
        return (), [place]
    as_layers(value, place)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise UsageError(f"{place}: a list of layers is needed, not {type(value).__name__}")
    return tuple(_layer(one, place) for one in value), []


def _layer(value: Any, place: str) -> Layer:
    told = dict(value)
    kind = told.pop("layer_type", "mlp")
    _check_activation(told.pop("act_fn", None))
    if kind == "mlp":
        if not told.pop("act_last_layer", True):
            raise UsageError(f"{place}: an mlp layer without a last activation is not built")
        dims, dropout = told.pop("dims", (1024, 1024, 1024)), told.pop("dropout_rate", 0.0)
        _empty(told, place)
        return MlpLayer(dims=_integers(dims), dropout=float(dropout))
    if kind != "self_attention":
        raise UsageError(f"{place}: no layer is of the type {kind!r}; there are 'mlp' and 'self_attention'")
    heads, sizes = (_listed(told.pop(name, one)) for name, one in (("num_heads", 8), ("qkv_dim", 64)))
    flags: dict[str, Any] = {own: bool(told.pop(name, False)) for name, own in FLAGS.items()}
    dropout = float(told.pop("dropout_rate", 0.0))
    _empty(told, place)
    return AttentionLayer(heads=heads, sizes=sizes, dropout=dropout, **flags)


FLAGS = {"transformer_block": "feed_forward", "layer_norm": "norm"}


def _listed(value: Any) -> tuple[int, ...]:
    return _integers(value) if isinstance(value, Sequence) else (int(value),)


def _empty(told: Fields, place: str) -> None:
    if told:
        raise UsageError(f"{place}: unknown options {', '.join(map(repr, sorted(told)))}")


def _check_activation(value: Any) -> None:
    named = str(getattr(value, "__name__", value)).lower()
    if value is not None and "silu" not in named and "swish" not in named:
        raise UsageError(f"act_fn={value!r}: networks with another activation than SiLU are not built")


def _pooling(published: Fields) -> PoolingConfig:
    kind = _chosen(published, "pooling", POOLINGS, "attention_token")
    told = dict(published.get("pooling_kwargs") or {})
    _check_activation(told.pop("act_fn", None))
    flags: dict[str, Any] = {own: bool(told.pop(name)) for name, own in FLAGS.items() if name in told}
    numbers = {"num_heads": "heads", "qkv_dim": "size", "v_dim": "size", "seed_dim": "seed"}
    sizes: dict[str, Any] = {own: int(told.pop(name)) for name, own in numbers.items() if name in told}
    dropout = float(told.pop("dropout_rate", 0.0))
    _empty(told, "pooling_kwargs")
    if flags.get("feed_forward") and kind != "seed":
        raise UsageError("pooling_kwargs: a transformer block after pooling is built for attention_seed only")
    return PoolingConfig(kind=kind, dropout=dropout, **sizes, **flags)


def _conditioning(published: Fields) -> dict[str, Any]:
    kind = _chosen(published, "conditioning", CONDITIONINGS, "concatenation")
    told = dict(published.get("conditioning_kwargs") or {})
    _check_activation(told.pop("act_fn", None) if kind != "film" else None)
    names = {"hidden_dims": "residual_dims", "projection_dims": "residual_projection_dims"}
    found: dict[str, Any] = {own: _integers(told.pop(name)) for name, own in names.items() if name in told}
    if "dropout_rate" in told:
        found["residual_dropout"] = float(told.pop("dropout_rate"))
    _empty(told, "conditioning_kwargs")
    return {"conditioning": kind, **found}


def _source(published: Fields, shapes: Shapes) -> dict[str, Any]:
    """Return what a network that starts from noise has besides, told by its parameters."""
    if "x_0_encoder/Dense_0/kernel" not in shapes:
        return {}
    dims, place = [], "x_0_encoder/Dense_0/kernel"
    while place in shapes:
        dims.append(shapes[place][1])
        place = f"x_0_encoder/Dense_{len(dims)}/kernel"
    return {
        "source_dims": tuple(dims),
        "source_width": shapes["x_0_encoder/Dense_0/kernel"][0],
        "source_dropout": float(published.get("genot_source_dropout", 0.0)),
    }


def _period(published: Fields, shapes: Shapes, compat: Compat | None) -> float | None:
    """Return the period of the time code: the paper had none, and its code has twice as many values."""
    told = published.get("time_max_period", None if compat == "paper" else 10000)
    features = int(published.get("time_freqs", 1024))
    if compat == "paper" and shapes.get("time_encoder/Dense_0/kernel", (0,))[0] == 2 * features:
        return None
    return None if told is None else float(told)


def _joint_groups(unpooled: Sequence[str], widths: Mapping[str, int]) -> dict[str, Layers]:
    """Return the groups of a network without layers of their own; those that nothing names count as one."""
    pooled = [name for name in widths if name not in unpooled] or [""]
    return dict.fromkeys((*pooled, *unpooled), ())


@dataclass(frozen=True)
class _Widths:
    """Finds the width of every group from the shapes of the maps that take it."""

    shapes: Shapes
    groups: Mapping[str, Layers]
    unpooled: Sequence[str]
    joint: Layers
    pooling: PoolingConfig

    def solved(self, told: Mapping[str, int]) -> dict[str, int]:
        found = dict(told)
        for name, layers in self.groups.items():
            width = self._rows(f"before_pool_modules_{name}_0") if layers else None
            if width is not None:
                found[name] = width
        self._fill(found, [name for name in self.groups if name in self.unpooled], self._beside(found))
        self._fill(found, [name for name in self.groups if name not in self.unpooled], self._joined(found))
        missing = sorted(set(self.groups) - set(found))
        if missing:
            example = ", ".join(f"{name or 'group'!r}: n" for name in missing)
            raise UsageError(f"the widths of some groups cannot be told: load_official(..., widths={{{example}}})")
        return found

    def _fill(self, found: dict[str, int], names: Sequence[str], total: int | None) -> None:
        """Add the width of the only group whose width is not known: what the others leave of the total."""
        unknown = [name for name in names if name not in found]
        if total is not None and len(unknown) == 1:
            found[unknown[0]] = total - sum(self._out(name, found) for name in names if name in found)

    def _out(self, name: str, found: Mapping[str, int]) -> int:
        return _out_width(found[name], self.groups[name])

    def _beside(self, found: Mapping[str, int]) -> int | None:
        """Return the width of what goes around the pooling."""
        after, pooled = self._rows("after_pool_modules_mean_0"), self._pooled(found)
        return None if after is None or pooled is None else after - pooled

    def _pooled(self, found: Mapping[str, int]) -> int | None:
        """Return the width of what pooling gives."""
        if self.pooling.kind == "seed":
            return self.pooling.size
        if self.pooling.kind == "token":
            return self.shapes.get(f"{ENCODER}/pool_module/Embed_0/embedding", (0, None))[1]
        names = [name for name in self.groups if name not in self.unpooled]
        if self.joint or all(name in found for name in names):
            return _out_width(sum(self._out(name, found) for name in names if name in found), self.joint)
        return None

    def _joined(self, found: Mapping[str, int]) -> int | None:
        """Return the width of the pooled groups side by side."""
        if self.joint:
            return self._rows("before_pool_modules_0")
        if self.pooling.kind == "seed":
            return self.shapes.get(f"{ENCODER}/pool_module/Dense_1/kernel", (None,))[0]
        if self.pooling.kind == "token":
            return self._pooled(found)
        after, beside = self._rows("after_pool_modules_mean_0"), [name for name in self.groups if name in self.unpooled]
        if after is None or any(name not in found for name in beside):
            return None
        return after - sum(self._out(name, found) for name in beside)

    def _rows(self, module: str) -> int | None:
        """Return the number of inputs of a module, whatever it begins with."""
        attention = "SelfAttention_0/MultiHeadDotProductAttention_0/query/kernel"
        for tail in ("kernel", "Dense_0/kernel", attention):
            shape = self.shapes.get(f"{ENCODER}/{module}/{tail}")
            if shape:
                return int(shape[0])
        return None


def _out_width(width: int, layers: Layers) -> int:
    for layer in layers:
        if isinstance(layer, MlpLayer) and layer.dims:
            width = layer.dims[-1]
    return width
