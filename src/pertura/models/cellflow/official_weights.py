"""Puts published parameters, by their published names, into the modules of a network."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pertura.core.errors import BadDataError
from pertura.models.cellflow.condition import ConditionEncoder, SetLayers, ToWidth
from pertura.models.cellflow.config import AttentionLayer, Layers
from pertura.models.cellflow.network import CellFlowNetwork
from pertura.models.cellflow.official_config import ENCODER
from pertura.models.cellflow.velocity import Concatenation, Film, Residual, VelocityField
from pertura.nn.mlp import MLP, JoinedLinear
from pertura.nn.pooling import SeedPooling, TokenPooling
from pertura.nn.set_attention import SetAttention, SetAttentionLayer

Arrays = Mapping[str, Float[np.ndarray, "..."]]
ATTENTION = "MultiHeadDotProductAttention_0"


def fill(network: CellFlowNetwork, arrays: Arrays) -> None:
    """Copy the parameters; `BadDataError` unless every one has its place and every place its parameter."""
    filling = _Filling(arrays)
    filling.condition(network.condition)
    filling.field(network.field)
    filling.report()


class _Filling:
    """Copies parameters, and keeps those that were missing, had another shape, or are left."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays, self.left = arrays, set(arrays)
        self.missing: list[str] = []
        self.mismatched: list[str] = []

    def report(self) -> None:
        """Raise `BadDataError` that names whatever did not fit."""
        problems = {"missing": self.missing, "of another shape": self.mismatched, "without a place": sorted(self.left)}
        told = [f"{len(names)} {what} ({', '.join(names[:4])})" for what, names in problems.items() if names]
        if told:
            raise BadDataError(
                f"the parameters are not those of the configuration: {'; '.join(told)}",
                remedy="give the configuration that the parameters were trained with, and the compat of its version",
            )

    # ---- the encoder of conditions

    def condition(self, encoder: ConditionEncoder) -> None:
        config = encoder.config
        for covariate, layers in zip(encoder.covariates, encoder.own):
            assert isinstance(layers, SetLayers)
            self.layers(layers, covariate.layers, f"{ENCODER}/before_pool_modules_{covariate.name}")
        self.layers(encoder.shared, config.layers_before_pool, f"{ENCODER}/before_pool_modules")
        if isinstance(encoder.pooling, TokenPooling):
            self.token(encoder.pooling, f"{ENCODER}/pool_module")
        elif isinstance(encoder.pooling, SeedPooling):
            self.seed(encoder.pooling, f"{ENCODER}/pool_module")
        self.to_width(encoder.after, config.layers_after_pool, f"{ENCODER}/after_pool_modules_mean")
        if encoder.spread is not None:
            self.to_width(encoder.spread, config.layers_after_pool, f"{ENCODER}/after_pool_modules_var")

    def layers(self, layers: SetLayers, configs: Layers, path: str) -> None:
        modules = iter(layers.layers)
        for i, config in enumerate(configs):
            count = len(config.sizes) if isinstance(config, AttentionLayer) else 1
            for j in range(count):
                module = next(modules)
                if isinstance(module, SetAttentionLayer):
                    self.attention_layer(module, f"{path}_{i}/SelfAttention_{j}")
                else:
                    self.mlp(module, f"{path}_{i}")

    def to_width(self, module: ToWidth, configs: Layers, path: str) -> None:
        self.layers(module.layers, configs, path)
        self.linear(module.last, f"{path}_{len(configs)}")

    def attention_layer(self, module: SetAttentionLayer, path: str) -> None:
        self.attention(module.attention, f"{path}/{ATTENTION}")
        for i, one in enumerate(part for part in (module.inner, module.outer) if part is not None):
            self.linear(one, f"{path}/Dense_{i}")
        self.norms(module.norms, path)

    def token(self, module: TokenPooling, path: str) -> None:
        self.copy(module.token, f"{path}/Embed_0/embedding")
        self.attention(module.attention, f"{path}/{ATTENTION}")

    def seed(self, module: SeedPooling, path: str) -> None:
        self.copy(module.seed, f"{path}/S", flat=True)
        parts = (module.query, module.key, module.value, module.feed_forward)
        for i, one in enumerate(part for part in parts if part is not None):
            self.linear(one, f"{path}/Dense_{i}")
        self.norms(module.norms, path)

    def attention(self, module: SetAttention, path: str) -> None:
        """Copy kernels of width x heads x size (and heads x size x width on the way out)."""
        for name in ("query", "key", "value"):
            self.linear(getattr(module, name), f"{path}/{name}", columns_from=1)
        self.linear(module.output, f"{path}/out", columns_from=2)

    # ---- the velocity field

    def field(self, field: VelocityField) -> None:
        self.mlp(field.time.mlp, "time_encoder")
        self.mlp(field.cell, "x_encoder")
        if field.source is not None:
            self.mlp(field.source, "x_0_encoder")
        self.joint(field.joint, has_source=field.source is not None)
        self.linear(field.output, "output_layer")
        for norm, name in zip(field.norms, ("x", "time", "condition", "x_0")):
            self.norm(norm, f"layer_norm_{name}")

    def joint(self, joint: nn.Module, *, has_source: bool) -> None:
        """Copy what joins the encodings, whose published order is time, (cell), (control cell), condition."""
        signals = (0, 2, 1) if has_source else (0, 1)
        everything = (1, 0, 3, 2) if has_source else (1, 0, 2)
        if isinstance(joint, Concatenation):
            self.mlp(joint.decoder, "decoder", everything)
            return
        if isinstance(joint, Film):
            self.joined(joint.generator, "film_block/film_generator", signals)
            self.mlp(joint.decoder, "decoder")
        elif isinstance(joint, Residual):
            self.mlp(joint.before, "resnet_block/mlp_block_1")
            self.mlp(joint.after, "resnet_block/mlp_block_2")
            self.mlp(joint.projection, "resnet_block/cond_proj", signals)
            self.mlp(joint.decoder, "decoder")

    # ---- maps

    def mlp(self, module: nn.Module, path: str, order: Sequence[int] = (0,)) -> None:
        assert isinstance(module, MLP)
        for i, one in enumerate(module.maps):
            if isinstance(one, JoinedLinear):
                self.joined(one, f"{path}/Dense_{i}", order)
            else:
                self.linear(one, f"{path}/Dense_{i}")

    def joined(self, module: JoinedLinear, path: str, order: Sequence[int]) -> None:
        """Copy the rows of one kernel to the parts of a map, in the published order of its inputs."""
        kernel = self.taken(f"{path}/kernel")
        parts = [_map(module.parts[place]) for place in order]
        rows = sum(part.weight.shape[1] for part in parts)
        if kernel is not None and kernel.shape != (rows, parts[0].weight.shape[0]):
            self.mismatched.append(f"{path}/kernel {kernel.shape}, {(rows, parts[0].weight.shape[0])} is needed")
        elif kernel is not None:
            ends = np.cumsum([part.weight.shape[1] for part in parts])[:-1]
            for part, piece in zip(parts, np.split(kernel, ends)):
                _put(part.weight, piece.T)
        self.copy(_map(module.parts[0]).bias, f"{path}/bias")

    def linear(self, module: nn.Module, path: str, columns_from: int = 1) -> None:
        """Copy a kernel, whose axes from `columns_from` on are the outputs, and its bias."""
        kernel, made = self.taken(f"{path}/kernel"), _map(module)
        if kernel is not None:
            rows = int(np.prod(kernel.shape[:columns_from]))
            self.placed(made.weight, kernel.reshape(rows, -1).T, f"{path}/kernel")
        self.copy(made.bias, f"{path}/bias", flat=True)

    def norms(self, modules: nn.ModuleList, path: str) -> None:
        for i, one in enumerate(modules):
            self.norm(one, f"{path}/LayerNorm_{i}")

    def norm(self, module: nn.Module, path: str) -> None:
        assert isinstance(module, nn.LayerNorm)
        self.copy(module.weight, f"{path}/scale")
        self.copy(module.bias, f"{path}/bias")

    def copy(self, parameter: Tensor, name: str, *, flat: bool = False) -> None:
        values = self.taken(name)
        if values is not None:
            self.placed(parameter, values.reshape(-1, *parameter.shape[1:]) if flat else values, name)

    def placed(self, parameter: Tensor, values: Float[np.ndarray, "..."], name: str) -> None:
        if values.shape != tuple(parameter.shape):
            self.mismatched.append(f"{name} {self.arrays[name].shape}, {parameter.numel()} numbers are needed")
        else:
            _put(parameter, values)

    def taken(self, name: str) -> Float[np.ndarray, "..."] | None:
        """Return an array and cross it off; None and a note where it is missing."""
        if name not in self.arrays:
            self.missing.append(name)
            return None
        self.left.discard(name)
        return self.arrays[name]


def _map(module: nn.Module) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module


def _put(parameter: Tensor, values: Float[np.ndarray, "..."]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))
