"""Published scGPT and scGenePT folders: `args.json`, `vocab.json`, `best_model.pt`, read without executing anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pertura.core.errors import BadDataError, MissingError
from pertura.genes.vocab import Vocab
from pertura.models.scgpt.config import Pooling, ScGPTConfig, ValueStyle
from pertura.models.scgpt.names import Layout, layout_of, to_own, to_published
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.recognise import Told, recognise
from pertura.priors.array_records import TensorRecord
from pertura.priors.prior import GenePrior
from pertura.priors.torch_files import torch_archive

SPECIAL_TOKENS = ("<pad>", "<cls>", "<eoc>")
WEIGHTS_FILE, VOCAB_FILE, ARGS_FILE = "best_model.pt", "vocab.json", "args.json"


@dataclass(frozen=True)
class LoadReport:
    """What became of every key: loaded, missing in the file, unexpected (kept, not used), of another shape."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ForeignCheckpoint:
    """A network with published weights, its vocabulary and configuration, and what was made of every key."""

    network: ScGPTNetwork
    vocab: Vocab
    config: ScGPTConfig
    report: LoadReport
    layout: Layout
    args: Mapping[str, Any] = field(default_factory=dict)
    unused: Mapping[str, Tensor] = field(default_factory=dict)


def load_foreign(
    folder: Path,
    *,
    decoder_activation: str | None = None,
    adaptive_bias: bool = False,
    pooling: Pooling | None = None,
    value_style: ValueStyle | None = None,
    flag_pad: int | None = None,
    heads: int | None = None,
    dropout: float | None = None,
    priors: Mapping[str, GenePrior] | None = None,
    weights_file: str | None = None,
) -> ForeignCheckpoint:
    """Return the network in a published folder, in evaluation mode.

    What it is (scGPT of three attention namings, with either decoder, with context norm, scGenePT) is told by its keys
    and by `args.json`; the keywords say what neither tells, and default to the published models' values. `priors` gives
    the tables that a checkpoint does not store, by the name of the prior in it. Raises `MissingError` where a file or a
    prior is not there, `BadDataError` where keys or shapes do not make one whole network.
    """
    told = Told(decoder_activation, adaptive_bias, pooling, value_style, flag_pad, heads, dropout)
    path = _weights_path(Path(folder), weights_file)
    args = _json(path.parent / ARGS_FILE, required=False)
    vocab = _vocab(path.parent / VOCAB_FILE)
    try:
        weights = read_weights(path)
        layout = layout_of(weights)
        own, unused = to_own(weights, layout)
        pad = vocab.ids[str(args.get("pad_token", "<pad>"))]
        config = recognise(own, layout, args, pad, told)
        _check_vocab(vocab, config)
        network = ScGPTNetwork(config)
        report = _fill(network, own, unused)
    except BadDataError as error:
        raise BadDataError(error.problem, file=error.file or path, place=error.place, remedy=error.remedy) from error
    _supply(network, vocab, priors or {}, path)
    return ForeignCheckpoint(network.eval(), vocab, config, report, layout, args, unused)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file that `torch.save` wrote from a state dict, or of a safetensors file."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    with torch_archive(path) as archive:
        content = archive.value()
        if not isinstance(content, dict) or not all(isinstance(one, TensorRecord) for one in content.values()):
            raise BadDataError("holds no dict of weights", file=path, remedy="save model.state_dict()")
        return {name: torch.from_numpy(archive.values(record)) for name, record in content.items()}


def save_foreign(checkpoint: ForeignCheckpoint, folder: Path) -> None:
    """Write the three official files: the same keys, order and number types as were read."""
    from pertura.core.atomic import replacing, write_text

    folder.mkdir(parents=True, exist_ok=True)
    own = dict(checkpoint.network.state_dict())
    for i, prior in enumerate(checkpoint.network.prior_tables):
        own[f"priors.{i}.table"] = prior.table
    with replacing(folder / WEIGHTS_FILE) as temporary:
        torch.save(to_published(own, checkpoint.unused, checkpoint.layout), temporary)
    write_text(folder / VOCAB_FILE, json.dumps(dict(checkpoint.vocab.ids), indent=2))
    write_text(folder / ARGS_FILE, json.dumps(dict(checkpoint.args), indent=2))


def _weights_path(folder: Path, name: str | None) -> Path:
    if folder.is_file():
        return folder
    path = folder / (name or WEIGHTS_FILE)
    if not path.is_file():
        raise MissingError(
            f"{folder} holds no {path.name}; a published folder has {ARGS_FILE}, {VOCAB_FILE}, {WEIGHTS_FILE}"
        )
    return path


def _json(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.is_file():
        if required:
            raise MissingError(f"{path}: no such file")
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"not JSON ({error})", file=path) from error
    if not isinstance(content, dict):
        raise BadDataError("not a JSON object", file=path)
    return content


def _vocab(path: Path) -> Vocab:
    """Return the vocabulary with the special tokens at its end where it lacks them, as the official loader does."""
    ids = _json(path, required=True)
    wrong = [token for token, one in ids.items() if type(one) is not int or one < 0]
    if wrong:
        raise BadDataError(f"the id of {wrong[0]!r} is no natural number", file=path)
    for token in SPECIAL_TOKENS:
        if token not in ids:
            ids[token] = max(ids.values(), default=-1) + 1
    return Vocab(ids)


def _check_vocab(vocab: Vocab, config: ScGPTConfig) -> None:
    last = max(vocab.ids.values())
    if last >= config.vocab_size:
        raise BadDataError(
            f"the vocabulary (special tokens included) goes to id {last}, the gene table has {config.vocab_size} rows",
            remedy="vocab.json and weights belong to different models",
        )


def _fill(network: ScGPTNetwork, own: Mapping[str, Tensor], unused: Mapping[str, Tensor]) -> LoadReport:
    wanted = network.state_dict()
    missing = tuple(sorted(set(wanted) - set(own)))
    unexpected = tuple(sorted(set(own) - set(wanted)))
    both = sorted(set(own) & set(wanted))
    mismatched = tuple(name for name in both if own[name].shape != wanted[name].shape)
    if missing or mismatched or unexpected:
        named = ", ".join((*missing, *mismatched, *unexpected)[:6])
        raise BadDataError(
            f"{len(missing)} weights are missing, {len(mismatched)} have another shape, {len(unexpected)} have no "
            f"place ({named})",
            remedy="give the whole checkpoint",
        )
    for i, prior in enumerate(network.prior_tables):
        if f"priors.{i}.table" in own:
            prior.keep(own[f"priors.{i}.table"])
    with torch.no_grad():
        for name, tensor in network.state_dict(keep_vars=True).items():
            tensor.copy_(own[name])
    return LoadReport(tuple(both), unexpected=tuple(unused))


def _supply(network: ScGPTNetwork, vocab: Vocab, priors: Mapping[str, GenePrior], path: Path) -> None:
    """Put frozen tables, which checkpoints do not store, into their places."""
    for one in network.prior_tables:
        name = one.config.name
        if one.config.trainable:
            continue
        if name not in priors:
            raise MissingError(
                f"{path}: the checkpoint uses the gene prior {name} ({one.config.width} wide) and does not store its "
                f"table; supply it: load_foreign(folder, priors={{{name!r}: GenePrior}})"
            )
        if priors[name].table.shape[1] != one.config.width:
            width = priors[name].table.shape[1]
            raise BadDataError(
                f"the prior {priors[name].name} is {width} wide, the checkpoint takes {one.config.width}"
            )
        one.supply(*vocabulary_table(priors[name], vocab, network.config.vocab_size))


def vocabulary_table(
    prior: GenePrior, vocab: Vocab, rows: int
) -> tuple[Float[Tensor, "vocab dim"], Bool[Tensor, " vocab"]]:
    """Return a prior's vectors in the order of token ids, and which ids have one."""
    genes = sorted(vocab.genes)
    vectors, known = prior.aligned_to(genes)
    ids = torch.tensor(vocab.ids_of(genes), dtype=torch.long)
    table, has_row = torch.zeros(rows, vectors.shape[1]), torch.zeros(rows, dtype=torch.bool)
    table[ids], has_row[ids] = torch.from_numpy(vectors.astype(np.float32)), torch.from_numpy(known)
    return table, has_row
