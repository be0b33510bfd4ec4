"""The published networks written out from stock layers, under the names that publications store them by."""

import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, HIDDEN, LAYERS, TOKENS, PAD = 16, 2, 24, 2, 40, 37
NORM_EPS = 6.1e-5


@dataclass(frozen=True)
class Variant:
    """What a published network consists of."""

    values: str = "continuous"
    flags: bool = True
    decoder: str = "affine"
    activation: str | None = None
    adaptive: bool = False
    zeros: bool = False
    query: bool = False
    classes: int = 0
    class_layers: int = 3
    batches: int = 0
    norm: str = ""
    domains: int = 0
    priors: tuple[str, ...] = ()
    pooling: str = "cls"


def named(**parts: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict(parts)


def head(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, 1)
    )


def value_decoder(inputs: int, zeros: bool) -> nn.ModuleDict:
    parts = {"fc": head(inputs)}
    return named(**parts, **({"zero_logit": head(inputs)} if zeros else {}))


class WrittenOut(nn.Module):
    """The forward pass of the specification, step by step."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = one = variant
        inputs = 2 * WIDTH if one.batches else WIDTH
        self.encoder = named(embedding=nn.Embedding(TOKENS, WIDTH, padding_idx=PAD), enc_norm=nn.LayerNorm(WIDTH))
        if one.values == "continuous":
            self.value_encoder = named(
                linear1=nn.Linear(1, WIDTH), linear2=nn.Linear(WIDTH, WIDTH), norm=nn.LayerNorm(WIDTH)
            )
        elif one.values == "category":
            self.value_encoder = named(embedding=nn.Embedding(9, WIDTH), enc_norm=nn.LayerNorm(WIDTH))
        if one.flags:
            self.pert_encoder = nn.Embedding(3, WIDTH, padding_idx=2)
        for name in one.priors:
            projection = "proj_layer" if name == "genept_encoder" else "fc"
            parts = {"embedding": nn.Embedding(TOKENS, 6), projection: nn.Linear(6, WIDTH)}
            self.add_module(name, named(**parts, enc_norm=nn.LayerNorm(WIDTH)))
        if one.priors:
            self.ln = nn.LayerNorm(WIDTH)
        if one.norm == "dsbn":
            norms = nn.ModuleList(nn.BatchNorm1d(WIDTH, eps=NORM_EPS, affine=False) for _ in range(one.domains))
            self.dsbn = named(bns=norms)
        elif one.norm == "bn":
            self.bn = nn.BatchNorm1d(WIDTH, eps=NORM_EPS)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, LAYERS)
        if one.batches:
            self.batch_encoder = named(embedding=nn.Embedding(one.batches, WIDTH), enc_norm=nn.LayerNorm(WIDTH))
        if one.decoder == "affine":
            self.decoder = named(
                coeff_decoder=value_decoder(inputs, one.zeros), bias_decoder=value_decoder(inputs, False)
            )
        else:
            self.decoder = value_decoder(inputs, one.zeros)
        if one.query:
            parts = {"gene2query": nn.Linear(WIDTH, WIDTH), "W": nn.Linear(WIDTH, inputs, bias=False)}
            self.mvc_decoder = named(**parts, **({"W_zero_logit": nn.Linear(WIDTH, inputs)} if one.zeros else {}))
        if one.classes:
            blocks: list[nn.Module] = []
            for _ in range(one.class_layers - 1):
                blocks += [nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.LayerNorm(WIDTH)]
            self.cls_decoder = named(_decoder=nn.ModuleList(blocks), out_layer=nn.Linear(WIDTH, one.classes))
        self._shake()

    def _shake(self) -> None:
        """Give every number, running statistics too, a value of its own."""
        stream = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for name, tensor in self.state_dict(keep_vars=True).items():
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand(tensor.shape, generator=stream) * 0.8 - 0.35)
                    if name.endswith("running_var"):
                        tensor.abs_().add_(0.5)

    def forward(
        self, ids: Tensor, values: Tensor, flags: Tensor | None, padding: Tensor, batch: int
    ) -> dict[str, Tensor]:
        """All cells of a call are of one batch."""
        one = self.variant
        tokens = self.encoder.enc_norm(self.encoder.embedding(ids))
        total = self._with_values(tokens, values)
        for name in one.priors:
            part = getattr(self, name)
            project = part["proj_layer" if name == "genept_encoder" else "fc"]
            total = total + part["enc_norm"](project(part["embedding"](ids)))
        if one.flags:
            total = total + self.pert_encoder(flags)
        if one.priors:
            total = self.ln(total)
        if one.norm:
            norm = self.dsbn.bns[batch] if one.norm == "dsbn" else self.bn
            total = norm(total.permute(0, 2, 1)).permute(0, 2, 1)
        states = self.transformer_encoder(total, src_key_padding_mask=padding)
        cell = self._cell(states, values, padding)
        out = {"states": states, "cell_embedding": cell}
        label = None
        if one.batches:
            label = self.batch_encoder.enc_norm(self.batch_encoder.embedding(torch.full((len(ids),), batch)))
        beside = states if label is None else torch.cat([states, label[:, None].expand(-1, ids.shape[1], -1)], dim=2)
        out |= self._expression(beside, values, padding)
        if one.query:
            query = torch.sigmoid(self.mvc_decoder.gene2query(tokens))
            cells = cell if label is None else torch.cat([cell, label], dim=1)
            out["query_expression"] = torch.bmm(self.mvc_decoder.W(query), cells[:, :, None])[:, :, 0]
            if one.zeros:
                logits = torch.bmm(self.mvc_decoder.W_zero_logit(query), cells[:, :, None])[:, :, 0]
                out["query_zero_probability"] = torch.sigmoid(logits)
        if one.classes:
            x = cell
            for block in self.cls_decoder["_decoder"]:
                x = block(x)
            out["class_logits"] = self.cls_decoder.out_layer(x)
        return out

    def _with_values(self, tokens: Tensor, values: Tensor) -> Tensor:
        if self.variant.values == "scaling":
            return tokens * values[..., None]
        if self.variant.values == "category":
            return tokens + self.value_encoder.enc_norm(self.value_encoder.embedding(values.long()))
        x = self.value_encoder.linear1(values[..., None].clamp(max=512))
        return tokens + self.value_encoder.norm(self.value_encoder.linear2(torch.relu(x)))

    def _cell(self, states: Tensor, values: Tensor, padding: Tensor) -> Tensor:
        there = (~padding).float()
        style = self.variant.pooling
        if style == "cls":
            return states[:, 0]
        if style == "w-pool":
            return functional.normalize((states * (values * there)[..., None]).sum(dim=1), dim=1)
        total = (states * there[..., None]).sum(dim=1)
        return total / (there.sum(dim=1, keepdim=True) if style == "avg-pool" else states.shape[1])

    def _expression(self, states: Tensor, values: Tensor, padding: Tensor) -> dict[str, Tensor]:
        one, decoder = self.variant, self.decoder
        if one.decoder == "plain":
            out = {"expression": decoder.fc(states)[..., 0]}
            return out | ({"zero_probability": torch.sigmoid(decoder.zero_logit(states)[..., 0])} if one.zeros else {})
        activation = getattr(nn, one.activation)() if one.activation else nn.Identity()
        coefficient = activation(decoder.coeff_decoder.fc(states)[..., 0])
        bias = activation(decoder.bias_decoder.fc(states)[..., 0])
        if one.adaptive:
            there = values * (~padding)
            bias = bias * there.sum(dim=1, keepdim=True) / (there != 0).sum(dim=1, keepdim=True)
        out = {"expression": coefficient * values + bias}
        if one.zeros:
            out["zero_probability"] = torch.sigmoid(decoder.coeff_decoder.zero_logit(states)[..., 0])
        return out


@contextmanager
def slow_path():
    """Stock layers without their fused evaluation, which leaves zeros at padding."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def published(network: nn.Module, folder: Path, args: Mapping[str, object] | None = None) -> Path:
    """Write a network as it would be published."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "best_model.pt")
    ids = {f"GENE{i}": i for i in range(PAD)} | {"<pad>": PAD, "<cls>": PAD + 1, "<eoc>": PAD + 2}
    (folder / "vocab.json").write_text(json.dumps(ids))
    told = {"embsize": WIDTH, "nheads": HEADS, "d_hid": HIDDEN, "nlayers": LAYERS, "dropout": 0.0, **(args or {})}
    (folder / "args.json").write_text(json.dumps(told))
    return folder
