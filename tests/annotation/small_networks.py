"""Networks of a few hundred numbers that behave like published ones, and cells that are drawn for them."""

import json
from pathlib import Path

import numpy as np
import torch

from pertura.annotation.pretrained import Base, base_of
from pertura.annotation.view import View, view_of
from pertura.core.expression import InMemory
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.checkpoint import ForeignCheckpoint, LoadReport
from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.names import layout_of, to_published
from pertura.models.scgpt.network import ScGPTNetwork

SPECIALS = ("<pad>", "<cls>", "<eoc>")


def symbols(count: int) -> list[str]:
    return [f"GENE{number}" for number in range(count)]


def small_config(genes: int, **changes) -> ScGPTConfig:
    sizes = {"width": 16, "heads": 2, "hidden": 16, "layers": 2, "dropout": 0.2, "flags": False, "decoder": "plain"}
    return ScGPTConfig(vocab_size=genes + len(SPECIALS), pad_id=genes, **{**sizes, **changes})


def small_vocab(names: list[str]) -> Vocab:
    return Vocab({name: place for place, name in enumerate([*names, *SPECIALS])})


def small_network(genes: int, seed: int = 0, **changes) -> ScGPTNetwork:
    torch.manual_seed(seed)
    network = ScGPTNetwork(small_config(genes, **changes))
    torch.nn.init.normal_(network.genes.table.weight, std=1.0)
    return network.eval()


def small_base(names: list[str], seed: int = 0, network: ScGPTNetwork | None = None, **changes) -> Base:
    network = network or small_network(len(names), seed, **changes)
    weights = network.state_dict()
    layout = layout_of({name: torch.zeros(1) for name in published_names(network.config)})
    return base_of(
        ForeignCheckpoint(network, small_vocab(names), network.config, LoadReport(tuple(weights)), layout), "small"
    )


def published_names(config: ScGPTConfig) -> list[str]:
    """The weights of a network with a plain decoder, as scGPT spells them."""
    both = ("weight", "bias")
    names = ["encoder.embedding.weight", *(f"encoder.enc_norm.{one}" for one in both)]
    names += [f"value_encoder.{part}.{one}" for part in ("linear1", "linear2", "norm") for one in both]
    for layer in range(config.layers):
        parts = ("self_attn.Wqkv", "self_attn.out_proj", "linear1", "linear2", "norm1", "norm2")
        names += [f"transformer_encoder.layers.{layer}.{part}.{one}" for part in parts for one in both]
    return names + [f"decoder.fc.{place}.{one}" for place in (0, 2, 4) for one in both]


def write_published(folder: Path, base: Base) -> Path:
    """Write a folder as scGPT publishes them; parts of the network that were only pretrained with are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, config = base.checkpoint, base.checkpoint.config
    torch.save(to_published(checkpoint.network.state_dict(), {}, checkpoint.layout), folder / "best_model.pt")
    (folder / "vocab.json").write_text(json.dumps(dict(checkpoint.vocab.ids)))
    args = {"embsize": config.width, "nheads": config.heads, "d_hid": config.hidden, "nlayers": config.layers}
    told = {"n_bins": 51, "pad_token": "<pad>", "pad_value": -2, "input_emb_style": "continuous", "no_cls": True}
    (folder / "args.json").write_text(json.dumps({**args, "dropout": config.dropout, **told}))
    return folder


def sparse_cells(cells: int, genes: int, seed: int = 0) -> np.ndarray:
    """Counts of which about half are zero."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 2.0, size=genes)
    return rng.poisson(rates * rng.gamma(5, 0.2, size=(cells, 1))).astype(np.float32)


def small_view(base: Base, cells: int = 12, seed: int = 0) -> View:
    names = tuple(sorted(base.vocab.genes, key=base.vocab.ids.__getitem__))
    ids = np.asarray([f"cell{number}" for number in range(cells)], dtype=object)
    return view_of(InMemory(np.log1p(sparse_cells(cells, len(names), seed))), names, ids, names, base.vocab)
