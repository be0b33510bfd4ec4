"""Published scGPT and scGenePT folders: `args.json`, `vocab.json`, `best_model.pt`, read without executing anything."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from pertura.core.atomic import replacing, write_text
from pertura.core.errors import BadDataError, MissingError, UsageError
from pertura.models.scgpt.checkpoint import ForeignCheckpoint as ForeignCheckpoint
from pertura.models.scgpt.checkpoint import IncompleteError
from pertura.models.scgpt.checkpoint import LoadReport as LoadReport
from pertura.models.scgpt.config import Pooling, ValueStyle
from pertura.models.scgpt.filling import PriorShelf, filled, supply_priors
from pertura.models.scgpt.filling import vocabulary_table as vocabulary_table
from pertura.models.scgpt.hub import Located, located
from pertura.models.scgpt.names import layout_of, to_own, to_published
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.own_checkpoint import is_own_checkpoint, read_own_checkpoint
from pertura.models.scgpt.package import (
    ARGS_FILE,
    VOCAB_FILE,
    WEIGHTS_FILE,
    copied,
    files_beside,
    is_that_vocab,
    pad_id,
    read_object,
    read_vocab,
)
from pertura.models.scgpt.recognise import Told, check_vocab, recognise
from pertura.priors.array_records import TensorRecord
from pertura.priors.prior import GenePrior
from pertura.priors.torch_files import torch_archive


def load_foreign(
    folder: Path | str,
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

    `folder` is a folder, a weights file in one, a hub name with a pinned revision (`org/name@revision`), or what
    `pertura convert` made of one of these. What it is (scGPT of three attention namings, with either decoder, with
    context norm, scGenePT) is told by its keys and by `args.json`; the keywords say what neither tells, and default to
    the published models' values. `priors` gives the tables that a checkpoint does not store, by the name of the prior
    in it; without it a file `*prior*.safetensors` beside the weights is taken. Raises `MissingError` where a file or a
    prior is not there, `BadDataError` where keys or shapes do not make one whole network.
    """
    told = Told(decoder_activation, adaptive_bias, pooling, value_style, flag_pad, heads, dropout)
    place = located(folder)
    if is_own_checkpoint(place.folder):
        if told != Told() or weights_file:
            raise UsageError(f"{folder} was converted and says all of itself: give no keyword, or convert it anew")
        return read_own_checkpoint(place.folder, priors or {})
    return _read(place, _weights_path(place.folder, weights_file), told, priors or {})


def _read(place: Located, path: Path, told: Told, priors: Mapping[str, GenePrior]) -> ForeignCheckpoint:
    args = read_object(path.parent / ARGS_FILE, required=False)
    vocab = read_vocab(path.parent / VOCAB_FILE)
    with _named(path):
        weights = read_weights(path)
        layout = layout_of(weights)
        own, unused = to_own(weights, layout)
        config = recognise(own, layout, args, pad_id(vocab, args, path.parent), told)
        check_vocab(vocab, config)
        network = ScGPTNetwork(config)
        report = filled(network, own, unused, layout)
        supply_priors(network, vocab, PriorShelf(priors, path.parent))
    return ForeignCheckpoint(
        network.eval(),
        vocab,
        config,
        report,
        layout,
        args,
        unused,
        files_beside(path.parent, path.name),
        path.name if path.suffix == ".pt" else WEIGHTS_FILE,
        place.name,
    )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let what is wrong with a checkpoint name its file."""
    try:
        yield
    except IncompleteError as error:
        raise IncompleteError(error.report, file=path) from error
    except BadDataError as error:
        raise BadDataError(error.problem, file=error.file or path, place=error.place, remedy=error.remedy) from error
    except (ValueError, IndexError, KeyError, TypeError) as error:
        problem = f"the weights are not those of a scGPT network ({type(error).__name__}: {error})"
        raise BadDataError(problem, file=path, remedy="give the whole checkpoint") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file that `torch.save` wrote from a state dict, or of a safetensors file."""
    if path.suffix == ".safetensors":
        return _safe_tensors(path)
    with torch_archive(path) as archive:
        content = archive.value()
        if not isinstance(content, dict) or not all(isinstance(one, TensorRecord) for one in content.values()):
            raise BadDataError("holds no dict of weights", file=path, remedy="save model.state_dict()")
        tensors = {name: torch.from_numpy(archive.values(record)) for name, record in content.items()}
    halves = [name for name, record in content.items() if record.storage.kind == "bfloat16"]
    return {**tensors, **{name: tensors[name].to(torch.bfloat16) for name in halves}}


def _safe_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadDataError(f"not a safetensors file ({error})", file=path, remedy="fetch it again") from error


def save_foreign(checkpoint: ForeignCheckpoint, folder: Path) -> None:
    """Write the published folder: weights of the same keys, order and number types as were read, and all other files.

    `args.json` and `vocab.json` are the published bytes where what they say is unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / checkpoint.weights_file) as temporary:
        torch.save(published_weights(checkpoint), temporary)
    for place, source in checkpoint.package.items():
        if place not in (ARGS_FILE, VOCAB_FILE):
            copied(source, folder / place)
    vocab, args = checkpoint.package.get(VOCAB_FILE), checkpoint.package.get(ARGS_FILE)
    if vocab is not None and is_that_vocab(vocab, checkpoint.vocab):
        copied(vocab, folder / VOCAB_FILE)
    else:
        write_text(folder / VOCAB_FILE, json.dumps(dict(checkpoint.vocab.ids), indent=2))
    if args is not None and read_object(args, required=True) == checkpoint.args:
        copied(args, folder / ARGS_FILE)
    else:
        write_text(folder / ARGS_FILE, json.dumps(dict(checkpoint.args), indent=2))


def published_weights(checkpoint: ForeignCheckpoint) -> dict[str, Tensor]:
    """Return the weights under their published names, in their order and number types."""
    own = dict(checkpoint.network.state_dict())
    for i, prior in enumerate(checkpoint.network.prior_tables):
        own[f"priors.{i}.table"] = prior.table
    return {name: one.detach().cpu() for name, one in to_published(own, checkpoint.unused, checkpoint.layout).items()}


def _weights_path(folder: Path, name: str | None) -> Path:
    if folder.is_file():
        return folder
    path = folder / (name or WEIGHTS_FILE)
    if path.is_file():
        return path
    others = sorted(one.name for one in folder.glob("*.pt"))
    which = f"; it has {', '.join(others)}: name the file itself" if others else ""
    raise MissingError(
        f"{folder} holds no {path.name}; a published folder has {ARGS_FILE}, {VOCAB_FILE}, {WEIGHTS_FILE}{which}"
    )
