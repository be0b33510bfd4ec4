"""A published checkpoint in pertura's own format: safetensors and JSON, checked by sha256, with its whole package."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor

from pertura.core.errors import BadDataError
from pertura.models import storage
from pertura.models.scgpt.checkpoint import ForeignCheckpoint
from pertura.models.scgpt.config import ScGPTConfig
from pertura.models.scgpt.filling import PriorShelf, filled, supply_priors
from pertura.models.scgpt.names import Layout
from pertura.models.scgpt.network import ScGPTNetwork
from pertura.models.scgpt.package import ARGS_FILE, VOCAB_FILE, copied, read_object, read_vocab, sha256_of
from pertura.priors.prior import GenePrior

KIND = "scgpt-checkpoint"
PACKAGE = "package"
CONFIG: TypeAdapter[ScGPTConfig] = TypeAdapter(ScGPTConfig)
REMEDY = "the folder was changed since it was converted: convert the published one again"


def is_own_checkpoint(folder: Path) -> bool:
    """Whether a folder is what `write_own_checkpoint` wrote."""
    if not (folder / storage.HEADER_FILE).is_file():
        return False
    return storage.read_header(folder).get("model") == KIND


def write_own_checkpoint(checkpoint: ForeignCheckpoint, folder: Path, digest: str) -> None:
    """Write `model.json`, `weights.safetensors` and, as they were published, all other files under `package`.

    `digest` is that of the published weights; it is kept, so that what comes back can be compared.
    """
    package = {place: copied(source, folder / PACKAGE / place) for place, source in checkpoint.package.items()}
    header = {
        "model": KIND,
        "network": asdict(checkpoint.config),
        "layout": _layout_to_json(checkpoint.layout),
        "unused_shapes": {name: list(one.shape) for name, one in checkpoint.unused.items()},
        "weights_file": checkpoint.weights_file,
        "published_sha256": digest,
        "package": package,
        "source": checkpoint.source,
    }
    storage.write_model(folder, header, _arrays(checkpoint))


def read_own_checkpoint(folder: Path, priors: Mapping[str, GenePrior]) -> ForeignCheckpoint:
    """Return the checkpoint that was converted into a folder; a changed file raises `BadDataError`."""
    header = storage.read_header(folder)
    package = _package(folder, header)
    arrays = storage.read_weights(folder, header)
    return storage.interpreted(folder, lambda: _read(folder / PACKAGE, header, arrays, package, priors))


def _arrays(checkpoint: ForeignCheckpoint) -> dict[str, np.ndarray]:
    own = {f"network.{name}": _array(one) for name, one in checkpoint.network.state_dict().items()}
    return {**own, **{f"unused.{name}": _array(one) for name, one in checkpoint.unused.items()}}


def _array(tensor: Tensor) -> np.ndarray:
    """Return the numbers of a tensor; numpy knows no bfloat16, which float32 holds exactly."""
    kept = tensor.detach().cpu()
    return (kept.float() if kept.dtype == torch.bfloat16 else kept).numpy()


def _package(folder: Path, header: Mapping[str, Any]) -> dict[str, Path]:
    """Return the published files, each compared with its sha256."""
    found = {}
    for place, digest in header["package"].items():
        path = folder / PACKAGE / place
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise BadDataError(f"a published file at {place!r}, outside the folder", file=folder / storage.HEADER_FILE)
        if not path.is_file() or sha256_of(path) != digest:
            raise BadDataError("is not the published file", file=path, remedy=REMEDY)
        found[place] = path
    return found


def _read(
    place: Path,
    header: Mapping[str, Any],
    arrays: storage.Arrays,
    package: dict[str, Path],
    priors: Mapping[str, GenePrior],
) -> ForeignCheckpoint:
    network = ScGPTNetwork(CONFIG.validate_python(header["network"], strict=False))
    shapes = {f"network.{name}": one.shape for name, one in network.state_dict().items()}
    shapes |= {f"unused.{name}": torch.Size(one) for name, one in header["unused_shapes"].items()}
    tensors = {name: torch.from_numpy(one.reshape(tuple(shapes[name]))) for name, one in arrays.items()}
    parts = {
        kind: {name.removeprefix(kind): one for name, one in tensors.items() if name.startswith(kind)}
        for kind in ("network.", "unused.")
    }
    layout = _layout_from_json(header["layout"])
    unused = {name: parts["unused."][name] for name in layout.order if name in parts["unused."]}
    report = filled(network, parts["network."], unused, layout)
    vocab = read_vocab(place / VOCAB_FILE)
    supply_priors(network, vocab, PriorShelf(priors, place))
    return ForeignCheckpoint(
        network.eval(),
        vocab,
        network.config,
        report,
        layout,
        read_object(place / ARGS_FILE, required=False),
        unused,
        package,
        str(header["weights_file"]),
        str(header["source"]),
        converted=True,
    )


def _layout_to_json(layout: Layout) -> dict[str, Any]:
    return {**asdict(layout), "types": [[name, str(one).removeprefix("torch.")] for name, one in layout.types]}


def _layout_from_json(content: Mapping[str, Any]) -> Layout:
    return Layout(
        str(content["attention"]),
        str(content["prefix"]),
        tuple((str(name), str(place)) for name, place in content["priors"]),
        tuple((str(name), str(part)) for name, part in content["projections"]),
        tuple(content["order"]),
        tuple((str(name), _type(str(kind))) for name, kind in content["types"]),
    )


def _type(name: str) -> torch.dtype:
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"{name} is no number type")
    return found
