"""Parameter names of published checkpoints and of this network: pure dict -> dict functions, exact both ways."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = dict[str, Tensor]
LAYER = r"transformer_encoder\.layers\.(\d+)\."
PAIRS: tuple[tuple[str, str], ...] = (
    ("encoder.embedding.weight", "genes.table.weight"),
    ("encoder.enc_norm.", "genes.norm."),
    ("value_encoder.embedding.weight", "values.tokens.table.weight"),
    ("value_encoder.enc_norm.", "values.tokens.norm."),
    ("value_encoder.", "values."),
    ("pert_encoder.weight", "flags.weight"),
    ("ln.", "final_norm."),
    ("dsbn.bns.", "input_norm.norms."),
    ("bn.", "input_norm.norms.0."),
    ("batch_encoder.embedding.weight", "context_labels.table.weight"),
    ("batch_encoder.enc_norm.", "context_labels.norm."),
    ("decoder.coeff_decoder.fc.", "decoder.coefficient.maps."),
    ("decoder.coeff_decoder.zero_logit.", "decoder.zero.maps."),
    ("decoder.bias_decoder.fc.", "decoder.bias.maps."),
    ("decoder.fc.", "decoder.head.maps."),
    ("decoder.zero_logit.", "decoder.zero.maps."),
    ("mvc_decoder.gene2query.", "query_decoder.query."),
    ("mvc_decoder.W.", "query_decoder.weight."),
    ("mvc_decoder.W_zero_logit.", "query_decoder.zero."),
    ("cls_decoder.out_layer.", "class_head.last."),
)
"""Beginnings of published names and of ours; the longest that fits counts."""
ATTENTION = {
    "wqkv": ("Wqkv.", "out_proj."),
    "impl": ("_impl.Wqkv.", "_impl.out_proj."),
    "torch": ("in_proj_", "out_proj."),
}
"""Three ways in which the same attention is stored: with flash attention, with it since 2026, by torch."""
PARTS = ("query", "key", "value")
GENEPT = re.compile(r"(genept_encoder|gopt_encoder_[cfp])\.(.+)")
TABLE_NAMES = ("embedding.weight", "embeddings", "table")


@dataclass(frozen=True)
class Layout:
    """How a checkpoint spells what it holds, so that it can be written back key for key.

    `priors` maps the beginning of a prior's published names to its place in the network. `order` lists the published
    names, `types` those that are stored in another type than float32.
    """

    attention: str
    prefix: str
    priors: tuple[tuple[str, str], ...]
    projections: tuple[tuple[str, str], ...]
    order: tuple[str, ...]
    types: tuple[tuple[str, torch.dtype], ...]


def layout_of(weights: Mapping[str, Tensor]) -> Layout:
    """Return how the keys of a checkpoint are spelled."""
    prefix = "module." if weights and all(name.startswith("module.") for name in weights) else ""
    names = [name.removeprefix(prefix) for name in weights]
    attention = next((kind for kind, (qkv, _) in ATTENTION.items() if any(f".self_attn.{qkv}" in n for n in names)), "")
    found = dict.fromkeys(match[1] for name in names if (match := GENEPT.fullmatch(name)))
    others = dict.fromkeys(match[1] for name in names if (match := OTHER_PRIOR.fullmatch(name)))
    priors = tuple((one, f"priors.{i}.") for i, one in enumerate((*found, *others)))
    projections = tuple((one, _projection(one, names)) for one, _ in priors)
    types = tuple((name, one.dtype) for name, one in weights.items() if one.dtype != torch.float32)
    return Layout(attention, prefix, priors, projections, tuple(weights), types)


OTHER_PRIOR = re.compile(r"([A-Za-z_.]*prior[A-Za-z_]*)\.(.+)")
"""Priors whose names no publication states: anything called prior, its parts told by shape and ending."""


def _projection(beginning: str, names: list[str]) -> str:
    """Return what a prior calls its projection."""
    inner = [name.removeprefix(f"{beginning}.") for name in names if name.startswith(f"{beginning}.")]
    known = ("proj_layer.", "fc.", "projection.", "proj.", "linear.")
    return next((one for one in known if any(name.startswith(one) for name in inner)), "")


def to_own(weights: Mapping[str, Tensor], layout: Layout) -> tuple[Weights, Weights]:
    """Return the weights under our names, and under their published names those that this network has no place for."""
    own: Weights = {}
    rest: Weights = {}
    for full, tensor in weights.items():
        name = full.removeprefix(layout.prefix)
        parts = _attention_to_own(name, tensor, layout) or _named(name, tensor, layout)
        if parts:
            own |= parts
        else:
            rest[full] = tensor
    return own, rest


def to_published(own: Mapping[str, Tensor], rest: Mapping[str, Tensor], layout: Layout) -> Weights:
    """Return the weights as they were published: the same names, order and number types."""
    types = dict(layout.types)
    made: Weights = {}
    for full in layout.order:
        name = full.removeprefix(layout.prefix)
        found = rest[full] if full in rest else _published(name, own, layout)
        made[full] = found.to(types.get(full, found.dtype)).contiguous()
    return made


def published_name(own: str, layout: Layout) -> str:
    """Return what publications call one of our weights, for people to read; query, key and value share one name."""
    match = re.fullmatch(r"encoder\.layers\.(\d+)\.(?:attention\.(query|key|value|output)\.)?(.+)", own)
    if match is not None:
        layer, part, rest = f"transformer_encoder.layers.{match[1]}.", match[2], match[3]
        qkv, output = ATTENTION[layout.attention or "torch"]
        return layer + rest if part is None else f"{layer}self_attn.{output if part == 'output' else qkv}{rest}"
    head = re.fullmatch(r"class_head\.(maps|norms)\.(\d+)\.(.+)", own)
    if head is not None:
        return f"cls_decoder._decoder.{3 * int(head[2]) + (0 if head[1] == 'maps' else 2)}.{head[3]}"
    for beginning, place in layout.priors:
        if own.startswith(place):
            return f"{beginning}.{own.removeprefix(place)}"
    return _published_beginning(own, layout)


def _published_beginning(own: str, layout: Layout) -> str:
    """Of several published beginnings that have one place here, the one that this checkpoint uses counts."""
    names = [name.removeprefix(layout.prefix) for name in layout.order]
    fitting = [(published, mine) for published, mine in PAIRS if own.startswith(mine)]
    if not fitting:
        return own
    longest = max(len(mine) for _, mine in fitting)
    candidates = [(published, mine) for published, mine in fitting if len(mine) == longest]
    used = [one for one in candidates if any(name.startswith(one[0]) for name in names)]
    published, mine = (used or candidates)[0]
    rest = own.removeprefix(mine)
    if mine.endswith(".maps."):
        number, _, kind = rest.partition(".")
        rest = f"{2 * int(number)}.{kind}"
    return published + rest


def _attention_to_own(name: str, tensor: Tensor, layout: Layout) -> Weights:
    match = re.fullmatch(LAYER + r"(self_attn\.)?(.+)", name)
    if match is None:
        return {}
    number, attends, part = match[1], match[2], match[3]
    if not attends:
        return {f"encoder.layers.{number}.{part}": tensor}
    qkv, output = ATTENTION[layout.attention or "torch"]
    place = f"encoder.layers.{number}.attention"
    if part.startswith(qkv):
        kind = part.removeprefix(qkv)
        return {f"{place}.{one}.{kind}": piece for one, piece in zip(PARTS, tensor.chunk(3), strict=True)}
    return {f"{place}.output.{part.removeprefix(output)}": tensor} if part.startswith(output) else {}


def _named(name: str, tensor: Tensor, layout: Layout) -> Weights:
    own = _own_name(name, layout)
    return {own: tensor} if own else {}


def _own_name(name: str, layout: Layout) -> str:
    """Return our name of a published one outside attention; empty where there is none."""
    for beginning, place in layout.priors:
        if name.startswith(f"{beginning}."):
            return _prior_name(name.removeprefix(f"{beginning}."), place, dict(layout.projections)[beginning])
    block = re.fullmatch(r"cls_decoder\._decoder\.(\d+)\.(.+)", name)
    if block is not None:
        number, kind = divmod(int(block[1]), 3)
        return f"class_head.{'maps' if kind == 0 else 'norms'}.{number}.{block[2]}"
    for published, own in sorted(PAIRS, key=lambda pair: -len(pair[0])):
        if name.startswith(published):
            rest = name.removeprefix(published)
            return own + (_halved(rest) if own.endswith(".maps.") else rest)
    return ""


def _halved(rest: str) -> str:
    """Published heads count the activations between their maps: 0, 2, 4 are our 0, 1, 2."""
    number, _, kind = rest.partition(".")
    return f"{int(number) // 2}.{kind}"


def _prior_name(part: str, place: str, projection: str) -> str:
    if part in TABLE_NAMES:
        return f"{place}table"
    if part.startswith(("enc_norm.", "norm.", "ln.")):
        return f"{place}norm.{part.partition('.')[2]}"
    if part.startswith(projection) and part.removeprefix(projection) in ("weight", "bias"):
        return f"{place}projection.{part.removeprefix(projection)}"
    return ""


def _published(name: str, own: Mapping[str, Tensor], layout: Layout) -> Tensor:
    match = re.fullmatch(LAYER + r"(self_attn\.)?(.+)", name)
    if match is None:
        return own[_own_name(name, layout)]
    number, attends, part = match[1], match[2], match[3]
    if not attends:
        return own[f"encoder.layers.{number}.{part}"]
    qkv, output = ATTENTION[layout.attention]
    place = f"encoder.layers.{number}.attention"
    if part.startswith(qkv):
        return torch.cat([own[f"{place}.{one}.{part.removeprefix(qkv)}"] for one in PARTS])
    return own[f"{place}.output.{part.removeprefix(output)}"]
